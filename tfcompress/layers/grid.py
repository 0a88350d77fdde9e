"""The arithmetic of symmetric uniform quantization, as functions of tensors.

The grid is the one that `litert-quantizer` writes: `q = round(w / s)` in `[-n, n]` with
`n = 2**(bits - 1) - 1`, one scale `s` for a whole matrix, for each channel, or for each block of a
channel. Where the largest magnitude of a group lies on the grid's last level, the exporter finds
the same scale again, so that a trained model is exported without a second rounding.
"""

from __future__ import annotations

from typing import Any

from tfcompress.keras import tf

_TINY = 1e-9  # keeps an all-zero group from dividing by zero


def levels(bits: int) -> int:
    """The largest integer of a symmetric grid: 1, 7, 127 for 2, 4, 8 bits."""
    return int(2 ** (bits - 1) - 1)


def fake_quantize(weights: Any, scale: Any, bits: int, clip: bool = True) -> Any:
    """`weights` rounded onto the grid; the gradient passes straight through inside its range.

    Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons" (2013).

    Args:
        weights: float tensor of any shape.
        scale: step of the grid, broadcastable to `weights`.
        bits: 2, 4 or 8.
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
