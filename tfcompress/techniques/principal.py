"""The arithmetic of a table in tiers: which rows are found, along which axes, in which codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LEVELS = 7  # the largest code of 4 bits
BASE = 2 * LEVELS + 1  # two codes of 4 bits are a number of two digits
_CHUNK = 65_536  # rows that are coded at a time
_CLIP, _WIDE_CLIP = 2.9, 4.5  # standard deviations at which codes of one and of two digits end
_RIDGE = 1e-4  # of the vectors' mean square: what no vector asks for is not worth nothing


def best_rows(table: Array, vectors: Array, k: int) -> Array:
    """The rows with the largest inner products, in no order.

    Args:
        table: float `[rows, width]`.
        vectors: float `[n, width]`.
        k: how many, at most `rows`.

    Returns:
        int32 `[n, k]`.
    """
    found = np.empty((len(vectors), k), np.int32)
    step = max(1, (1 << 25) // len(table))
    for start in range(0, len(vectors), step):
        scores = vectors[start : start + step] @ table.T
        for place, row in enumerate(scores, start):
            found[place] = _largest(row, k)
    return found


def _largest(row: Array, k: int) -> Array:
    # Of every 16th number the k largest bound what may be among the k largest of all.
    few = row[::16]
    if len(few) <= k:
        return np.argpartition(-row, k - 1)[:k]
    likely = np.flatnonzero(row >= np.partition(few, len(few) - k)[len(few) - k])
    return likely[np.argpartition(-row[likely], k - 1)[:k]]


def most_found(found: Array, table: Array, count: int) -> Array:
    """The rows that are found most often; of equals, those of the larger norm.

    Args:
        found: int `[n, k]`, rows of the table.
        table: float `[rows, width]`.
        count: how many.

    Returns:
        int64 `[count]`, ascending.

    Example:
        >>> most_found(np.array([[2, 1], [2, 0]]), np.array([[1.0], [3.0], [2.0]]), 2).tolist()
        [1, 2]
    """
    often = np.bincount(found.ravel(), minlength=len(table))
    norms = np.einsum("nd,nd->n", table, table)
    order = np.lexsort((-norms, -often))
    return np.sort(order[:count])


@dataclass(frozen=True)
class Axes:
    """Coordinates in which inner products are kept, and a row's error is one of its score.

    Attributes:
        center: float `[width]`, where they begin.
        to: float `[width, width]`; a row's coordinates are `(row - center) @ to`.
        back: float `[width, width]`, the inverse.
    """

    center: Array
    to: Array
    back: Array


def principal_axes(vectors: Array, rows: Array) -> Axes:
    """Axes along which the vectors that rows meet are alike, and rows vary most along the first.

    The inner product of an error `e` with the vectors has the mean square `e @ C @ e`, where `C` is
    theirs. In the coordinates `x @ sqrt(C)` that is the squared length of the error, and the
    principal axes there are those that matter most for scores.

    Args:
        vectors: float `[pairs, width]`, and
        rows: float `[pairs, width]`, which they meet.

    Returns:
        Axes, in float64.
    """
    vectors, rows = vectors.astype(np.float64), rows.astype(np.float64)
    width = rows.shape[1]
    square = vectors.T @ vectors / len(vectors)
    square += (_RIDGE * np.trace(square) / width + 1e-12) * np.eye(width)
    values, directions = np.linalg.eigh(square)
    root = directions * np.sqrt(values) @ directions.T
    center = rows.mean(0)
    scatter = np.cov((rows - center) @ root, rowvar=False, bias=True).reshape(width, width)
    turned = np.linalg.eigh(scatter)[1][:, ::-1]
    inverse = directions / np.sqrt(values) @ directions.T
    return Axes(center, root @ turned, turned.T @ inverse)


def mixed(axes: Axes, groups: list[int]) -> Axes:
    """The axes with those of each group turned among themselves, so that all vary about alike.

    Args:
        axes: as `principal_axes` gives them.
        groups: sizes of the groups, from the first axis on.
    """
    rng = np.random.default_rng(0)
    turn, start = np.eye(len(axes.center)), 0
    for size in groups:
        part = slice(start, start + size)
        turn[part, part] = np.linalg.qr(rng.standard_normal((size, size)))[0]
        start += size
    return Axes(axes.center, axes.to @ turn, turn.T @ axes.back)


@dataclass(frozen=True)
class Columns:
    """What codes of 4 bits stand for: a row is `center + codes @ columns`, nearly.

    Attributes:
        axes: the coordinates.
        steps: float `[used]`, between two levels along each axis that is used.
        wide: along how many leading axes a code has two digits.
    """

    axes: Axes
    steps: Array
    wide: int

    @property
    def matrix(self) -> Array:
        """Float32 `[width, width]`: first digits, then axes of one, then second digits."""
        rows = self.axes.back[: len(self.steps)] * self.steps[:, None]
        wide = rows[: self.wide]
        return np.concatenate([BASE * wide, rows[self.wide :], wide]).astype(np.float32)

    def codes(self, table: Array) -> Array:
        """Codes int8 `[rows, width]` from -7 to 7, in the order of `matrix`, of a table."""
        parts = [self._codes(table[i : i + _CHUNK]) for i in range(0, len(table), _CHUNK)]
        return np.concatenate(parts)

    def rows(self, codes: Array) -> Array:
        """The rows `[n, width]` that codes `[n, width]` stand for, float32."""
        center = self.axes.center.astype(np.float32)
        stood: Array = center + codes.astype(np.float32) @ self.matrix
        return stood

    def _codes(self, rows: Array) -> Array:
        to = (self.axes.to[:, : len(self.steps)] / self.steps).astype(np.float32)
        levels = np.rint((rows - self.axes.center.astype(np.float32)) @ to)
        most = LEVELS * (BASE + 1)
        wide = np.clip(levels[:, : self.wide], -most, most)
        first = np.rint(wide / BASE)
        narrow = np.clip(levels[:, self.wide :], -LEVELS, LEVELS)
        return np.concatenate([first, narrow, wide - BASE * first], 1).astype(np.int8)


def fitted_columns(vectors: Array, rows: Array, wide: int) -> Columns:
    """The columns for rows that meet these vectors; the `wide` least axes of all have none.

    Args:
        vectors: float `[pairs, width]`.
        rows: float `[pairs, width]`.
        wide: leading axes with codes of two digits, at most half the width.
    """
    width = rows.shape[1]
    used = width - wide
    axes = mixed(principal_axes(vectors, rows), [wide, used - wide])
    deviations = ((rows - axes.center) @ axes.to[:, :used]).std(0)
    ends = np.full(used, LEVELS / _CLIP)
    ends[:wide] = LEVELS * (BASE + 1) / _WIDE_CLIP
    return Columns(axes, np.maximum(deviations, 1e-9) / ends, wide)
