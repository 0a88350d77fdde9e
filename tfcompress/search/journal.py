"""The one file that holds all that a search knows."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.whole import write_whole

NAME = "search.json"
FORMAT = 1


def write_journal(directory: Path, content: dict[str, Any]) -> None:
    """Writes the journal, whole."""
    write_whole(directory / NAME, json.dumps({"format": FORMAT, **content}))


def read_journal(directory: Path) -> dict[str, Any] | None:
    """What `write_journal` wrote last; None where there is no journal.

    Raises:
        SpecError: a file that is none, or of another format.
    """
    path = directory / NAME
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise SpecError(
            f"{path} is no journal of a search ({error}). Choose another folder."
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise SpecError(
            f"{path} is no journal of format {FORMAT}; expected one that this release wrote. "
            "Choose another folder, or go on with the release that wrote it."
        )
    return content


def check_identity(directory: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """That a journal belongs to this search.

    Raises:
        SpecError: it belongs to another one; the message names what differs.
    """
    differ = sorted(name for name in wanted if found.get(name) != wanted[name])
    if differ:
        name = differ[0]
        raise SpecError(
            f"{directory} holds a search with another {name}: {found.get(name)!r}; received "
            f"{wanted[name]!r}. Choose another directory, or delete it to start anew."
        )


def fingerprint(model: Any) -> str:
    """A short hash of a model's weights."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()[:16]


def clear_halves(directory: Path) -> None:
    """Removes what was being written when a search was killed."""
    for place in (directory, directory / "trials", directory / "weights"):
        for half in place.glob(".*"):
            if half.is_dir():
                shutil.rmtree(half, ignore_errors=True)
            else:
                half.unlink(missing_ok=True)
