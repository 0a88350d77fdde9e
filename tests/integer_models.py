"""Small models for files that compute in integers, with inputs for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tfcompress as tfc
from tfcompress.keras import keras, tf

_layers = keras.layers
KERNELS = ("Dense", "Conv2D", "DepthwiseConv2D", "EinsumDense")


@dataclass(frozen=True)
class Small:
    """A model with what its file is expected to be.

    Attributes:
        build: makes it, always with the same weights.
        shape: of one input.
        integers: operators of the file, in order, whose tensors are integers.
        folded: classes of layers to round besides those with kernels.
    """

    build: Callable[[], Any]
    shape: tuple[int, ...]
    integers: tuple[str, ...]
    folded: tuple[str, ...] = ()


def _chain(shape: tuple[int, ...], *make: Callable[[], Any]) -> Callable[[], Any]:
    def build() -> Any:
        keras.utils.set_random_seed(3)
        return keras.Sequential([keras.Input(shape), *(one() for one in make)])

    return build


def _residual() -> Any:
    keras.utils.set_random_seed(4)
    image = keras.Input((8, 8, 3))
    first = _layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    second = _layers.Conv2D(8, 3, padding="same")(first)
    last = _layers.Conv2D(4, 3, strides=2)(_layers.Add()([first, second]))
    return keras.Model(image, _layers.Dense(3)(_layers.Flatten()(last)))


def _attention() -> Any:
    keras.utils.set_random_seed(5)
    history = keras.Input((3, 32))
    return keras.Model(history, _layers.MultiHeadAttention(2, 16)(history, history))


def _convolution(**kwargs: Any) -> Callable[[], Any]:
    return lambda: _layers.Conv2D(8, 3, padding="same", **kwargs)


_FULL = "FULLY_CONNECTED"
MODELS = {
    "mlp": Small(
        _chain(
            (12,),
            lambda: _layers.Dense(16, "relu"),
            lambda: _layers.Dense(16, "relu"),
            lambda: _layers.Dense(3),
        ),
        (12,),
        (_FULL, _FULL, _FULL),
    ),
    "mlp with gelu": Small(
        _chain((12,), lambda: _layers.Dense(16, "gelu"), lambda: _layers.Dense(3, "softmax")),
        (12,),
        (_FULL, _FULL),
    ),
    "cnn": Small(
        _chain(
            (12, 12, 3),
            _convolution(activation="relu"),
            _layers.MaxPooling2D,
            lambda: _layers.DepthwiseConv2D(3, activation="relu"),
            lambda: _layers.Conv2D(8, 1, activation=tf.nn.relu6),
            _layers.Flatten,
            lambda: _layers.Dense(3),
        ),
        (12, 12, 3),
        ("CONV_2D", "MAX_POOL_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "RESHAPE", _FULL),
    ),
    "cnn with batch normalization": Small(
        _chain(
            (8, 8, 3),
            _convolution(use_bias=False),
            _layers.BatchNormalization,
            _layers.ReLU,
            lambda: _layers.DepthwiseConv2D(3, use_bias=False),
            _layers.BatchNormalization,
            _layers.ReLU,
            _layers.GlobalAveragePooling2D,
            lambda: _layers.Dense(3),
        ),
        (8, 8, 3),
        ("CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", _FULL),
        ("BatchNormalization", "ReLU"),
    ),
    "average pooling": Small(
        _chain(
            (8, 8, 3), _convolution(), _layers.AveragePooling2D, _convolution(activation="relu")
        ),
        (8, 8, 3),
        ("CONV_2D", "CONV_2D"),  # between them it is float, as training had it
    ),
    "residual": Small(
        _residual,
        (8, 8, 3),
        ("CONV_2D", "CONV_2D", "ADD", "CONV_2D", "RESHAPE", _FULL),
    ),
    "attention": Small(
        _attention,
        (3, 32),
        (*([_FULL, "RESHAPE"] * 3), "TRANSPOSE", "RESHAPE", _FULL),
    ),
    "normalized": Small(
        _chain(
            (3, 32),
            lambda: _layers.Dense(32),
            _layers.LayerNormalization,
            lambda: _layers.EinsumDense("abc,cd->abd", (None, 16), "relu", "d"),
        ),
        (3, 32),
        ("RESHAPE", _FULL, "RESHAPE", "TRANSPOSE", _FULL),
    ),
}


def inputs_of(small: Small, count: int = 32, seed: int = 0) -> Any:
    """Normal floats `[count, ...]`."""
    return np.random.default_rng(seed).normal(size=(count, *small.shape)).astype(np.float32)


def spec_of(small: Small, weights: Any = None, activations: Any = None) -> tfc.Spec:
    """Both techniques for the layers with kernels, and the second for those that are folded."""
    activations = activations or tfc.QuantizeActivations()
    model = small.build()
    present = {type(held.layer).__name__ for held in tfc.surgery.walk(model)}
    both = (weights or tfc.Quantize(8), activations)
    rules = [tfc.rule(tfc.by_type(kind), *both) for kind in KERNELS if kind in present]
    rules += [tfc.rule(tfc.by_type(kind), activations) for kind in small.folded]
    return tfc.Spec(rules)


def student_of(small: Small, weights: Any = None, activations: Any = None) -> Any:
    """The model with both techniques."""
    return tfc.apply(small.build(), spec_of(small, weights, activations))


def trained(small: Small, student: Any, epochs: int = 2) -> Any:
    """The same after some steps of training."""
    inputs = inputs_of(small)
    targets = np.random.default_rng(1).normal(size=(len(inputs), *student.output_shape[1:]))
    student.compile(keras.optimizers.Adam(0.003), "mse")
    student.fit(inputs, targets.astype(np.float32), batch_size=8, epochs=epochs, verbose=0)
    return student


def exported(small: Small, student: Any, folder: Any, tolerance: float = 0.02) -> tfc.Exported:
    """Its file, compared on inputs that training did not see."""
    call = tfc.Signature(lambda m, x: m(x), {"x": tf.TensorSpec([1, *small.shape])})
    calls = [{"x": row[None]} for row in inputs_of(small, 8, seed=9)]
    return tfc.export(student, folder, {"serve": call}, {"serve": calls}, tolerance)
