"""The techniques, each in its own file, in the order in which they are applied."""

from tfcompress.spec import Technique
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
from tfcompress.techniques.prune import Prune
from tfcompress.techniques.quantize import (
    AbsMax,
    Deviations,
    PerBlock,
    PerChannel,
    PerTensor,
    Quantize,
)

TECHNIQUES: tuple[type[Technique], ...] = (Factorize, Prune, Quantize)

__all__ = [
    "TECHNIQUES",
    "AbsMax",
    "BudgetShare",
    "ByteBudget",
    "Channelwise",
    "Deviations",
    "Distill",
    "Factorize",
    "Fraction",
    "KeptEnergy",
    "OutputError",
    "PerBlock",
    "PerChannel",
    "PerTensor",
    "Prune",
    "Quantize",
    "Spatial",
    "WeightError",
]
