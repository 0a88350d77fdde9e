"""Multiply-adds of loops and transposed convolutions, by what a file says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from tfcompress.export import flatbuffer, sizes

WIDTH = 4


def converted(call: Callable[[Any], Any], *shape: int | None) -> dict[str, int]:
    """Multiply-adds of a function of a float32 tensor, by signature."""
    kernel = tf.Variable(tf.eye(WIDTH) * 0.5)
    module = tf.Module()
    module.kernel = kernel
    signature = tf.TensorSpec(shape, tf.float32)
    module.call = tf.function(lambda x: {"y": call(x, kernel)}, input_signature=[signature])
    concrete = module.call.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    return sizes.multiply_adds(_signed(converter.convert()))


def _signed(content: bytes) -> bytes:
    model = flatbuffer.read(content)
    signature = flatbuffer.schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serve", 0
    model.signatureDefs = [signature]
    return flatbuffer.pack(model)


def powers(first: int, last: Any, step: int) -> Callable[[Any, Any], Any]:
    """Multiplies with the kernel in a loop that counts by `step`."""

    def call(x: Any, kernel: Any) -> Any:
        limit = last(x) if callable(last) else last
        return tf.while_loop(
            lambda i, y: i < limit, lambda i, y: (i + step, y @ kernel), (tf.constant(first), x)
        )[1]

    return call


@pytest.mark.parametrize(
    ("first", "last", "step", "times"),
    [(0, 5, 1, 5), (2, 9, 3, 3), (7, 7, 1, 0), (0, lambda x: tf.shape(x)[0], 1, 1)],
    ids=["each", "with steps", "none", "a limit that the input gives counts one"],
)
def test_the_body_of_a_loop_counts_as_often_as_it_runs(first, last, step, times):
    shape = (None, WIDTH) if callable(last) else (1, WIDTH)
    assert converted(powers(first, last, step), *shape) == {"serve": times * WIDTH * WIDTH}


def test_loops_in_loops_multiply():
    inner = powers(0, 3, 1)

    def call(x: Any, kernel: Any) -> Any:
        return tf.while_loop(
            lambda i, y: i < 4, lambda i, y: (i + 1, inner(y, kernel)), (tf.constant(0), x)
        )[1]

    assert converted(call, 1, WIDTH) == {"serve": 12 * WIDTH * WIDTH}


def test_another_condition_than_a_counter_counts_one():
    def call(x: Any, kernel: Any) -> Any:
        return tf.while_loop(
            lambda y: tf.reduce_sum(y) > 0.1, lambda y: (y @ kernel,), (x,), maximum_iterations=9
        )[0]

    assert converted(call, 1, WIDTH) == {"serve": WIDTH * WIDTH}


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_every_input_of_a_transposed_convolution_meets_the_whole_kernel(padding, tmp_path):
    layer = keras.layers.Conv2DTranspose(3, 4, strides=2, padding=padding)
    model = keras.Sequential([keras.Input((5, 6, 2)), layer])
    made = tfc.export(model, tmp_path / "m")
    assert made.report["multiply_adds"] == {"serve": 5 * 6 * 2 * 4 * 4 * 3}
