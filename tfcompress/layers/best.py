"""The best of many scores, found in two looks."""

from __future__ import annotations

from typing import Any

from tfcompress.keras import tf

_BLOCKS = range(64, 7, -1)  # numbers that one maximum stands for, the best size first
_WIDEST = 32


def largest(scores: Any, k: int) -> Any:
    """The places of the `k` largest numbers of each row, best first.

    LiteRT's TOPK_V2 takes longer over a million numbers than the product that made them. The `k`
    largest lie in at most `k` blocks: those with the `k` largest maxima. So only the maxima and
    the numbers in these blocks are sorted. Nothing is approximate.

    Args:
        scores: float `[n, ids]`, with `ids` known.
        k: how many, at most `ids`.

    Returns:
        int32 `[n, k]`.

    Example:
        >>> import tensorflow as tf
        >>> largest(tf.constant([[1.0, 9.0, 5.0]]), 2).numpy().tolist()
        [[1, 2]]
    """
    ids = scores.shape[-1]
    size = block_size(ids)
    count = -(-ids // size)
    if count <= k:
        return tf.math.top_k(scores, k).indices
    if count * size > ids:
        lowest = scores.dtype.min
        scores = tf.pad(scores, [[0, 0], [0, count * size - ids]], constant_values=lowest)
    blocks = tf.reshape(scores, [-1, count, size])
    chosen = tf.math.top_k(tf.reduce_max(blocks, axis=2), k).indices
    inside = tf.reshape(picked(blocks, chosen), [-1, k * size])
    places = tf.math.top_k(inside, k).indices
    return picked(chosen, places // size) * size + places % size


def block_size(ids: int) -> int:
    """How many numbers a block has: a divisor of all of them, where there is one near 32."""
    divisors = [size for size in _BLOCKS if ids % size == 0]
    return min(divisors, key=lambda size: abs(size - _WIDEST), default=_WIDEST)


def picked(values: Any, places: Any) -> Any:
    """`values[i, places[i]]` for each row `i`.

    Args:
        values: `[n, m, ...]`.
        places: int32 `[n, k]`.

    Returns:
        `[n, k, ...]`.
    """
    if values.shape[0] == 1 or places.shape[0] == 1:
        # Reshaped rather than sliced: LiteRT's STRIDED_SLICE copies number by number.
        flat = tf.reshape(values, [-1, *values.shape[2:]])
        found = tf.gather(flat, tf.reshape(places, [-1]))
        return tf.reshape(found, [1, places.shape[1], *values.shape[2:]])
    return tf.gather(values, places, batch_dims=1)
