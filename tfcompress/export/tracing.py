"""What Keras traces otherwise for a file: counts of categories, and ids in place of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tfcompress.keras import Functional, keras, tf

_utils = keras.src.layers.preprocessing.preprocessing_utils


def count(ids: Any, depth: int, binary_output: bool, dtype: Any, count_weights: Any = None) -> Any:
    """How often each category occurs.

    Args:
        ids: int `[..., n]`; what is not in 0 to depth - 1 is not counted.
        depth: number of categories.
        binary_output: 1 for any count above 0.
        dtype: of the counts.
        count_weights: what each id counts, `[..., n]`; None: 1.

    Returns:
        Counts `[..., depth]`.

    Example:
        >>> import tensorflow as tf
        >>> count(tf.constant([[1, 1, -1]]), 3, False, tf.float32).numpy().tolist()
        [[0.0, 2.0, 0.0]]
    """
    hot = tf.one_hot(tf.cast(ids, tf.int32), depth, dtype=tf.float32)
    if binary_output:
        return tf.cast(tf.reduce_max(hot, axis=-2), dtype)
    if count_weights is not None:
        hot *= tf.cast(count_weights, tf.float32)[..., tf.newaxis]
    return tf.cast(tf.reduce_sum(hot, axis=-2), dtype)


@contextmanager
def tracing_for_a_file() -> Iterator[None]:
    """Within it Keras traces what LiteRT can run, and what takes ids in place of tokens.

    Layers count categories with `count`, where Keras has DenseBincount; and Functional models
    leave ids as they are, where Keras casts them to the type of its `Input`, which is text.
    """
    counts, conforms = _utils.dense_bincount, Functional._conform_to_reference_input

    def conform(network: Any, tensor: Any, ref_input: Any) -> Any:
        if ref_input.dtype == tf.string and getattr(tensor, "dtype", None) == tf.int32:
            ref_input = tf.TensorSpec(ref_input.shape, tf.int32)
        return conforms(network, tensor, ref_input)

    _utils.dense_bincount, Functional._conform_to_reference_input = count, conform
    try:
        yield
    finally:
        _utils.dense_bincount, Functional._conform_to_reference_input = counts, conforms
