"""The best rows of a table for a vector: found by cheap scores, then scored exactly."""

from __future__ import annotations

from typing import Any

from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.layers.scores import scores


def top_k(vectors: Any, table: Any, k: int, among: int | None = None) -> tuple[Any, Any]:
    """The ids and scores of the rows with the largest inner products, best first.

    LiteRT rounds a vector to 8 bits where it multiplies it with a table of few bits, so that rows
    of nearly equal scores may change places. So `among` of them, by these scores, are looked up
    again and multiplied in floats: what comes out are the best by the table as it is stored, for
    next to no time.

    Args:
        vectors: float `[n, width]`.
        table: an `Embedding`, or the layer that stands in its place; see `scores`.
        k: how many.
        among: how many are scored again; by default twice as many as `k` (of a `TieredEmbedding`
            four times, for its first codes are coarser), or all rows.

    Returns:
        ids, int32 `[n, k]`, and scores, float `[n, k]`.

    Raises:
        SpecError: `k` is not from 1 to `among`.

    Example:
        >>> from tfcompress.keras import keras
        >>> table = keras.layers.Embedding(10, 4, weights=[tf.eye(10, 4)])
        >>> ids, best = top_k(table(tf.constant([2])), table, k=2)
        >>> ids.numpy().tolist(), best.numpy().tolist()
        ([[2, 0]], [[1.0, 0.0]])
    """
    own = getattr(table, "top_k", None)
    if own is not None:
        return own(vectors, k, _checked(k, 4 * k if among is None else among, table.input_dim))
    found = scores(vectors, table)
    among = _checked(k, 2 * k if among is None else among, found.shape[-1])
    likely = tf.math.top_k(found, among).indices
    again = tf.einsum("nd,nad->na", vectors, table(likely))
    best = tf.math.top_k(again, k)
    return tf.gather(likely, best.indices, batch_dims=1), best.values


def _checked(k: int, among: int, rows: int) -> int:
    """How many of the rows are scored again."""
    among = min(among, rows)
    if not 1 <= k <= among:
        raise SpecError(
            f"top_k received k={k} of {among} that are scored again in a table of {rows} rows; "
            "expected 1 <= k <= among."
        )
    return among
