"""Least-squares fits of a table by two smaller ones, whose rows are added or multiplied.

In all of these `rows` is float `[n, width]`, and row `i` is to be made of row `first[i]` of one
table and row `second[i]` of the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_ROUNDS = 200
_SETTLED = 1e-9  # relative gain of a round below which another one is not worth its time


def sums_by_place(rows: Array, places: Array, count: int) -> Array:
    """Sum of the rows at each place: `[n, width]` and places `[n]` to `[count, width]`.

    Example:
        >>> import numpy as np
        >>> sums_by_place(np.array([[1.0], [2.0], [4.0]]), np.array([1, 0, 1]), 3).tolist()
        [[2.0], [5.0], [0.0]]
    """
    columns = [np.bincount(places, column, count) for column in rows.T]
    return np.stack(columns, axis=1)


def means_by_place(rows: Array, places: Array, count: int) -> Array:
    """Mean of the rows at each place, zero where there are none."""
    sizes = np.bincount(places, minlength=count)
    return sums_by_place(rows, places, count) / np.maximum(sizes, 1)[:, None]


def fit_sum(
    rows: Array, first: Array, second: Array, sizes: tuple[int, int]
) -> tuple[Array, Array]:
    """The two tables whose sums come closest to the rows.

    The problem is linear; each table's best values beside the other are means, and taking turns
    descends to the least squares. Where every pair of places occurs once, one turn is exact.

    Returns:
        float64 `[sizes[0], width]` and `[sizes[1], width]`.

    Example:
        >>> import numpy as np
        >>> rows = np.array([[11.0], [21.0], [12.0], [22.0]])
        >>> a, b = fit_sum(rows, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), (2, 2))
        >>> (a[[0, 0, 1, 1]] + b[[0, 1, 0, 1]]).ravel().round(6).tolist()
        [11.0, 21.0, 12.0, 22.0]
    """
    rows = rows.astype(np.float64)
    table, other = np.zeros((sizes[0], rows.shape[1])), np.zeros((sizes[1], rows.shape[1]))
    before = np.inf
    for _ in range(_ROUNDS):
        table = means_by_place(rows - other[second], first, sizes[0])
        other = means_by_place(rows - table[first], second, sizes[1])
        error = float(np.square(rows - table[first] - other[second]).sum())
        if before - error <= _SETTLED * max(error, 1e-300):
            break
        before = error
    return table, other


def fit_product(
    rows: Array, first: Array, second: Array, sizes: tuple[int, int]
) -> tuple[Array, Array]:
    """Two tables whose products, weight by weight, come close to the rows.

    For each column a fit of rank one to a matrix of which some entries are known; taking turns,
    each table has its least squares beside the other. This is the power method where every pair of
    places occurs once, and finds the best fit then; elsewhere it may end at a lesser one.

    Returns:
        float64 `[sizes[0], width]` and `[sizes[1], width]`, of equal norm in each column.
    """
    rows = rows.astype(np.float64)
    table = np.zeros((sizes[0], rows.shape[1]))
    # Away from one sign for all, in which rows of both signs would have nothing in common.
    other = np.random.default_rng(0).normal(size=(sizes[1], rows.shape[1]))
    before = np.inf
    for _ in range(_ROUNDS):
        table = _quotients(rows, other[second], first, sizes[0])
        other = _quotients(rows, table[first], second, sizes[1])
        error = float(np.square(rows - table[first] * other[second]).sum())
        if before - error <= _SETTLED * max(error, 1e-300):
            break
        before = error
    return _balanced(table, other)


def _quotients(rows: Array, factor: Array, places: Array, count: int) -> Array:
    above = sums_by_place(rows * factor, places, count)
    return above / np.maximum(sums_by_place(factor * factor, places, count), 1e-12)


def _balanced(table: Array, other: Array) -> tuple[Array, Array]:
    norms = np.linalg.norm(table, axis=0), np.linalg.norm(other, axis=0)
    ratio = np.sqrt(np.maximum(norms[1], 1e-12) / np.maximum(norms[0], 1e-12))
    return table * ratio, other / ratio
