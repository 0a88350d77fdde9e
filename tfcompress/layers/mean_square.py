"""The step of a grid on which rounding has the smallest squared error."""

from __future__ import annotations

import math
from typing import Any

from tfcompress.keras import tf
from tfcompress.layers.grid import levels

_TINY = 1e-9
_NEWTON, _REFINED = 4, 2  # measured to be enough, see tests/test_scales.py
_ENOUGH = 2**16  # weights, to tell the clip of a whole tensor


def mean_square_scale(weights: Any, axes: list[int], bits: int) -> Any:
    """Step of the grid with the smallest mean squared error of `weights`, nearly.

    OCTAV of Sakr et al., "Optimal Clipping and Magnitude-aware Differentiation for Improved
    Quantization-aware Training" (2022), whose Newton steps take the errors inside the grid as
    uniform; then steps of Lloyd's algorithm, which take them as they are and which grids of few
    levels need. Over all axes it looks at no more than 131,072 weights,
    evenly spread.

    Args:
        weights: float tensor of any shape.
        axes: over which weights share a step; they are kept as size 1.
        bits: 2, 3, 4 or 8.

    Example:
        >>> import tensorflow as tf
        >>> step = mean_square_scale(tf.constant([[1.0, 1.1, -0.9, 0.0]]), [1], bits=2)
        >>> round(float(step[0, 0]), 3)
        1.0
    """
    if len(axes) == len(weights.shape):
        sample = _sample(weights)
        return tf.reshape(_scale(sample, [0], bits), [1] * len(weights.shape))
    return _scale(weights, axes, bits)


def _sample(weights: Any) -> Any:
    flat = tf.reshape(weights, [-1])
    stride = max(1, math.prod(weights.shape) // _ENOUGH)
    while math.gcd(stride, weights.shape[-1]) > 1:  # else it would meet some columns only
        stride += 1
    return flat[::stride]


def _scale(weights: Any, axes: list[int], bits: int) -> Any:
    top = float(levels(bits))
    size = tf.cast(tf.abs(weights), tf.float32)  # a float16 cannot count
    clip = _start(size, axes, bits)
    for _ in range(_NEWTON):
        clip = _newton(size, clip, axes, top)
    step = tf.maximum(clip, _TINY) / top
    for _ in range(_REFINED):
        step = _refined(size, step, axes, top)
    return tf.cast(step, weights.dtype)


def _start(size: Any, axes: list[int], bits: int) -> Any:
    # Below the largest magnitude: where nothing lies beyond the clip, a Newton step leads to 0.
    count = _sum(tf.cast(size > 0, size.dtype), axes)
    root = tf.sqrt(_sum(tf.square(size), axes) / tf.maximum(count, 1.0))
    largest = tf.reduce_max(size, axis=axes, keepdims=True)
    return tf.minimum((1.0 + bits / 2) * root, 0.95 * largest)


def _newton(size: Any, clip: Any, axes: list[int], top: float) -> Any:
    """One step towards the clip `c` with the least `c**2 / 12 top**2` inside and excess beyond."""
    beyond = tf.cast(size > clip, size.dtype)
    inside = tf.cast(size > 0, size.dtype) - beyond
    weight = _sum(inside, axes) / (12.0 * top**2) + _sum(beyond, axes)
    return _sum(size * beyond, axes) / tf.maximum(weight, _TINY)


def _refined(size: Any, step: Any, axes: list[int], top: float) -> Any:
    """The best step for the levels that the weights have with this one."""
    level = tf.minimum(tf.round(size / step), top)
    square = _sum(tf.square(level), axes)
    return tf.where(square > 0, _sum(size * level, axes) / tf.maximum(square, 1.0), step)


def _sum(values: Any, axes: list[int]) -> Any:
    return tf.reduce_sum(values, axis=axes, keepdims=True)
