"""Keras layers that a compressed model is made of."""

from tfcompress.layers import kinds  # declares the weights of Keras's layers
from tfcompress.layers.compressed import Compressed
from tfcompress.layers.convolution import FactorizedConv2D
from tfcompress.layers.einsum import FactorizedEinsumDense
from tfcompress.layers.factorized import FactorizedDense, FactorizedEmbedding
from tfcompress.layers.mask import Mask
from tfcompress.layers.quantizer import FakeQuantizer
from tfcompress.layers.scores import scores
from tfcompress.layers.weights import WeightRole, register_weights, weight_roles

__all__ = [
    "Compressed",
    "FactorizedConv2D",
    "FactorizedDense",
    "FactorizedEinsumDense",
    "FactorizedEmbedding",
    "FakeQuantizer",
    "Mask",
    "WeightRole",
    "kinds",
    "register_weights",
    "scores",
    "weight_roles",
]
