"""The techniques, each in its own file, in the order in which they are applied."""

from tfcompress.spec import Technique
from tfcompress.techniques.distill import Distill
from tfcompress.techniques.factorize import Factorize, Fraction, KeptEnergy
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
from tfcompress.techniques.shrink import Shrink

TECHNIQUES: tuple[type[Technique], ...] = (Factorize, Shrink, Prune, Quantize)

__all__ = [
    "TECHNIQUES",
    "AbsMax",
    "ByActivation",
    "ByNorm",
    "ByScale",
    "Deviations",
    "Distill",
    "Factorize",
    "Fraction",
    "KeptEnergy",
    "PerBlock",
    "PerChannel",
    "PerTensor",
    "Prune",
    "Quantize",
    "Shrink",
]
