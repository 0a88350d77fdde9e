"""Finished cells in a file, a line each: an interrupted measurement goes on where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.sensitivity.result import Cell
from tfcompress.spec import Technique
from tfcompress.value import from_data, to_data

FILE = "cells.jsonl"


class Journal:
    """Cells by path and technique. Each is on the disk before the next one is begun.

    The first line says what was measured. A line that was not finished when the process ended is
    taken off.

    Args:
        folder: the folder of the file; None: nothing is kept.
        identity: what cells depend on besides path and technique, as JSON has it.

    Raises:
        SpecError: the folder has cells of something else.
    """

    def __init__(self, folder: Path | None, identity: dict[str, Any]) -> None:
        self._path = None if folder is None else folder / FILE
        self._found: dict[tuple[str, Technique], Cell] = {}
        if self._path is not None:
            self._open(self._path, identity)

    def _open(self, path: Path, identity: dict[str, Any]) -> None:
        text = path.read_bytes() if path.exists() else b""
        *lines, torn = text.split(b"\n")
        if not lines:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            self._append(path, identity)
            return
        found = json.loads(lines[0])
        if found != identity:
            differ = sorted(k for k in {**found, **identity} if found.get(k) != identity.get(k))
            raise SpecError(
                f"{path} has cells of another measurement: {', '.join(differ)} differ. Expected "
                "the same model, data and harm; choose another folder, or delete it."
            )
        if torn:
            os.truncate(path, len(text) - len(torn))
        cells = [from_data(json.loads(line)) for line in lines[1:]]
        self._found = {(cell.path, cell.technique): cell for cell in cells}

    def get(self, path: str, technique: Technique) -> Cell | None:
        """The finished cell, if there is one."""
        return self._found.get((path, technique))

    def add(self, cell: Cell) -> None:
        """Keeps a finished cell."""
        self._found[cell.path, cell.technique] = cell
        if self._path is not None:
            self._append(self._path, to_data(cell))

    @staticmethod
    def _append(path: Path, data: dict[str, Any]) -> None:
        with path.open("ab") as file:
            file.write(json.dumps(data).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
