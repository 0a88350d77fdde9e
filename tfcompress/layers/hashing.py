"""Ways to give every id two rows of two small tables, and to combine them.

All are arithmetic that a device does in two operators, and all score every id without looking a
single one up: what the rows of the small tables score is put together by repetition.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.layers.two_way import fit_product, fit_sum
from tfcompress.value import Value

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Combine(Value):
    """How two rows become one."""

    @abstractmethod
    def rows(self, first: Any, second: Any) -> Any:
        """Two rows each, `[n, width]`, to one `[n, width]`."""

    @abstractmethod
    def outer(self, vectors: Any, first: Any, second: Any) -> Any:
        """Scores of every row of one table with every row of the other.

        Args:
            vectors: float `[n, width]`.
            first: float `[a, width]`.
            second: float `[b, width]`.

        Returns:
            float `[n, a, b]`.
        """

    def outer_in_file(self, vectors: Any, first: Any, second: Any) -> Any:
        """The same, with both tables as weights of matrix products, which a file can quantize."""
        return self.outer(vectors, first, second)

    @abstractmethod
    def fit(
        self, rows: Array, first: Array, second: Array, sizes: tuple[int, int]
    ) -> tuple[Array, Array]:
        """The two tables that make the rows best, see `layers/two_way.py`."""


@dataclass(frozen=True)
class Sum(Combine):
    """Two rows are added.

    Example:
        >>> import numpy as np
        >>> Sum().rows(np.array([1.0, 2.0]), np.array([3.0, 4.0])).tolist()
        [4.0, 6.0]
    """

    def rows(self, first: Any, second: Any) -> Any:
        """`first + second`."""
        return first + second

    def outer(self, vectors: Any, first: Any, second: Any) -> Any:
        """The score of a sum is the sum of the scores."""
        one = tf.matmul(vectors, first, transpose_b=True)
        other = tf.matmul(vectors, second, transpose_b=True)
        return one[:, :, tf.newaxis] + other[:, tf.newaxis, :]

    def fit(
        self, rows: Array, first: Array, second: Array, sizes: tuple[int, int]
    ) -> tuple[Array, Array]:
        """Least squares."""
        return fit_sum(rows, first, second, sizes)


@dataclass(frozen=True)
class Product(Combine):
    """Two rows are multiplied, weight by weight.

    Example:
        >>> import numpy as np
        >>> Product().rows(np.array([1.0, 2.0]), np.array([3.0, 4.0])).tolist()
        [3.0, 8.0]
    """

    def rows(self, first: Any, second: Any) -> Any:
        """`first * second`."""
        return first * second

    def outer(self, vectors: Any, first: Any, second: Any) -> Any:
        """Each vector is multiplied with the first table's rows, and scored with the second's."""
        scaled = vectors[:, tf.newaxis, :] * first
        return tf.einsum("naw,bw->nab", scaled, second)

    def outer_in_file(self, vectors: Any, first: Any, second: Any) -> Any:
        """The first product as one of matrices: a vector on the diagonal, times the table."""
        width, count = vectors.shape[1], first.shape[0]
        # A diagonal has no shape in a file; with one, what follows has it, too.
        rows = -1 if vectors.shape[0] is None else vectors.shape[0] * width
        diagonal = tf.reshape(tf.linalg.diag(vectors), [rows, width])
        scaled = tf.reshape(tf.matmul(diagonal, first, transpose_b=True), [-1, width, count])
        flat = tf.reshape(tf.transpose(scaled, [0, 2, 1]), [-1, width])
        scores = tf.matmul(flat, second, transpose_b=True)
        return tf.reshape(scores, [-1, count, second.shape[0]])

    def fit(
        self, rows: Array, first: Array, second: Array, sizes: tuple[int, int]
    ) -> tuple[Array, Array]:
        """Taking turns in least squares."""
        return fit_product(rows, first, second, sizes)


@dataclass(frozen=True)
class Hashing(Value):
    """Which row of each of two tables an id has, and what becomes of the two."""

    @abstractmethod
    def sizes(self, ids: int) -> tuple[int, int]:
        """How many rows the two tables have for so many ids."""

    @abstractmethod
    def places(self, ids: Any) -> tuple[Any, Any]:
        """Rows of ids `[n]` in the two tables; of arrays and tensors alike."""

    @property
    @abstractmethod
    def combined(self) -> Combine:
        """What becomes of the two rows."""

    @abstractmethod
    def scores(self, vectors: Any, first: Any, second: Any, ids: int) -> Any:
        """Scores `[n, ids]` of vectors `[n, width]` with every id, in their order.

        Args:
            vectors: float `[n, width]`.
            first: one table.
            second: the other.
            ids: how many ids there are.
        """

    def scores_in_file(self, vectors: Any, first: Any, second: Any, ids: int) -> Any:
        """The same, with both tables as weights of matrix products, which a file can quantize."""
        return self.scores(vectors, first, second, ids)


def _check_count(name: str, field_name: str, count: Any, least: int) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < least:
        raise SpecError(
            f"{name} received {field_name}={count!r}; expected a whole number from {least}."
        )


@dataclass(frozen=True)
class QuotientRemainder(Hashing):
    """One row by the quotient of an id, and one by its remainder: no two ids share both.

    Shi et al., "Compositional Embeddings Using Complementary Partitions" (KDD 2020).

    Args:
        remainders: rows of the second table; the first has `ceil(ids / remainders)`.
        combine: `Product()` or `Sum()`.

    Raises:
        SpecError: fewer than 2 remainders, or no way to combine.

    Example:
        >>> QuotientRemainder(remainders=10).sizes(95)
        (10, 10)
        >>> QuotientRemainder(remainders=10).places(37)
        (3, 7)
    """

    remainders: int = 64
    combine: Combine = field(default_factory=Product)

    def __post_init__(self) -> None:
        _check_count("QuotientRemainder", "remainders", self.remainders, 2)
        if not isinstance(self.combine, Combine):
            raise SpecError(
                f"QuotientRemainder received combine={self.combine!r}; expected Product() or Sum()."
            )

    def sizes(self, ids: int) -> tuple[int, int]:
        """Quotients and remainders."""
        return math.ceil(ids / self.remainders), self.remainders

    def places(self, ids: Any) -> tuple[Any, Any]:
        """Quotient and remainder."""
        return ids // self.remainders, ids % self.remainders

    @property
    def combined(self) -> Combine:
        """`combine`."""
        return self.combine

    def scores(self, vectors: Any, first: Any, second: Any, ids: int) -> Any:
        """Every quotient with every remainder is every id, in order."""
        return _in_order(self.combine.outer(vectors, first, second), ids)

    def scores_in_file(self, vectors: Any, first: Any, second: Any, ids: int) -> Any:
        """The same, by `combine.outer_in_file`."""
        return _in_order(self.combine.outer_in_file(vectors, first, second), ids)


def _in_order(grid: Any, ids: int) -> Any:
    flat = tf.reshape(grid, [-1, grid.shape[1] * grid.shape[2]])
    return _leading(flat, ids)


def _leading(scores: Any, ids: int) -> Any:
    return scores if scores.shape[1] == ids else tf.slice(scores, [0, 0], [-1, ids])


@dataclass(frozen=True)
class DoubleHash(Hashing):
    """Two hashes of an id, whose rows are added.

    Zhang et al., "Model Size Reduction Using Frequency Based Double Hashing for Recommender
    Systems" (RecSys 2020). The hashes are the remainders by `buckets` and by `buckets - 1`, which
    have no common divisor: a device computes each in one operator, and two ids share both rows
    only where they lie a multiple of `buckets * (buckets - 1)` apart.

    Args:
        buckets: rows of the first table; the second has one less.

    Raises:
        SpecError: fewer than 3 buckets.

    Example:
        >>> DoubleHash(buckets=10).places(37)
        (7, 1)
    """

    buckets: int = 256

    def __post_init__(self) -> None:
        _check_count("DoubleHash", "buckets", self.buckets, 3)

    def sizes(self, ids: int) -> tuple[int, int]:
        """A table for each hash."""
        return self.buckets, self.buckets - 1

    def places(self, ids: Any) -> tuple[Any, Any]:
        """The two remainders."""
        return ids % self.buckets, ids % (self.buckets - 1)

    @property
    def combined(self) -> Combine:
        """Added."""
        return Sum()

    def scores(self, vectors: Any, first: Any, second: Any, ids: int) -> Any:
        """What the buckets score, again and again."""
        return _again(vectors, first, ids) + _again(vectors, second, ids)


def _again(vectors: Any, table: Any, ids: int) -> Any:
    own = tf.matmul(vectors, table, transpose_b=True)
    return _leading(tf.tile(own, [1, math.ceil(ids / table.shape[0])]), ids)
