"""A table in which ids share rows, the most frequent ones aside."""

from __future__ import annotations

from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.layers.hashing import Hashing
from tfcompress.layers.table import IN_KERAS, Operators, TableLayer
from tfcompress.layers.weights import register_weights
from tfcompress.value import from_data, to_data


@keras.utils.register_keras_serializable("tfcompress")
class SharedEmbedding(TableLayer):
    """A table whose every row is made of a row of `first` and one of `second`.

    See `QuotientRemainder` (Shi et al., KDD 2020) and `DoubleHash` (Zhang et al., RecSys 2020).

    Args:
        input_dim: number of ids.
        output_dim: width of a row.
        hashing: which two rows, and how they are combined.
        mask_zero: as for Embedding.

    Example:
        >>> import tensorflow as tf
        >>> from tfcompress.layers.hashing import QuotientRemainder
        >>> table = SharedEmbedding(10, 8, QuotientRemainder(remainders=4))
        >>> table.scores(tf.ones((5, 8)) + 0 * table(tf.constant([1]))).shape.as_list()
        [5, 10]
        >>> table.first.shape.as_list(), table.second.shape.as_list()
        ([3, 8], [4, 8])
    """

    def __init__(self, input_dim: int, output_dim: int, hashing: Hashing, **kwargs: Any) -> None:
        super().__init__(input_dim, output_dim, **kwargs)
        self.hashing = hashing

    def build(self, input_shape: Any = None) -> None:
        """Adds the two tables."""
        for name, rows in zip(("first", "second"), self.hashing.sizes(self.input_dim), strict=True):
            setattr(self, name, self.add_weight(name=name, shape=(rows, self.output_dim)))
        super().build(input_shape)

    def rows(self, ids: Any, using: Operators = IN_KERAS) -> Any:
        """Rows `[n, output_dim]` of ids `[n]`."""
        first, second = self.hashing.places(ids)
        combine = self.hashing.combined
        return combine.rows(using.gather(self.first, first), using.gather(self.second, second))

    def scores(self, vectors: Any) -> Any:
        """`vectors [n, output_dim]` times every row: `[n, input_dim]`, never the whole table."""
        return self.hashing.scores(vectors, self.first, self.second, self.input_dim)

    def scores_in_file(self, vectors: Any) -> Any:
        """The same, with each small table as the weight of a matrix product."""
        return self.hashing.scores_in_file(vectors, self.first, self.second, self.input_dim)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "hashing": to_data(self.hashing)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SharedEmbedding:
        """The layer of such a config."""
        return cls(**{**config, "hashing": from_data(config["hashing"])})


@keras.utils.register_keras_serializable("tfcompress")
class KeptSharedEmbedding(SharedEmbedding):
    """A `SharedEmbedding` whose first `keep` ids have whole rows of their own.

    Args:
        input_dim: number of ids.
        output_dim: width of a row.
        hashing: which two rows the other ids have, and how they are combined.
        keep: how many ids have a row of their own, `kept [keep, output_dim]`.
        mask_zero: as for Embedding.

    Example:
        >>> import tensorflow as tf
        >>> from tfcompress.layers.hashing import DoubleHash
        >>> table = KeptSharedEmbedding(10, 8, DoubleHash(3), keep=2)
        >>> rows = table(tf.constant([0, 9]))
        >>> bool(tf.reduce_all(rows[0] == table.kept[0]))
        True
    """

    def __init__(
        self, input_dim: int, output_dim: int, hashing: Hashing, keep: int, **kwargs: Any
    ) -> None:
        super().__init__(input_dim, output_dim, hashing, **kwargs)
        self.keep = keep

    def build(self, input_shape: Any = None) -> None:
        """Adds the kept rows, and the two tables."""
        self.kept = self.add_weight(name="kept", shape=(self.keep, self.output_dim))
        super().build(input_shape)

    def slots(self, ids: Any, using: Operators) -> Any:
        """Rows of ids `[n]` among the kept ones; for any other id, some row."""
        return tf.minimum(ids, self.keep - 1)

    def is_kept(self, ids: Any, slots: Any) -> Any:
        """Which of the ids `[n]` are kept."""
        del slots
        return ids < self.keep

    def rows(self, ids: Any, using: Operators = IN_KERAS) -> Any:
        """Rows `[n, output_dim]` of ids `[n]`."""
        slots = self.slots(ids, using)
        own = using.gather(self.kept, slots)
        kept = self.is_kept(ids, slots)[:, tf.newaxis]
        return tf.where(kept, own, super().rows(ids, using))

    def scores(self, vectors: Any) -> Any:
        """`vectors [n, output_dim]` times every row: `[n, input_dim]`, never the whole table."""
        return self._with_kept(vectors, super().scores(vectors))

    def scores_in_file(self, vectors: Any) -> Any:
        """The same, with each small table as the weight of a matrix product."""
        return self._with_kept(vectors, super().scores_in_file(vectors))

    def _with_kept(self, vectors: Any, shared: Any) -> Any:
        own = tf.matmul(vectors, self.kept, transpose_b=True)
        return self.placed(own, shared)

    def placed(self, own: Any, shared: Any) -> Any:
        """Scores of the kept ids `[n, keep]` in their places among all, `[n, input_dim]`."""
        return tf.concat([own, tf.slice(shared, [0, self.keep], [-1, -1])], 1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "keep": self.keep}


@keras.utils.register_keras_serializable("tfcompress")
class ChosenSharedEmbedding(KeptSharedEmbedding):
    """A `SharedEmbedding` in which any `keep` ids have whole rows of their own.

    Their ids are held in ascending order: `kept_ids`, int32 `[keep]`, with row `i` of `kept` for
    `kept_ids[i]`.

    Args: as for `KeptSharedEmbedding`.
    """

    def build(self, input_shape: Any = None) -> None:
        """Adds the kept ids, their rows, and the two tables."""
        self.kept_ids = self.add_weight(
            name="kept_ids",
            shape=(self.keep,),
            dtype="int32",
            trainable=False,
            initializer=keras.initializers.Constant(0),
        )
        super().build(input_shape)

    def slots(self, ids: Any, using: Operators) -> Any:
        """How many kept ids are below; past the last one, the last."""
        return tf.minimum(using.search(self.kept_ids, ids), self.keep - 1)

    def is_kept(self, ids: Any, slots: Any) -> Any:
        """Whether the id at the slot is the one that was asked for."""
        return tf.equal(tf.gather(self.kept_ids, slots), ids)

    def placed(self, own: Any, shared: Any) -> Any:
        """Scores of the kept ids `[n, keep]` in their places among all, `[n, input_dim]`."""
        places = self.kept_ids[:, tf.newaxis]
        change = own - tf.gather(shared, self.kept_ids, axis=1)
        shape = [self.input_dim, tf.shape(shared)[0]]
        return shared + tf.transpose(tf.scatter_nd(places, tf.transpose(change), shape))


register_weights(SharedEmbedding, first=0, second=0)
register_weights(KeptSharedEmbedding, kept=0, first=0, second=0)
