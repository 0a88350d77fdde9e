"""Tables in row chunks: what a table is, how it is gone through, where results are put."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
Make = Callable[[str, tuple[int, ...], Any], Array]
CHUNK_BYTES = 4 << 20  # of float64: what stays in a core's cache between two passes over it


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
