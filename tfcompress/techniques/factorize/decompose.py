"""Singular values and factors of matrices, as plain functions of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.streaming import Table, gram, principal_directions, streamed_factors, write_rows

Array = np.ndarray[Any, Any]
_TALL = 32  # times as many rows as columns: from there on the Gram matrix is as good, and faster


def spectrum(matrix: Array | Table) -> tuple[Array, Array]:
    """Right singular vectors and singular values of a matrix, in float64.

    Args:
        matrix: `[rows, columns]`, or a table that is streamed.

    Returns:
        `[columns, n]` and `[n]`, largest first, with `n` the smaller side.

    Example:
        >>> directions, singular = spectrum(np.diag([1.0, 3.0]))
        >>> singular.tolist()
        [3.0, 1.0]
    """
    if not isinstance(matrix, np.ndarray) or len(matrix) > _TALL * matrix.shape[1]:
        return principal_directions(gram(matrix), min(matrix.shape))
    _, singular, directions = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    return directions.T, singular


def truncated_svd(matrix: Array, rank: int) -> tuple[Array, Array]:
    """The best approximation of limited rank, as two factors of equal norm.

    Eckart and Young (1936); `left = U sqrt(S)`, `right = sqrt(S) V'`. A matrix of many more rows
    than columns is taken apart by the eigenvectors of its Gram matrix, chunk by chunk.

    Args:
        matrix: `[rows, columns]`.
        rank: at most the smaller side.

    Returns:
        float32 `left [rows, rank]` and `right [rank, columns]`.

    Example:
        >>> import numpy as np
        >>> left, right = truncated_svd(np.outer([1.0, 2.0], [3.0, 4.0, 5.0]), rank=1)
        >>> bool(np.allclose(left @ right, np.outer([1, 2], [3, 4, 5])))
        True
    """
    if len(matrix) > _TALL * matrix.shape[1]:
        streamed, right = streamed_factors(matrix, rank)
        return write_rows(streamed, np.empty(streamed.shape, np.float32)), right
    u, s, vt = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    root = np.sqrt(s[:rank])
    left, right = u[:, :rank] * root, root[:, None] * vt[:rank]
    return left.astype(np.float32), right.astype(np.float32)


def projected(matrix: Array, directions: Array) -> tuple[Array, Array]:
    """The matrix projected on some directions, as two factors of equal norm.

    Args:
        matrix: `[rows, columns]`.
        directions: `[columns, rank]` with orthonormal columns.

    Returns:
        float32 `left [rows, rank]` and `right [rank, columns]`, whose product is
        `matrix @ directions @ directions'`.
    """
    left = matrix.astype(np.float64) @ directions
    root = np.sqrt(np.linalg.norm(left, axis=0))
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    return (left * inverse).astype(np.float32), (root[:, None] * directions.T).astype(np.float32)
