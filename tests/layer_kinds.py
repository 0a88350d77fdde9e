"""One small model for each kind of layer whose weights tfcompress knows.

Widths are such that blocks of 32 divide what can be stored in blocks: what a technique leaves out
here, it leaves out because of the kind of layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

import tfcompress as tfc

_layers = keras.layers
register = keras.saving.register_keras_serializable("tests")


@register
class PerHead(keras.layers.Layer):
    """A layer of a user's own: `[width, heads, units]`, inputs to the units of every head."""

    def build(self, input_shape: Any) -> None:
        self.heads = self.add_weight(name="heads", shape=(int(input_shape[-1]), 2, 16))
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        return tf.tensordot(inputs, self.heads, 1)


tfc.register_weights(PerHead, heads=(1, 2))


@dataclass(frozen=True)
class Kind:
    """A kind of layer.

    Attributes:
        build: makes a built model of it, always with the same weights.
        where: the class that rules are for.
        weights: names of its weights, below the layer that a rule finds.
        counted: whether the multiply-adds of a file count exactly these weights.
        stored: whether a file can hold its weights in 8 bits.
        units: the class whose units can be removed, where that is not `where`.
    """

    build: Callable[[], Any]
    where: str
    weights: tuple[str, ...] = ("kernel",)
    counted: bool = True
    stored: bool = True
    units: str = ""


def _model(make: Callable[[], Any], *shape: int) -> Callable[[], Any]:
    def build() -> Any:
        keras.utils.set_random_seed(1)
        return moved(keras.Sequential([keras.Input(shape), make()], name="kind"))

    return build


def moved(model: Any) -> Any:
    """The model with biases that no constructor would give it."""
    rng = np.random.default_rng(7)
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(0, 0.1, variable.shape))
    return model


def _attention() -> Any:
    keras.utils.set_random_seed(2)
    history = keras.Input((3, 32))
    attended = _layers.MultiHeadAttention(2, 16, name="attention")(history, history)
    return moved(keras.Model(history, attended, name="kind"))


def _table() -> Any:
    keras.utils.set_random_seed(3)
    ids = keras.Input((3,), dtype="int32")
    return moved(keras.Model(ids, _layers.Embedding(40, 32, name="table")(ids), name="kind"))


_CELL = ("cell.kernel", "cell.recurrent_kernel")
_BOTH = tuple(f"{way}_layer.{name}" for way in ("forward", "backward") for name in _CELL)
_SEPARABLE = ("depthwise_kernel", "pointwise_kernel")

KINDS: dict[str, Kind] = {
    "Dense": Kind(_model(lambda: _layers.Dense(32), 32), "Dense"),
    "Embedding": Kind(_table, "Embedding", ("embeddings",)),
    "EinsumDense": Kind(
        _model(lambda: _layers.EinsumDense("abc,cde->abde", (None, 2, 16), bias_axes="de"), 3, 32),
        "EinsumDense",
    ),
    "EinsumDense, a kernel for each head": Kind(
        _model(lambda: _layers.EinsumDense("abc,bcd->abd", (3, 32)), 3, 32),
        "EinsumDense",
    ),
    "MultiHeadAttention": Kind(
        _attention, "EinsumDense", counted=False, units="MultiHeadAttention"
    ),
    "Conv1D": Kind(_model(lambda: _layers.Conv1D(8, 4, activation="relu"), 7, 8), "Conv1D"),
    "Conv2D": Kind(_model(lambda: _layers.Conv2D(8, 2, strides=2), 6, 6, 8), "Conv2D"),
    "Conv1DTranspose": Kind(
        _model(lambda: _layers.Conv1DTranspose(8, 4, strides=2), 5, 8),
        "Conv1DTranspose",
    ),
    "Conv2DTranspose": Kind(
        _model(lambda: _layers.Conv2DTranspose(8, 2, strides=2), 4, 4, 8),
        "Conv2DTranspose",
    ),
    "DepthwiseConv1D": Kind(
        _model(lambda: _layers.DepthwiseConv1D(4, depth_multiplier=2), 7, 8),
        "DepthwiseConv1D",
        ("depthwise_kernel",),
    ),
    "DepthwiseConv2D": Kind(
        _model(lambda: _layers.DepthwiseConv2D((4, 8), depth_multiplier=2), 8, 8, 8),
        "DepthwiseConv2D",
        ("depthwise_kernel",),
    ),
    "SeparableConv1D": Kind(
        _model(lambda: _layers.SeparableConv1D(8, 4), 7, 8), "SeparableConv1D", _SEPARABLE
    ),
    "SeparableConv2D": Kind(
        _model(lambda: _layers.SeparableConv2D(8, (4, 8)), 8, 8, 32), "SeparableConv2D", _SEPARABLE
    ),
    "SimpleRNN": Kind(_model(lambda: _layers.SimpleRNN(32), 2, 32), "SimpleRNN", _CELL),
    "GRU": Kind(_model(lambda: _layers.GRU(32), 2, 32), "GRU", _CELL),
    "LSTM": Kind(_model(lambda: _layers.LSTM(32), 2, 32), "LSTM", _CELL),
    "Bidirectional": Kind(
        _model(lambda: _layers.Bidirectional(_layers.SimpleRNN(32)), 2, 32),
        "Bidirectional",
        _BOTH,
    ),
    "TimeDistributed": Kind(
        _model(lambda: _layers.TimeDistributed(_layers.Conv2D(8, 2)), 3, 4, 4, 8), "Conv2D"
    ),
    "GRU, return_sequences": Kind(
        _model(lambda: _layers.GRU(32, return_sequences=True), 2, 32),
        "GRU",
        _CELL,
        stored=False,
    ),
    "GRU, return_sequences, unroll": Kind(
        _model(lambda: _layers.GRU(32, return_sequences=True, unroll=True), 2, 32),
        "GRU",
        _CELL,
        counted=False,
    ),
    "Cross": Kind(
        _model(lambda: tfrs.layers.dcn.Cross(projection_dim=32), 96),
        "Dense",
    ),
    "Conv2D, in groups": Kind(_model(lambda: _layers.Conv2D(8, 2, groups=2), 5, 5, 8), "Conv2D"),
    "a layer of one's own": Kind(_model(PerHead, 3, 32), "PerHead", ("heads",)),
}


def inputs_of(model: Any, seed: int = 0, count: int = 4) -> Any:
    """Inputs like those that the model was built for: ids or normal floats."""
    rng = np.random.default_rng(seed)
    shape = (count, *model.input_shape[1:])
    if model.inputs[0].dtype.is_integer:
        return rng.integers(0, 40, shape).astype(np.int32)
    return rng.normal(size=shape).astype(np.float32)
