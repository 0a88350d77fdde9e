"""The techniques, each in its own file, in the order in which they are applied."""

from tfcompress.layers import AbsMax, Deviations, Fixed, Learned, MeanSquare
from tfcompress.spec import Technique
from tfcompress.techniques.adaptive_bits import (
    AdaptiveBits,
    Divergence,
    SquaredError,
    measure_harm,
)
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
from tfcompress.techniques.quantize import PerBlock, PerChannel, PerTensor, Quantize
from tfcompress.techniques.quantize_activations import QuantizeActivations
from tfcompress.techniques.rounding import ErrorCorrecting, Nearest
from tfcompress.techniques.share import Share
from tfcompress.techniques.shrink import Shrink
from tfcompress.techniques.sparsify import Sparsify
from tfcompress.techniques.tier import Tier

# AdaptiveBits comes behind Quantize and leaves alone what that one was asked for.
TECHNIQUES: tuple[type[Technique], ...] = (
    Factorize,
    Code,
    Share,
    Tier,
    Shrink,
    Prune,
    Sparsify,
    Quantize,
    AdaptiveBits,
    QuantizeActivations,
)

__all__ = [
    "TECHNIQUES",
    "AbsMax",
    "AdaptiveBits",
    "BudgetShare",
    "ByActivation",
    "ByNorm",
    "ByScale",
    "ByteBudget",
    "Channelwise",
    "Code",
    "Deviations",
    "Distill",
    "Divergence",
    "ErrorCorrecting",
    "Factorize",
    "Fixed",
    "Fraction",
    "Interactions",
    "KMeans",
    "KeptEnergy",
    "Learned",
    "MeanSquare",
    "Nearest",
    "OutputError",
    "PerBlock",
    "PerChannel",
    "PerTensor",
    "Prune",
    "Quantize",
    "QuantizeActivations",
    "Share",
    "Shrink",
    "Sparsify",
    "Spatial",
    "SquaredError",
    "Tier",
    "WeightError",
    "measure_harm",
]
