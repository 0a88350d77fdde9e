"""Scoring vectors against a table, in the way that is cheapest for how the table is stored."""

from __future__ import annotations

from typing import Any

from tfcompress.keras import tf


def scores(vectors: Any, table: Any) -> Any:
    """Inner products of vectors with every row of an embedding layer.

    A factorized table is multiplied factor by factor, a coded one by sums of partial scores, and a
    shared one by what its small tables score, so that the whole matrix is never made, in training
    or in the exported file.

    Args:
        vectors: float `[n, width]`.
        table: an `Embedding`, or the layer that `apply` put in its place.

    Returns:
        float `[n, ids]`.

    Example:
        >>> import tensorflow as tf, tf_keras as keras
        >>> table = keras.layers.Embedding(10, 4)
        >>> rows = table(tf.constant([1]))
        >>> scores(rows, table).shape.as_list()
        [1, 10]
    """
    own = getattr(table, "scores", None)
    if own is not None:
        return own(vectors)
    return tf.matmul(vectors, table.embeddings, transpose_b=True)
