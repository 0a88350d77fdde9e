"""The techniques, each in its own file, in the order in which they are applied."""

from tfcompress.spec import Technique
from tfcompress.techniques.code import Code, Interactions, KMeans
from tfcompress.techniques.distill import Distill
from tfcompress.techniques.factorize import (
    BudgetShare,
    ByteBudget,
    Channelwise,
    Factorize,
    Fraction,
    KeptEnergy,
    OutputError,
    Spatial,
    WeightError,
)
from tfcompress.techniques.importance import ByActivation, ByNorm, ByScale
from tfcompress.techniques.prune import Prune
from tfcompress.techniques.quantize import (
    AbsMax,
    Deviations,
    PerBlock,
    PerChannel,
    PerTensor,
    Quantize,
)
from tfcompress.techniques.share import Share
from tfcompress.techniques.shrink import Shrink
from tfcompress.techniques.sparsify import Sparsify

TECHNIQUES: tuple[type[Technique], ...] = (
    Factorize,
    Code,
    Share,
    Shrink,
    Prune,
    Sparsify,
    Quantize,
)

__all__ = [
    "TECHNIQUES",
    "AbsMax",
    "BudgetShare",
    "ByActivation",
    "ByNorm",
    "ByScale",
    "ByteBudget",
    "Channelwise",
    "Code",
    "Deviations",
    "Distill",
    "Factorize",
    "Fraction",
    "Interactions",
    "KMeans",
    "KeptEnergy",
    "OutputError",
    "PerBlock",
    "PerChannel",
    "PerTensor",
    "Prune",
    "Quantize",
    "Share",
    "Shrink",
    "Sparsify",
    "Spatial",
    "WeightError",
]
