"""Factorize: a matrix becomes the product of two thin ones."""

from tfcompress.techniques.factorize.budgets import BudgetShare, ByteBudget
from tfcompress.techniques.factorize.decompose import truncated_svd
from tfcompress.techniques.factorize.error import OutputError, WeightError
from tfcompress.techniques.factorize.kinds import Channelwise, Spatial
from tfcompress.techniques.factorize.ranks import Fraction, KeptEnergy
from tfcompress.techniques.factorize.technique import Factorize

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
