"""Keras layers that a compressed model is made of."""

from tfcompress.layers import kinds  # declares the weights of Keras's layers
from tfcompress.layers.coded import CodedEmbedding
from tfcompress.layers.compressed import Compressed
from tfcompress.layers.convolution import FactorizedConv2D
from tfcompress.layers.einsum import FactorizedEinsumDense
from tfcompress.layers.factorized import FactorizedDense, FactorizedEmbedding
from tfcompress.layers.hashing import DoubleHash, Product, QuotientRemainder, Sum
from tfcompress.layers.kept import Kept
from tfcompress.layers.mask import Mask
from tfcompress.layers.quantizer import FakeQuantizer
from tfcompress.layers.scores import scores
from tfcompress.layers.shared import (
    ChosenSharedEmbedding,
    KeptSharedEmbedding,
    SharedEmbedding,
)
from tfcompress.layers.table import Operators, TableLayer
from tfcompress.layers.weights import WeightRole, register_weights, weight_roles

__all__ = [
    "ChosenSharedEmbedding",
    "CodedEmbedding",
    "Compressed",
    "DoubleHash",
    "FactorizedConv2D",
    "FactorizedDense",
    "FactorizedEinsumDense",
    "FactorizedEmbedding",
    "FakeQuantizer",
    "Kept",
    "KeptSharedEmbedding",
    "Mask",
    "Operators",
    "Product",
    "QuotientRemainder",
    "SharedEmbedding",
    "Sum",
    "TableLayer",
    "WeightRole",
    "kinds",
    "register_weights",
    "scores",
    "weight_roles",
]
