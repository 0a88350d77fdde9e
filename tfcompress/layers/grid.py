"""The arithmetic of symmetric uniform quantization, as functions of tensors.

The grid is the one that `litert-quantizer` writes: `q = round(w / s)` in `[-n, n]` with
`n = 2**(bits - 1) - 1`, one scale `s` for a whole matrix, for each channel, or for each block of a
channel. The scales of blocks are those that a file can hold, see `block_step`. The exporter writes
these very scales, so that a trained model is exported without a second rounding.
"""

from __future__ import annotations

import math
from typing import Any

from tfcompress.keras import tf

_TINY = 1e-9  # keeps an all-zero group from dividing by zero
SMALLEST = 2.0**-24  # of the float16 above 0
_LARGEST = 65280.0  # of the float16 of 8 significant bits
_HALF_END = 65504.0  # of the float16


def levels(bits: int) -> int:
    """The largest integer of a symmetric grid: 1, 3, 7, 127 for 2, 3, 4, 8 bits."""
    return int(2 ** (bits - 1) - 1)


def stored_bits(bits: int) -> int:
    """Bits of a weight in a file: LiteRT has no kernel for 3, whose codes it holds in 4."""
    return 4 if bits == 3 else bits


def block_step(step: Any) -> Any:
    """The steps of blocks as a file holds them: float16 of 8 significant bits, none of them 0.

    The gradient passes straight through.

    Example:
        >>> import tensorflow as tf
        >>> float(block_step(tf.constant(1.001)))
        1.0
    """
    near = tf.clip_by_value(tf.stop_gradient(step), SMALLEST, _LARGEST)
    near = tf.cast(tf.cast(tf.cast(near, tf.bfloat16), tf.float16), step.dtype)
    return step + tf.stop_gradient(near - step)


def half_precision(weights: Any) -> Any:
    """`weights` rounded to float16, the largest of which ends its range; the gradient passes."""

    @tf.custom_gradient
    def rounded(w: Any) -> Any:
        half = tf.cast(tf.clip_by_value(w, -_HALF_END, _HALF_END), tf.float16)
        return tf.cast(half, w.dtype), lambda upstream: upstream

    return rounded(weights)


def fake_quantize(weights: Any, scale: Any, bits: int, clip: bool = True) -> Any:
    """`weights` rounded onto the grid; the gradient passes straight through inside its range.

    Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons" (2013).

    Args:
        weights: float tensor of any shape.
        scale: step of the grid, broadcastable to `weights`.
        bits: 2, 3, 4 or 8.
        clip: whether weights may lie beyond the grid's end. Where they cannot (`absmax_scale`),
            False gives the same with fewer passes over them.
    """
    top = float(levels(bits))

    @tf.custom_gradient
    def rounded(w: Any, s: Any) -> Any:
        ratio = w / s
        level = tf.clip_by_value(tf.round(ratio), -top, top) if clip else tf.round(ratio)

        def gradient(upstream: Any) -> Any:
            if not clip:
                return upstream, None
            inside = tf.abs(ratio) <= top + 0.5
            return tf.where(inside, upstream, tf.zeros_like(upstream)), None

        return level * s, gradient

    return rounded(weights, tf.stop_gradient(scale))


def _largest(weights: Any, axes: list[int]) -> Any:
    if len(axes) < len(weights.shape):
        return tf.reduce_max(tf.abs(weights), axis=axes, keepdims=True)
    # Of a whole table: read twice, but never written out anew as its magnitudes are.
    most, least = (f(weights, axis=axes, keepdims=True) for f in (tf.reduce_max, tf.reduce_min))
    return tf.maximum(most, -least)


def learned_quantize(weights: Any, step: Any, bits: int, sharing: int) -> Any:
    """`weights` rounded onto a grid whose step is trained with them.

    Esser et al., "Learned Step Size Quantization" (2020): of a weight inside the grid the step's
    gradient is `round(w / s) - w / s`, beyond it the last level, and their sum is multiplied by
    `1 / sqrt(sharing * levels(bits))`. A weight beyond the grid gets no gradient.

    Args:
        weights: float tensor of any shape.
        step: of as many axes, each of the same size or 1.
        bits: 2, 3, 4 or 8.
        sharing: how many weights of the whole tensor share a step.

    Example:
        >>> import tensorflow as tf
        >>> learned_quantize(tf.constant([[0.3, 0.9]]), tf.constant([[0.5]]), 2, 2).numpy().tolist()
        [[0.5, 0.5]]
    """
    top = float(levels(bits))
    share = 1.0 / math.sqrt(sharing * top)

    @tf.custom_gradient
    def rounded(w: Any, s: Any) -> Any:
        ratio = w / s
        level = tf.clip_by_value(tf.round(ratio), -top, top)

        def gradient(upstream: Any) -> Any:
            inside = tf.abs(ratio) < top
            slope = tf.where(inside, level - ratio, level)
            axes = [axis for axis, size in enumerate(s.shape) if size == 1]
            to_step = tf.reduce_sum(upstream * slope, axis=axes, keepdims=True)
            return tf.where(inside, upstream, tf.zeros_like(upstream)), to_step * share

        return level * s, gradient

    return rounded(weights, step)


def absmax_scale(weights: Any, axes: list[int], bits: int) -> Any:
    """Step of the grid whose last level is the largest magnitude over `axes` (kept as size 1)."""
    largest = _largest(weights, axes)
    return tf.maximum(largest, _TINY) / float(levels(bits))


def deviation_scale(weights: Any, axes: list[int], bits: int, multiple: float) -> Any:
    """Step of the grid that ends at `multiple` standard deviations, or at the largest magnitude.

    The mean is taken as zero; what lies beyond the end is clipped to it.
    """
    deviation = tf.sqrt(tf.reduce_mean(tf.square(weights), axis=axes, keepdims=True))
    largest = _largest(weights, axes)
    return tf.maximum(tf.minimum(multiple * deviation, largest), _TINY) / float(levels(bits))
