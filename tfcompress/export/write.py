"""Writing a folder whole: beside its place first, then moved into it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfcompress.errors import ExportError


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to fill; it takes the place of `target` when the block ends without an error.

    Where the block fails, `target` stays what it was.

    Raises:
        ExportError: `target` is a file.
    """
    if target.exists() and not target.is_dir():
        raise ExportError(f"{target} is a file; expected a folder, or a path where none is yet.")
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield staging
        os.chmod(staging, 0o755)
        _move(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move(staging: Path, target: Path) -> None:
    if not target.exists():
        os.replace(staging, target)
        return
    before = Path(tempfile.mkdtemp(prefix=f".{target.name}.before.", dir=target.parent)) / "folder"
    os.replace(target, before)
    try:
        os.replace(staging, target)
    except OSError:
        os.replace(before, target)
        raise
    finally:
        shutil.rmtree(before.parent, ignore_errors=True)


def check_room(target: Path, needed: int) -> None:
    """That the disk of a folder that is to be written has as many bytes free.

    Raises:
        ExportError: it has not.
    """
    place = next(parent for parent in target.absolute().parents if parent.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ExportError(
            f"The file takes {needed:,} bytes, and {place} has {free:,} free. Make room, or export "
            "to another disk."
        )
