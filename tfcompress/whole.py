"""Writing a file whole: beside its place first, then moved into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A place to write a file to, which is moved to `path` behind a block that raised nothing.

    It is hidden, in the same folder, which is made if need be, and has the same suffix. Whoever
    reads `path` sees all of the file or what was there before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        yield place
        os.replace(place, path)
    finally:
        place.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> Path:
    """Writes a text beside its place, on the disk, and moves it there. Returns `path`."""
    with beside(path) as place, place.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return path
