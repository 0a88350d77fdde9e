"""The arithmetic of asymmetric 8-bit activations, as functions of tensors.

LiteRT holds an activation `x` as `q = round(x / s) + z` in `[-128, 127]`, with one scale `s` and
one zero point `z` for a tensor. Both follow from the ends of a range that holds zero; the ends move
a little, so that zero lies on the grid exactly. It is the grid of TF's
`fake_quant_with_min_max_vars`.
"""

from __future__ import annotations

from typing import Any

from tfcompress.keras import tf

BITS = 8
LEVELS = 2**BITS - 1
LOWEST = -(2 ** (BITS - 1))
_TINY = 1e-6  # keeps the range of an all-zero tensor from having no width


def around_zero(low: Any, high: Any) -> tuple[Any, Any]:
    """The ends `[]` of the smallest range with a width that holds both ends and zero."""
    low, high = tf.minimum(low, 0.0), tf.maximum(high, 0.0)
    return low, tf.maximum(high, low + _TINY)


def round_to_range(values: Any, low: Any, high: Any) -> Any:
    """`values` on the grid between the ends; the gradient passes straight through inside of it.

    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
    Only Inference" (2018).

    Args:
        values: float32 of any shape.
        low: end of the range `[]`, not above 0.
        high: end of the range `[]`, not below 0.

    Example:
        >>> import tensorflow as tf
        >>> round_to_range(tf.constant([-9.0, 0.4, 0.6]), 0.0, 255.0).numpy().tolist()
        [0.0, 0.0, 1.0]
    """
    low, high = tf.stop_gradient(low), tf.stop_gradient(high)
    return tf.quantization.fake_quant_with_min_max_vars(values, low, high, num_bits=BITS)


def scale_and_zero_point(low: float, high: float) -> tuple[float, int]:
    """The grid between two ends as LiteRT stores it: `s` and `z`, see above.

    Example:
        >>> scale_and_zero_point(-64.0, 191.0)
        (1.0, -64)
    """
    scale = (high - low) / LEVELS
    return scale, LOWEST + min(max(round(-low / scale), 0), LEVELS)


def percentiles(values: Any, percent: float) -> tuple[Any, Any]:
    """The values `[]` below and above which lie `100 - percent` per cent of a tensor each.

    They are values of the tensor: the nearest ranks. It sorts the tensor, which takes its time.
    """
    ordered = tf.sort(tf.reshape(values, [-1]))
    last = tf.size(ordered) - 1
    rank = tf.round(tf.cast(last, tf.float32) * (percent / 100.0))
    place = tf.minimum(tf.cast(rank, tf.int32), last)
    return ordered[last - place], ordered[place]
