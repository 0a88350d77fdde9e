"""Factorize: a matrix becomes the product of two thin ones."""

from tfcompress.techniques.factorize.decompose import truncated_svd
from tfcompress.techniques.factorize.kinds import Channelwise, Spatial
from tfcompress.techniques.factorize.ranks import BudgetShare, ByteBudget, Fraction, KeptEnergy
from tfcompress.techniques.factorize.technique import Factorize, OutputError, WeightError

__all__ = [
    "BudgetShare",
    "ByteBudget",
    "Channelwise",
    "Factorize",
    "Fraction",
    "KeptEnergy",
    "OutputError",
    "Spatial",
    "WeightError",
    "truncated_svd",
]
