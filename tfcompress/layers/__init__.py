"""Keras layers that a compressed model is made of."""

from tfcompress.layers import kinds  # declares the weights of Keras's layers
from tfcompress.layers.coded import CodedEmbedding
from tfcompress.layers.compressed import Compressed
from tfcompress.layers.convolution import FactorizedConv2D
from tfcompress.layers.einsum import FactorizedEinsumDense
from tfcompress.layers.factorized import FactorizedDense, FactorizedEmbedding
from tfcompress.layers.half import HalfPrecision
from tfcompress.layers.hashing import DoubleHash, Product, QuotientRemainder, Sum
from tfcompress.layers.held import HeldQuantizer, LearnedQuantizer
from tfcompress.layers.integer import Integer
from tfcompress.layers.kept import Kept
from tfcompress.layers.mapped import MappedEmbedding
from tfcompress.layers.mask import Mask
from tfcompress.layers.observers import MinMax, MovingAverage, Observer, Percentile
from tfcompress.layers.quantizer import FakeQuantizer
from tfcompress.layers.scales import AbsMax, Deviations, Fixed, Learned, MeanSquare, Scale
from tfcompress.layers.scores import scores
from tfcompress.layers.shared import (
    ChosenSharedEmbedding,
    KeptSharedEmbedding,
    SharedEmbedding,
)
from tfcompress.layers.table import Operators, TableLayer
from tfcompress.layers.tiers import TieredEmbedding
from tfcompress.layers.top import top_k
from tfcompress.layers.weights import WeightRole, register_weights, weight_roles

__all__ = [
    "AbsMax",
    "ChosenSharedEmbedding",
    "CodedEmbedding",
    "Compressed",
    "Deviations",
    "DoubleHash",
    "FactorizedConv2D",
    "FactorizedDense",
    "FactorizedEinsumDense",
    "FactorizedEmbedding",
    "FakeQuantizer",
    "Fixed",
    "HalfPrecision",
    "HeldQuantizer",
    "Integer",
    "Kept",
    "KeptSharedEmbedding",
    "Learned",
    "LearnedQuantizer",
    "MappedEmbedding",
    "Mask",
    "MeanSquare",
    "MinMax",
    "MovingAverage",
    "Observer",
    "Operators",
    "Percentile",
    "Product",
    "QuotientRemainder",
    "Scale",
    "SharedEmbedding",
    "Sum",
    "TableLayer",
    "TieredEmbedding",
    "WeightRole",
    "kinds",
    "register_weights",
    "scores",
    "top_k",
    "weight_roles",
]
