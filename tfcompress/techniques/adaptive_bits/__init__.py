"""AdaptiveBits: bits for each layer, from what they cost and what they harm, under a budget."""

from tfcompress.techniques.adaptive_bits.allocate import allocate_bits
from tfcompress.techniques.adaptive_bits.harm import Divergence, OutputHarm, SquaredError
from tfcompress.techniques.adaptive_bits.measured import measure_harm
from tfcompress.techniques.adaptive_bits.technique import AdaptiveBits

__all__ = [
    "AdaptiveBits",
    "Divergence",
    "OutputHarm",
    "SquaredError",
    "allocate_bits",
    "measure_harm",
]
