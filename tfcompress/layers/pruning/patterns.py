"""In what shapes weights go: blocks of a matrix, or some out of every few inputs."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.value import Value


def block_magnitudes(weight: Any, block: tuple[int, int]) -> Any:
    """Mean magnitude of each block: `[rows, columns]` to `[ceil(rows/r), ceil(columns/c)]`."""
    if block == (1, 1):
        return tf.abs(weight)
    padded = _padded(tf.abs(weight), block)
    present = _padded(tf.ones_like(weight), block)
    return tf.reduce_sum(padded, [1, 3]) / tf.reduce_sum(present, [1, 3])


def _padded(weight: Any, block: tuple[int, int]) -> Any:
    rows, columns = weight.shape
    down, right = -rows % block[0], -columns % block[1]
    whole = tf.pad(weight, [[0, down], [0, right]])
    return tf.reshape(
        whole, [(rows + down) // block[0], block[0], (columns + right) // block[1], block[1]]
    )


def n_of_m(importances: Any, n: int, m: int) -> Any:
    """Which are among the `n` most important of their `m` along the last axis.

    Of equals the first are. Where `m` does not divide the axis its last group has fewer members.

    Args:
        importances: float `[channels, inputs]`, none negative.

    Returns:
        bool `[channels, inputs]`.

    Example:
        >>> import tensorflow as tf
        >>> n_of_m(tf.constant([[3.0, 1.0, 2.0, 4.0, 5.0]]), 2, 4).numpy().tolist()
        [[True, False, False, True, True]]
    """
    channels, inputs = importances.shape
    padded = tf.pad(importances, [[0, 0], [0, -inputs % m]], constant_values=-1.0)
    groups = tf.reshape(padded, [-1, m])
    chosen = tf.math.top_k(groups, n).indices
    kept = tf.reduce_any(tf.one_hot(chosen, m, True, False, dtype=tf.bool), 1)
    return tf.reshape(kept, [channels, -1])[:, :inputs]


@dataclass(frozen=True)
class Pattern(Value):
    """In what shapes weights go."""

    @property
    @abstractmethod
    def neutral(self) -> bool:
        """Whether it takes nothing by itself."""

    @abstractmethod
    def least(self, inputs: int) -> float:
        """The share of zeros that it makes by itself, of so many inputs."""

    @abstractmethod
    def parts(self, rows: int, columns: int) -> tuple[int, int]:
        """How many parts of a matrix go or stay as one, along either axis."""

    @abstractmethod
    def why_not(self, rows: int, columns: int, input_axis: int) -> str | None:
        """Why a matrix is too small for it, or None."""

    @abstractmethod
    def pooled(self, importances: Any) -> Any:
        """Importance of each part that goes or stays as one."""

    @abstractmethod
    def allowed(self, pooled: Any, input_axis: int) -> Any:
        """Which parts may stay, bool in the shape of `pooled`."""

    @abstractmethod
    def spread(self, kept: Any, rows: int, columns: int) -> Any:
        """`[rows, columns]` of what was decided for parts."""


@dataclass(frozen=True)
class Blocks(Pattern):
    """Blocks of a matrix, by their mean magnitude."""

    rows: int = 1
    columns: int = 1

    neutral = True

    def least(self, inputs: int) -> float:
        """None."""
        del inputs
        return 0.0

    def parts(self, rows: int, columns: int) -> tuple[int, int]:
        """The blocks, those at the edges included."""
        return -(-rows // self.rows), -(-columns // self.columns)

    def why_not(self, rows: int, columns: int, input_axis: int) -> str | None:
        """A block is larger than the matrix."""
        del input_axis
        if rows >= self.rows and columns >= self.columns:
            return None
        return f"a block of {(self.rows, self.columns)} is larger than its {rows}x{columns} matrix"

    def pooled(self, importances: Any) -> Any:
        """The mean of each block."""
        return block_magnitudes(importances, (self.rows, self.columns))

    def allowed(self, pooled: Any, input_axis: int) -> Any:
        """All of them."""
        del input_axis
        return tf.ones(pooled.shape, tf.bool)

    def spread(self, kept: Any, rows: int, columns: int) -> Any:
        """Every block filled with what was decided for it."""
        down = tf.repeat(kept, self.rows, 0)[:rows] if self.rows > 1 else kept
        return tf.repeat(down, self.columns, 1)[:, :columns] if self.columns > 1 else down


@dataclass(frozen=True)
class NofM(Pattern):
    """At most `n` of every `m` weights that follow each other along an output's inputs stay.

    Mishra et al., "Accelerating Sparse Deep Neural Networks" (2021), for 2 of 4. It holds from the
    first move of the mask on; a sparsity above `1 - n / m` takes further weights.

    Raises:
        SpecError: not `1 <= n <= m`.

    Example:
        >>> from tfcompress import Prune
        >>> Prune(0.5, NofM(2, 4)).block
        NofM(n=2, m=4)
    """

    n: int
    m: int

    def __post_init__(self) -> None:
        numbers = all(isinstance(x, int) and not isinstance(x, bool) for x in (self.n, self.m))
        if not numbers or not 1 <= self.n <= self.m:
            raise SpecError(
                f"NofM received n={self.n!r} and m={self.m!r}; expected whole numbers with "
                "1 <= n <= m, such as NofM(2, 4)."
            )

    @property
    def neutral(self) -> bool:
        """Whether all of them stay."""
        return self.n == self.m

    def least(self, inputs: int) -> float:
        """What does not fit."""
        return 1.0 - (inputs // self.m * self.n + min(inputs % self.m, self.n)) / inputs

    def parts(self, rows: int, columns: int) -> tuple[int, int]:
        """Every weight is one."""
        return rows, columns

    def why_not(self, rows: int, columns: int, input_axis: int) -> str | None:
        """Fewer inputs than `m`."""
        inputs = (rows, columns)[input_axis]
        if inputs >= self.m:
            return None
        return f"{self.n} of {self.m} is more than the {inputs} inputs of its matrix"

    def pooled(self, importances: Any) -> Any:
        """Every weight is a part of its own."""
        return importances

    def allowed(self, pooled: Any, input_axis: int) -> Any:
        """The most important of each group."""
        if input_axis == 1:
            return n_of_m(pooled, self.n, self.m)
        return tf.transpose(n_of_m(tf.transpose(pooled), self.n, self.m))

    def spread(self, kept: Any, rows: int, columns: int) -> Any:
        """What was decided."""
        del rows, columns
        return kept


def pattern_of(asked: Any) -> Pattern:
    """Two numbers as the blocks that they mean, anything else as it is."""
    return asked if isinstance(asked, Pattern) else Blocks(int(asked[0]), int(asked[1]))
