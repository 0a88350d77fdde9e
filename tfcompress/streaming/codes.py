"""Tables factorized and quantized row by row, in two passes over their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.streaming.chunks import (
    Array,
    Make,
    Table,
    in_memory,
    release,
    row_slices,
    write_rows,
)
from tfcompress.streaming.factors import streamed_factors

_TINY = 1e-9  # keeps a row of zeros from dividing by zero, as in layers/grid.py


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
