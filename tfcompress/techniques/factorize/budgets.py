"""Ranks for all matrices of a rule that together keep to a number of bytes."""

from __future__ import annotations

import heapq
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.techniques.factorize.ranks import check_share, kept_energy
from tfcompress.value import Value

Array = np.ndarray[Any, Any]
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Budget(Value):
    """Bytes that all matrices of a rule share."""

    @abstractmethod
    def of(self, whole: int) -> float:
        """The bytes, where the matrices take `whole` bytes now."""


@dataclass(frozen=True)
class ByteBudget(Budget):
    """At most so many bytes for the factors and matrices of all layers of a rule, in float32.

    What a layer's rank is worth is the share of that layer's energy that it keeps: of its squared
    singular values, so that layers of large weights are not preferred. Bytes go where they keep
    most; see `allocate`. Biases, and layers that cannot be factorized, are not counted.
    `AdaptiveBits` takes it for matrices in their bits, scales included.

    Raises:
        SpecError: below 1; and in `plan`, where not even rank 1 for every layer fits.

    Example:
        >>> ByteBudget(1_000_000).bytes
        1000000
    """

    bytes: int

    def __post_init__(self) -> None:
        if isinstance(self.bytes, bool) or not isinstance(self.bytes, int) or self.bytes < 1:
            raise SpecError(f"ByteBudget received {self.bytes!r}; expected a number of bytes.")

    def of(self, whole: int) -> float:
        """The bytes."""
        return self.bytes


@dataclass(frozen=True)
class BudgetShare(Budget):
    """A `ByteBudget` of a share of the bytes that the matrices take now.

    Raises:
        SpecError: not in (0, 1]; and in `plan`, where not even rank 1 for every layer fits.

    Example:
        >>> BudgetShare(0.25).of(whole=4000)
        1000.0
    """

    share: float

    def __post_init__(self) -> None:
        check_share("BudgetShare", self.share)

    def of(self, whole: int) -> float:
        """That share of them."""
        return self.share * whole


@dataclass(frozen=True)
class _Choices:
    """The ranks worth considering for a matrix, in order; the last choice is the whole matrix."""

    bytes: Array
    kept: Array

    @classmethod
    def of(cls, shape: tuple[int, int], singular: Array) -> _Choices:
        rows, columns = shape
        saving = (rows * columns - 1) // (rows + columns)  # ranks that would make it smaller
        ranks = np.arange(1, min(saving, len(singular)) + 1)
        sizes = np.append(ranks * (rows + columns), rows * columns)
        return cls(FLOAT_BYTES * sizes, np.append(kept_energy(singular)[: len(ranks)], 1.0))

    def best_step(self, now: int, room: float) -> tuple[float, int] | None:
        """Of the larger choices that fit, the one that keeps most for each further byte."""
        cost = self.bytes[now + 1 :] - self.bytes[now]
        gain = (self.kept[now + 1 :] - self.kept[now]) / cost
        fitting = np.flatnonzero(cost <= room)
        if not len(fitting):
            return None
        best = int(fitting[np.argmax(gain[fitting])])
        return float(gain[best]), now + 1 + best


def allocate(
    shapes: Sequence[tuple[int, int]], singular: Sequence[Array], budget: Budget
) -> list[int | None]:
    """Ranks for several matrices that together keep to a budget; None: the whole matrix.

    Every matrix begins with rank 1. Then, again and again, that step is taken which keeps most for
    each byte, of all that still fit; a step may pass over several ranks. Without the last step this
    is the best that so many bytes can keep.

    Args:
        shapes: rows and columns of each.
        singular: the singular values of each, largest first.
        budget: for all of them.

    Raises:
        SpecError: rank 1 of every matrix takes more.

    Example:
        >>> import numpy as np
        >>> steep, flat = np.array([9.0, 1.0, 0.1, 0.1]), np.ones(4)
        >>> allocate([(8, 8), (8, 8)], [steep, flat], ByteBudget(4 * 16 * 4))
        [1, 3]
    """
    choices = [_Choices.of(*one) for one in zip(shapes, singular, strict=True)]
    room = budget.of(sum(int(c.bytes[-1]) for c in choices)) - sum(int(c.bytes[0]) for c in choices)
    if room < 0:
        least = sum(int(c.bytes[0]) for c in choices)
        raise SpecError(
            f"{budget!r} is too little for {len(choices)} layers; expected at least {least:,} "
            "bytes, which rank 1 for each of them takes. Allow more, or narrow the rule."
        )
    taken = [0] * len(choices)
    steps = [(-np.inf, index, 0) for index in range(len(choices))]
    while steps:
        _, index, place = heapq.heappop(steps)
        cost = choices[index].bytes[place] - choices[index].bytes[taken[index]]
        if cost <= room:
            room -= cost
            taken[index] = place
        step = choices[index].best_step(taken[index], room)
        if step is not None:
            heapq.heappush(steps, (-step[0], index, step[1]))
    return [
        None if place == len(c.bytes) - 1 else place + 1
        for c, place in zip(choices, taken, strict=True)
    ]
