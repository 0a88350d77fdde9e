"""Which weights stay: importance, amount, pattern and scope, each a value of its own."""

from tfcompress.layers.pruning.amounts import (
    Absolute,
    Amount,
    OfMax,
    OfMean,
    Target,
    Threshold,
    amount_of,
    kth_largest,
)
from tfcompress.layers.pruning.importances import Activation, Importance, Magnitude
from tfcompress.layers.pruning.patterns import (
    Blocks,
    NofM,
    Pattern,
    block_magnitudes,
    n_of_m,
    pattern_of,
)
from tfcompress.layers.pruning.probabilities import ByProbability, survival
from tfcompress.layers.pruning.scopes import Assigned, Global, PerLayer, PerOutput, Scope

__all__ = [
    "Absolute",
    "Activation",
    "Amount",
    "Assigned",
    "Blocks",
    "ByProbability",
    "Global",
    "Importance",
    "Magnitude",
    "NofM",
    "OfMax",
    "OfMean",
    "Pattern",
    "PerLayer",
    "PerOutput",
    "Scope",
    "Target",
    "Threshold",
    "amount_of",
    "block_magnitudes",
    "kth_largest",
    "n_of_m",
    "pattern_of",
    "survival",
]
