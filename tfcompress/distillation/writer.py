"""Writing a teacher's answers row by row, in a way that a kill at any moment does no harm to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.distillation.layout import (
    HASHES,
    ITEMS,
    LOGITS,
    META,
    Layout,
    row_hashes,
)
from tfcompress.errors import SpecError
from tfcompress.keras import tf

DTYPES = ("float16", "float32")
_DEVIATION = 0.01  # of the largest logit: what float16 and another batch size may change


class Writer:
    """Appends rows to the files of a folder, behind those that are there.

    A row counts where it is whole in every file; what lies behind the last such row is cut off.

    Args:
        folder: to write into; begun before, or empty.
        top: how many logits of a row to keep, the largest; None for all.
        dtype: "float16" or "float32".

    Raises:
        SpecError: a folder that was begun with other settings.
    """

    def __init__(self, folder: Path, top: int | None, dtype: str) -> None:
        self._folder, self._top, self._dtype = folder, top, dtype
        self._layout: Layout | None = None
        self._before = self._row = 0
        if (folder / META).exists():
            self._resume(Layout.read(folder)[0])

    def _resume(self, layout: Layout) -> None:
        if (layout.top, layout.dtype) != (self._top, self._dtype):
            raise SpecError(
                f"{self._folder} was begun with top={layout.top} and dtype={layout.dtype!r}, and "
                f"precompute received top={self._top} and dtype={self._dtype!r}; expected the "
                "same. Delete the folder to begin anew."
            )
        self._layout, self._before = layout, layout.written(self._folder)
        for name in layout.files:
            if (self._folder / name).exists():
                os.truncate(self._folder / name, self._before * layout.row_bytes(name))

    def add(self, x: Any, ask: Callable[[Any], Any]) -> None:
        """The next examples: compared where they are stored already, stored where they are not.

        Args:
            x: their features, a structure of tensors `[n, ...]`.
            ask: from features to logits `[n, ..., classes]`.

        Raises:
            SpecError: features or answers that are not those of the call before, or answers that
                cannot be stored.
        """
        hashes = row_hashes(x).numpy()
        first, self._row = self._row, self._row + len(hashes)
        known = min(max(self._before - first, 0), len(hashes))
        if known:
            self._compare_hashes(first, hashes[:known])
        if known and first == 0:
            self._compare_answers(ask(tf.nest.map_structure(lambda t: t[:known], x)))
        if known < len(hashes):
            asked = ask(tf.nest.map_structure(lambda t: t[known:], x) if known else x)
            self._append(asked, hashes[known:])

    def finish(self) -> None:
        """Notes how many rows there are; all of them are on disk then.

        Raises:
            SpecError: there were no examples, or fewer than in the call before.
        """
        if self._layout is None or self._row < self._before:
            raise SpecError(
                f"precompute received {self._row} examples; expected at least "
                f"{max(self._before, 1)} ({self._before} are in {self._folder} already). Delete "
                "that folder to begin anew."
            )
        for name in self._layout.files:
            with (self._folder / name).open("rb") as file:
                os.fsync(file.fileno())
        self._note(self._layout, self._row)

    def _append(self, asked: Any, hashes: Any) -> None:
        logits = self._logits(asked, len(hashes))
        columns: dict[str, Any] = {HASHES: hashes}
        if self._top is None:
            columns[LOGITS] = logits
        else:
            found = tf.math.top_k(logits, self._top)
            columns |= {LOGITS: found.values.numpy(), ITEMS: found.indices.numpy()}
        columns[LOGITS] = self._stored(columns[LOGITS])
        layout = self._layout or self._begun(logits.shape[-1], columns[LOGITS].shape[1:])
        if columns[LOGITS].shape[1:] != layout.shape or logits.shape[-1] != layout.classes:
            raise SpecError(
                f"The teacher gave logits {logits.shape[1:]} of an example after others of "
                f"{layout.shape}; expected one shape."
            )
        for name, (dtype, _) in layout.columns().items():
            with (self._folder / name).open("ab") as file:
                file.write(np.ascontiguousarray(columns[name], dtype).tobytes())

    def _logits(self, asked: Any, count: int) -> Any:
        logits = np.asarray(asked)
        if logits.ndim < 2 or len(logits) != count or logits.dtype.kind not in "fV":
            raise SpecError(
                f"The teacher gave an output {logits.dtype} {logits.shape} for {count} examples; "
                f"expected logits [{count}, ..., classes]."
            )
        if self._top is not None and self._top > logits.shape[-1]:
            raise SpecError(
                f"precompute received top={self._top}, and the teacher has {logits.shape[-1]} "
                f"classes; expected top <= {logits.shape[-1]}."
            )
        return logits.astype(np.float32)

    def _stored(self, logits: Any) -> Any:
        with np.errstate(over="ignore"):
            stored = logits.astype(self._dtype)
        if not np.isfinite(stored).all():
            raise SpecError(
                f"The teacher gave logits from {logits.min()} to {logits.max()}, which are not "
                f"finite in {self._dtype}; expected finite ones. Store float32, or the largest "
                "alone (top=...), or leave out what masks items."
            )
        return stored

    def _begun(self, classes: int, shape: tuple[int, ...]) -> Layout:
        self._layout = Layout(shape, classes, self._top, self._dtype)
        self._note(self._layout, None)
        return self._layout

    def _note(self, layout: Layout, rows: int | None) -> None:
        beside = self._folder / f"{META}.new"
        beside.write_text(layout.to_json(rows))
        os.replace(beside, self._folder / META)

    def _rows(self, name: str, first: int, count: int) -> Any:
        layout = self._layout or Layout.read(self._folder)[0]
        dtype, shape = layout.columns()[name]
        per_row = int(np.prod(shape, dtype=np.int64))
        offset = first * layout.row_bytes(name)
        found = np.fromfile(self._folder / name, dtype, count * per_row, offset=offset)
        return found.reshape((count, *shape))

    def _compare_hashes(self, first: int, hashes: Any) -> None:
        differ = np.flatnonzero(self._rows(HASHES, first, len(hashes)) != hashes)
        if differ.size:
            raise SpecError(
                f"The features of example {first + int(differ[0])} are not those that "
                f"{self._folder} has an answer to; expected the same data in the same order as in "
                "the call that was killed. Delete the folder to begin anew."
            )

    def _compare_answers(self, asked: Any) -> None:
        logits = np.asarray(asked).astype(np.float32)
        if self._top is not None:
            logits = tf.math.top_k(logits, min(self._top, logits.shape[-1])).values.numpy()
        stored = self._rows(LOGITS, 0, len(logits)).astype(np.float32)
        same = logits.shape == stored.shape
        allowed = _DEVIATION * max(float(np.abs(stored).max()), 1e-6)
        if not same or not float(np.abs(logits - stored).max()) <= allowed:
            raise SpecError(
                f"The teacher answers the first examples otherwise than {self._folder} has it; "
                "expected the teacher of the call that was killed. Delete the folder to begin anew."
            )
