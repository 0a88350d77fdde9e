"""Factors of tables that are read row chunk by row chunk, by way of their Gram matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.streaming.chunks import Array, Table, release, row_slices


def gram(table: Table, weights: Array | None = None) -> Array:
    """`table' diag(weights) table`, summed up in float64: `[columns, columns]`.

    Args:
        table: `[rows, columns]`.
        weights: `[rows]`, none negative; by default every row weighs 1.

    Raises:
        SpecError: not two dimensions, weights that do not fit, or a number that is not finite.
    """
    _check(table, weights)
    total = np.zeros((table.shape[1],) * 2)
    for rows in row_slices(table.shape):
        part = np.asarray(table[rows], np.float64)
        if weights is not None:
            part = part * np.sqrt(np.asarray(weights[rows], np.float64))[:, None]
        total += part.T @ part
        release(table)
    if not np.isfinite(total).all():
        raise SpecError(
            "Received a table or weights with numbers that are not finite; expected finite ones. "
            "Replace NaN and infinity first."
        )
    return total


def _check(table: Table, weights: Array | None) -> None:
    if len(table.shape) != 2 or 0 in table.shape:
        raise SpecError(
            f"Received a table of shape {tuple(table.shape)}; expected rows and columns, "
            "at least one of each."
        )
    if weights is None:
        return
    if np.shape(weights) != (table.shape[0],) or (np.asarray(weights) < 0).any():
        raise SpecError(
            f"Received weights of shape {np.shape(weights)} for {table.shape[0]} rows; expected "
            "one weight for each, none negative."
        )


def principal_directions(total: Array, rank: int) -> tuple[Array, Array]:
    """The first right singular vectors of a table, and its singular values, from its Gram matrix.

    The Gram matrix holds squares, so a singular value below 1e-8 of the largest one is not told
    from 0, and is 0 here; one above 1e-6 of the largest is right within 1e-4 of itself.

    Args:
        total: `table' table`, `[columns, columns]`, float64.
        rank: how many.

    Returns:
        `[columns, rank]` with orthonormal columns, and `[rank]`, largest first.
    """
    squares, vectors = np.linalg.eigh(total)
    squares, vectors = squares[::-1][:rank], vectors[:, ::-1][:, :rank]
    noise = len(total) * np.finfo(np.float64).eps * max(float(squares[0]), 0.0)
    return vectors, np.sqrt(np.where(squares > noise, squares, 0.0))


class Projected:
    """The table `table @ basis`, made where it is sliced and held nowhere: float32.

    Args:
        table: `[rows, columns]`.
        basis: `[columns, rank]`.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, table: Table, basis: Array) -> None:
        self.table = table
        self.basis = basis

    @property
    def shape(self) -> tuple[int, int]:
        """Rows of the table, columns of the basis."""
        return self.table.shape[0], self.basis.shape[1]

    def __getitem__(self, rows: Any, /) -> Array:
        product = np.asarray(self.table[rows], np.float64) @ self.basis
        release(self.table)
        return product.astype(np.float32)


def streamed_factors(
    table: Table, rank: int, weights: Array | None = None
) -> tuple[Projected, Array]:
    """The best factors of a rank: the left one to be streamed, the right one as an array.

    With weights, the sum over rows of `weight * |row - its approximation|^2` is the smallest (Chen
    et al., "GroupReduce", 2018, weigh the rows of a table by how often they are used). Its
    solution is the projection of each row on the first right singular vectors of the weighted
    table, so that a row of weight 0 gets its projection too.

    Args:
        table: `[rows, columns]`.
        rank: from 1 to `columns`.
        weights: `[rows]`, none negative; by default every row weighs 1.

    Returns:
        `left [rows, rank]` and `right [rank, columns]`, float32, of about equal norms.

    Raises:
        SpecError: a rank out of range, or see `gram`.

    Example:
        >>> table = np.outer(np.arange(6.0), [3.0, 4.0])
        >>> left, right = streamed_factors(table, rank=1)
        >>> bool(np.allclose(left[0:6] @ right, table))
        True
    """
    if not 1 <= rank <= table.shape[-1]:
        raise SpecError(
            f"Received rank={rank} for a table of shape {tuple(table.shape)}; expected 1 to "
            f"{table.shape[-1]}."
        )
    vectors, singular = principal_directions(gram(table, weights), rank)
    root = np.sqrt(singular)
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    return Projected(table, vectors * inverse), (root[:, None] * vectors.T).astype(np.float32)
