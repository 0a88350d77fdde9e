"""A table of two tiers: all rows in 4 bits along their axes, some with a second code as long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.keras import keras, tf
from tfcompress.layers.best import largest, picked
from tfcompress.layers.table import IN_KERAS, Operators, TableLayer

GROUP = 128  # ids whose second codes are counted together, in a byte
_ZERO = 8  # as which a code of 0 is stored


def unpacked(packed: Any) -> Any:
    """Codes of 4 bits, float `[n, width]`, of bytes `[n, width / 2]`; the lower half comes first.

    Example:
        >>> import tensorflow as tf
        >>> unpacked(tf.constant([[0x79]], tf.uint8)).numpy().tolist()
        [[1.0, -1.0]]
    """
    low, high = tf.bitwise.bitwise_and(packed, 15), tf.bitwise.right_shift(packed, 4)
    codes = tf.reshape(tf.stack([low, high], -1), [-1, 2 * packed.shape[1]])
    return tf.cast(codes, tf.float32) - _ZERO


@dataclass(frozen=True)
class Tiers:
    """What a table of tiers is read from, in Keras or in a file.

    A row is `center + codes @ columns`, and `second_center + second @ second_columns` more where
    it has a second code.

    Attributes:
        codes: of all rows, float `[ids, width]`.
        second: float `[fine, width]`, in the order of the ids that have one.
        using: see `Operators`; `gather` reads both.
    """

    table: Any
    codes: Any
    second: Any
    using: Operators

    def coarse(self, ids: Any) -> Any:
        """Codes `[n, width]` of ids `[n]`."""
        return self.using.gather(self.codes, ids)

    def finer(self, ids: Any) -> Any:
        """What second codes add to the rows of ids `[n]`: `[n, width]`, zeros where none is."""
        group = tf.gather(self.table.before, ids // GROUP)
        inside = tf.cast(tf.gather(self.table.local, ids), tf.int32)
        slots = tf.maximum(group + inside - 1, 0)
        has_one = tf.cast(inside > 0, tf.float32)[:, tf.newaxis]
        codes = self.using.gather(self.second, slots)
        return has_one * (self.table.second_center + tf.matmul(codes, self.table.second_columns))

    def rows(self, ids: Any) -> Any:
        """Rows `[n, width]` of ids `[n]`."""
        coarse = tf.matmul(self.coarse(ids), self.table.columns)
        return self.table.center + coarse + self.finer(ids)

    def coarse_scores(self, vectors: Any) -> tuple[Any, Any]:
        """Vectors `[n, width]` along the columns, and their products with all codes `[n, ids]`."""
        turned = tf.matmul(vectors, self.table.columns, transpose_b=True)
        return turned, tf.matmul(turned, self.codes, transpose_b=True)

    def scores(self, vectors: Any, fine_ids: Any) -> Any:
        """Scores `[n, ids]`, given the ids that have second codes."""
        base = tf.reduce_sum(vectors * self.table.center, 1, keepdims=True)
        turned = tf.matmul(vectors, self.table.second_columns, transpose_b=True)
        own = tf.matmul(turned, self.second, transpose_b=True)
        own += tf.reduce_sum(vectors * self.table.second_center, 1, keepdims=True)
        shape = [self.table.input_dim, tf.shape(vectors)[0]]
        placed = tf.scatter_nd(fine_ids[:, tf.newaxis], tf.transpose(own), shape)
        return self.coarse_scores(vectors)[1] + base + tf.transpose(placed)

    def top_k(self, vectors: Any, k: int, among: int) -> tuple[Any, Any]:
        """Ids and scores `[n, k]`: of all rows by first codes, of `among` exactly by both."""
        turned, scores = self.coarse_scores(vectors)
        likely = largest(scores, among)
        ids = tf.reshape(likely, [-1])
        exact = _products(turned, self.coarse(ids)) + _products(vectors, self.finer(ids))
        base = tf.reduce_sum(vectors * self.table.center, 1, keepdims=True)
        best = tf.math.top_k(exact + base, k)
        return picked(likely, best.indices), best.values


def _products(vectors: Any, rows: Any) -> Any:
    """Products of vectors `[n, width]` with `a` rows each, `[n * a, width]`: `[n, a]`."""
    width = vectors.shape[1]
    if vectors.shape[0] == 1:
        return tf.matmul(vectors, rows, transpose_b=True)
    several = tf.reshape(rows, [tf.shape(vectors)[0], -1, width])
    return tf.matmul(several, vectors[:, :, tf.newaxis])[:, :, 0]


@keras.utils.register_keras_serializable("tfcompress")
class TieredEmbedding(TableLayer):
    """A table in 4 bits a weight, in which the rows that are often found have 8.

    A row is `center + codes @ columns`, whose `columns` run along the axes that matter for scores
    (see the technique `Tier`); `fine` rows have a second code of 4 bits a weight, for what the
    first leaves, with a center and columns of its own. Codes stay as they are, centers and columns
    are trained. An id takes `width / 2 + 1` bytes, and `width / 2` more with a second code; which
    ids have one is told by a byte each, their place among those of their `GROUP`, and a count for
    every group.

    `tfcompress.top_k` looks at all codes first, and at few rows in full.

    Args:
        input_dim: number of ids.
        output_dim: width of a row, even.
        fine: how many rows have a second code, from 1.
        wide: along how many axes a first code has two digits, as `columns` have it.
        mask_zero: as for Embedding.

    Raises:
        SpecError: a width that is odd, or a number of fine rows out of range.

    Example:
        >>> import tensorflow as tf
        >>> table = TieredEmbedding(10, 8, fine=2)
        >>> table(tf.constant([[1, 2, 3]])).shape.as_list()
        [1, 3, 8]
    """

    def __init__(
        self, input_dim: int, output_dim: int, fine: int, wide: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(input_dim, output_dim, **kwargs)
        if output_dim % 2 or not 1 <= fine <= input_dim:
            raise SpecError(
                f"TieredEmbedding received a width of {output_dim} and fine={fine}; expected an "
                f"even width, and 1 to {input_dim} fine rows."
            )
        self.fine = fine
        self.wide = wide

    def build(self, input_shape: Any = None) -> None:
        """Adds codes, what they stand for, and where second ones are."""
        width = self.output_dim
        self.packed = self._codes("packed", (self.input_dim, width // 2))
        self.second = self._codes("second", (self.fine, width // 2))
        self.local = self._codes("local", (self.input_dim,))
        groups = -(-self.input_dim // GROUP)
        self.before = self.add_weight(
            name="before", shape=(groups,), dtype="int32", trainable=False, initializer="zeros"
        )
        # In float32, whatever the layers around compute in: a half-precision column is another one.
        single = {"dtype": tf.float32, "experimental_autocast": False}
        for name in ("columns", "second_columns"):
            setattr(self, name, self.add_weight(name=name, shape=(width, width), **single))
        for name in ("center", "second_center"):
            own = self.add_weight(name=name, shape=(width,), initializer="zeros", **single)
            setattr(self, name, own)
        super().build(input_shape)

    def _codes(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(
            name=name, shape=shape, dtype="uint8", trainable=False, initializer="zeros"
        )

    def codes(self) -> Any:
        """First codes of all rows, float `[input_dim, output_dim]` from -7 to 7."""
        return unpacked(self.packed)

    def second_codes(self) -> Any:
        """Second codes, float `[fine, output_dim]` from -7 to 7."""
        return unpacked(self.second)

    def fine_ids(self) -> Any:
        """The ids that have second codes, int32 `[fine]`, ascending."""
        return tf.cast(tf.where(self.local > 0)[:, 0], tf.int32)

    def rows(self, ids: Any, using: Operators = IN_KERAS) -> Any:
        """Rows `[n, output_dim]` of ids `[n]`."""
        few = unpacked(tf.gather(self.packed, ids))
        tiers = self._tiers(few)
        rows = self.center + tf.matmul(few, self.columns) + tiers.finer(ids)
        return tf.cast(rows, self.compute_dtype)

    def _tiers(self, codes: Any) -> Tiers:
        return Tiers(self, codes, self.second_codes(), IN_KERAS)

    def scores(self, vectors: Any) -> Any:
        """`vectors [n, output_dim]` times every row: `[n, input_dim]`."""
        found = self._tiers(self.codes()).scores(tf.cast(vectors, tf.float32), self.fine_ids())
        return tf.cast(found, vectors.dtype)

    def top_k(self, vectors: Any, k: int, among: int) -> tuple[Any, Any]:
        """Ids and scores of the best rows, see `tfcompress.top_k`."""
        tiers = self._tiers(self.codes())
        ids, best = tiers.top_k(tf.cast(vectors, tf.float32), k, among)
        return ids, tf.cast(best, vectors.dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "fine": self.fine, "wide": self.wide}
