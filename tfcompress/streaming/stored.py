"""A float table that lies in a file and stays there: opened, checked, read by rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.streaming.chunks import Array, Table, release, row_slices
from tfcompress.streaming.factors import Projected, streamed_factors

_AT_ONCE = 64  # rows; reading one may bring two megabytes of pages around it, until given back


class StoredTable:
    """A table `[rows, columns]` of floats, read a few rows at a time.

    Args:
        source: the path of a `.npy` file, a `numpy.memmap`, or anything else that has a `shape`
            and a `dtype` and gives arrays for slices of rows, such as an HDF5 data set.

    Raises:
        SpecError: there is no such file, it is no `.npy`, or it does not hold rows and columns of
            floats.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(folder + "/table.npy", np.eye(3, dtype=np.float32))
        ...     StoredTable(folder + "/table.npy").rows([2, 0]).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    def __init__(self, source: Any) -> None:
        self._table = _opened(source) if isinstance(source, (str, Path)) else source
        shape, kind = getattr(self._table, "shape", None), getattr(self._table, "dtype", None)
        if shape is None or kind is None or len(shape) != 2 or 0 in shape:
            raise SpecError(
                f"Received a table of shape {shape} and type {kind}; expected rows and columns, "
                "at least one of each: a .npy file, a numpy.memmap or an array."
            )
        if not np.issubdtype(kind, np.floating):
            raise SpecError(
                f"Received a table of {kind}; expected floats. Convert it first, or use a layer "
                "for codes."
            )

    def __deepcopy__(self, memo: Any) -> StoredTable:
        return self  # it is only read, and may not fit into memory once, let alone twice

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self._table.shape
        return int(rows), int(columns)

    def __getitem__(self, rows: slice | Array, /) -> Array:
        """Some rows, float32; their pages are given back.

        Args:
            rows: a slice; or of an array, mapped or not, their numbers.

        Raises:
            SpecError: one of them holds a number that is not finite.
        """
        part = np.array(self._table[rows], np.float32)
        release(self._table)
        wrong = ~np.isfinite(part).all(axis=1)
        if wrong.any():
            raise SpecError(
                f"Row {np.arange(self.shape[0])[rows][np.argmax(wrong)]} of a table holds "
                "numbers that are not finite in float32. Replace NaN and infinity first."
            )
        return part

    def rows(self, ids: Any) -> Array:
        """The rows of some ids, float32 `[n, columns]`.

        Raises:
            SpecError: an id that the table does not have, or see `__getitem__`.
        """
        wanted, places = np.unique(np.asarray(ids, np.int64), return_inverse=True)
        if len(wanted) and not 0 <= wanted[0] <= wanted[-1] < self.shape[0]:
            raise SpecError(
                f"Received ids from {wanted[0]} to {wanted[-1]} for a table of {self.shape[0]} "
                "rows; expected them to be rows of it."
            )
        if self._numbered:
            found = [self[wanted[i : i + _AT_ONCE]] for i in range(0, len(wanted), _AT_ONCE)]
        else:
            found = [self[int(one) : int(one) + 1] for one in wanted]
        return np.concatenate([np.empty((0, self.shape[1]), np.float32), *found])[places]

    @property
    def _numbered(self) -> bool:
        table = self._table
        of = table.table if isinstance(table, Projected) else table
        return of._numbered if isinstance(of, StoredTable) else isinstance(of, np.ndarray)

    def factors(self, rank: int) -> tuple[StoredTable, Array]:
        """The best factors of a rank, the left one made where it is read: `streamed_factors`.

        Raises:
            SpecError: a rank out of range, or a number that is not finite.
        """
        left, right = streamed_factors(self, rank)
        return StoredTable(left), right

    def first_columns(self, rank: int) -> StoredTable:
        """A table of the shape of a left factor, for plans, which need no more than that."""
        return StoredTable(Projected(self, np.eye(self.shape[1], rank)))

    def to_data(self) -> dict[str, Any]:
        """Where it lies, as plain data.

        Raises:
            SpecError: it lies in no file that could be named.
        """
        table = self._table
        if isinstance(table, Projected) and isinstance(table.table, StoredTable):
            return {"of": table.table.to_data(), "basis": table.basis.tolist()}
        if not isinstance(table, np.memmap) or table.filename is None or not _in_order(table):
            raise SpecError(
                f"A table held as {type(table).__name__} cannot be saved with its layer; expected "
                "one that is memory-mapped as a whole. Save it with numpy.save and pass the path."
            )
        kind, shape = table.dtype.str, list(self.shape)
        return {"file": str(table.filename), "offset": table.offset, "dtype": kind, "shape": shape}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> StoredTable:
        """The table that `to_data` named.

        Raises:
            SpecError: the file is gone or too short.
        """
        if "basis" in data:
            return cls(Projected(cls.from_data(data["of"]), np.array(data["basis"])))
        try:
            where = {"dtype": data["dtype"], "offset": data["offset"], "mode": "r"}
            return cls(np.memmap(data["file"], shape=tuple(data["shape"]), **where))
        except (OSError, ValueError) as error:
            raise SpecError(
                f"Could not open the table in {data['file']}: {error}. Put the file back."
            ) from error


def _in_order(table: Any) -> bool:
    # A slice of a map carries the offset of the whole.
    base = table.base
    return bool(table.flags.c_contiguous) and not isinstance(base, np.memmap)


def _opened(path: str | Path) -> Any:
    if not Path(path).is_file():
        raise SpecError(f"There is no file {path}; expected a table that numpy.save wrote.")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise SpecError(
            f"{path} is no table that numpy.load can map ({error}). Write it with numpy.save, or "
            "pass numpy.memmap(path, dtype, 'r', offset, shape)."
        ) from error


def magnitudes(table: Table) -> tuple[float, float]:
    """The largest magnitude of a table and its root mean square, in one pass over its rows.

    Example:
        >>> magnitudes(np.array([[3.0, -4.0]]))
        (4.0, 3.5355339059327378)
    """
    largest, squares = 0.0, 0.0
    for rows in row_slices(table.shape):
        part = np.asarray(table[rows])
        largest = max(largest, float(part.max()), -float(part.min()))
        squares += float(np.square(part, dtype=np.float64).sum())
    return largest, float(np.sqrt(squares / (table.shape[0] * table.shape[1])))
