"""A small model for every operator whose weights `modes` tries to store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.keras import keras, tf
from tfcompress.layers.kinds import LOOP

Array = np.ndarray[Any, Any]
_layers = keras.layers
_IDS = 40
ZEROS = {"single weights": 1, "blocks of 4 inputs": 4, "blocks of 16 inputs": 16}
_SHARE = 0.8


@dataclass(frozen=True)
class Subject:
    """A model of one layer.

    Attributes:
        layer: makes it.
        shape: of its inputs.
        in_integers: whether layers of it may compute in integers alone (`QuantizeActivations`).
        sparse: whether its kernel is tried without zeros.
        ids: whether its inputs are ids.
    """

    layer: Callable[[], Any]
    shape: tuple[int, ...]
    in_integers: bool = True
    sparse: bool = False
    ids: bool = False

    def model(self) -> Any:
        """The model."""
        kind = "int32" if self.ids else "float32"
        return keras.Sequential([keras.Input(self.shape, dtype=kind), self.layer()])

    def batch(self, model: Any) -> Array:
        """64 examples."""
        rng, shape = np.random.default_rng(0), (64, *model.input_shape[1:])
        if self.ids:
            return rng.integers(0, _IDS, shape).astype(np.int32)
        return rng.normal(size=shape).astype(np.float32)


SUBJECTS: dict[str, Subject] = {
    "FULLY_CONNECTED": Subject(lambda: _layers.Dense(32), (64,), sparse=True),
    "EMBEDDING_LOOKUP": Subject(lambda: _layers.Embedding(_IDS, 32), (3,), False, ids=True),
    "CONV_2D": Subject(lambda: _layers.Conv2D(8, 3), (6, 6, 32), sparse=True),
    "CONV_2D in groups": Subject(lambda: _layers.Conv2D(8, (2, 4), groups=2), (6, 6, 32)),
    "DEPTHWISE_CONV_2D": Subject(
        lambda: _layers.DepthwiseConv2D((4, 8), depth_multiplier=2), (9, 9, 4)
    ),
    "TRANSPOSE_CONV": Subject(
        lambda: _layers.Conv2DTranspose(8, 2, strides=2), (4, 4, 32), in_integers=False
    ),
    "BATCH_MATMUL": Subject(lambda: _layers.EinsumDense("abc,bcd->abd", (3, 32)), (3, 32)),
    LOOP: Subject(lambda: _layers.GRU(32, return_sequences=True), (2, 32), in_integers=False),
}


def with_zeros(model: Any, block: int) -> None:
    """Makes most blocks of so many inputs of the last layer's kernel zero, drawn by chance."""
    kernel = model.layers[-1].kernel
    rows = int(np.prod(kernel.shape[:-1]))
    rng = np.random.default_rng(0)
    kept = rng.random((rows // block, int(kernel.shape[-1]))) > _SHARE
    kept[0] = True  # no column is zero altogether
    mask = np.repeat(kept, block, axis=0).reshape(kernel.shape)
    kernel.assign(kernel * mask.astype(np.float32))


def without_zeros(model: Any) -> bytes:
    """The file in 8 bits as TensorFlow's converter writes it, zeros left out where it knows how."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [
        tf.lite.Optimize.DEFAULT,
        tf.lite.Optimize.EXPERIMENTAL_SPARSITY,
    ]
    return bytes(converter.convert())
