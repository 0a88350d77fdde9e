"""Tables too tall for memory, factorized and quantized row chunk by row chunk, in NumPy alone.

A table is anything with a `shape` of two numbers whose slices of rows are arrays: an array, a
`numpy.memmap`, an HDF5 data set, a `Projected`. It is read twice from end to end and never held
whole, and of a `memmap` the pages are given back behind every chunk: what a process needs does not
grow with the table.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfcompress.errors import SpecError

Array = np.ndarray[Any, Any]
Make = Callable[[str, tuple[int, ...], Any], Array]
CHUNK_BYTES = 4 << 20  # of float64: what stays in a core's cache between two passes over it
_TINY = 1e-9  # keeps a row of zeros from dividing by zero, as in layers/grid.py


class Table(Protocol):
    """What can be streamed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def __getitem__(self, rows: slice, /) -> Any:
        """Some rows, as an array."""


def row_slices(shape: tuple[int, ...], chunk_bytes: int = CHUNK_BYTES) -> Iterator[slice]:
    """Slices that go through all rows, each of at most `chunk_bytes` of float64.

    Example:
        >>> list(row_slices((5, 2), chunk_bytes=32))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows, columns = shape
    step = max(1, chunk_bytes // (8 * columns))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def release(table: Any) -> None:
    """Gives the pages of a memory-mapped file back; what was written stays in the file."""
    # A private mapping (mode "c") would lose what was written to it.
    if isinstance(table, np.memmap) and table.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        table._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


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

    def __init__(self, table: Table, basis: Array) -> None:
        self._table = table
        self._basis = basis

    @property
    def shape(self) -> tuple[int, int]:
        """Rows of the table, columns of the basis."""
        return self._table.shape[0], self._basis.shape[1]

    def __getitem__(self, rows: slice, /) -> Array:
        product = np.asarray(self._table[rows], np.float64) @ self._basis
        release(self._table)
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


def write_rows(source: Table, target: Any) -> Any:
    """Copies all rows of `source` into `target`, chunk by chunk, and returns it."""
    for rows in row_slices(source.shape):
        target[rows] = source[rows]
        release(source)
        release(target)
    return target


def in_memory(name: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """A place in memory for a result."""
    del name
    return np.zeros(shape, dtype)


def in_folder(folder: Path | str) -> Make:
    """Places in files `<name>.npy` of a folder, memory-mapped; `numpy.load` reads them."""
    Path(folder).mkdir(parents=True, exist_ok=True)

    def make(name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        path = Path(folder) / f"{name}.npy"
        return np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)

    return make


def quantized_rows(rows: Array, bits: int) -> tuple[Array, Array]:
    """Rows on symmetric grids of their own, `scale = max|row| / (2**(bits - 1) - 1)`.

    Args:
        rows: `[n, width]`.
        bits: 4 or 8.

    Returns:
        Codes, int8 `[n, width]`, or uint8 `[n, ceil(width / 2)]` with two codes of 4 bits in a
        byte, the first one in its lower half; and scales, float32 `[n]`.

    Example:
        >>> codes, scales = quantized_rows(np.array([[7.0, -3.5]]), bits=8)
        >>> codes.tolist()
        [[127, -64]]
    """
    top = 2 ** (bits - 1) - 1
    scales = (np.maximum(np.abs(rows).max(axis=1), _TINY) / top).astype(np.float32)
    levels = np.rint(rows / scales[:, None]).clip(-top, top).astype(np.int8)
    return (levels if bits == 8 else _packed(levels)), scales


def _packed(levels: Array) -> Array:
    even = levels if levels.shape[1] % 2 == 0 else np.pad(levels, [(0, 0), (0, 1)])
    return (even[:, ::2].view(np.uint8) & 15) | (even[:, 1::2].view(np.uint8) << 4)


def _unpacked(codes: Array, width: int) -> Array:
    halves = np.stack([codes & 15, codes >> 4], axis=-1).reshape(len(codes), -1)[:, :width]
    return ((halves.astype(np.int8) ^ 8) - 8).astype(np.int8)


@dataclass(frozen=True)
class StreamedTable:
    """A factorized table whose left factor is quantized row by row.

    Attributes:
        codes: see `quantized_rows`.
        scales: float32 `[rows]`.
        right: float32 `[rank, columns]`.
        bits: of a code, 4 or 8.
    """

    codes: Array
    scales: Array
    right: Array
    bits: int

    def rows(self, ids: Any) -> Array:
        """The rows of some ids, float32 `[n, columns]`."""
        codes = np.asarray(self.codes[ids])
        levels = codes if self.bits == 8 else _unpacked(codes, len(self.right))
        return (levels * np.asarray(self.scales[ids])[:, None]) @ self.right


def factorize_table(table: Table, rank: int, bits: int, make: Make = in_memory) -> StreamedTable:
    """Factorizes a table and quantizes its left factor row by row, in two passes over its rows.

    Args:
        table: `[rows, columns]`, in memory or not.
        rank: from 1 to `columns`.
        bits: 4 or 8, of the left factor.
        make: where results go: `in_memory`, or `in_folder(path)` for memory-mapped files.

    Returns:
        The codes, scales and right factor; the same numbers wherever they lie.

    Raises:
        SpecError: a rank or number of bits out of range, or see `gram`.

    Example:
        >>> table = np.outer(np.arange(1.0, 7.0), [3.0, 4.0])
        >>> small = factorize_table(table, rank=1, bits=8)
        >>> small.codes.shape, bool(np.allclose(small.rows([0, 5]), table[[0, 5]]))
        ((6, 1), True)
    """
    if bits not in (4, 8):
        raise SpecError(f"factorize_table received bits={bits}; expected 4 or 8.")
    left, right = streamed_factors(table, rank)
    width, kind = (rank, np.int8) if bits == 8 else (-(-rank // 2), np.uint8)
    codes = make("codes", (left.shape[0], width), kind)
    scales = make("scales", (left.shape[0],), np.float32)
    for rows in row_slices(table.shape):
        codes[rows], scales[rows] = quantized_rows(left[rows], bits)
        release(codes)
        release(scales)
    return StreamedTable(codes, scales, write_rows(right, make("right", right.shape, "f4")), bits)
