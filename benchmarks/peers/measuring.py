"""One row for each system: its file's bytes, quality and time, or the error that it ended with."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.peers.made import LiteFile, Made, Preparation
from benchmarks.peers.settings import setting_of
from benchmarks.peers.subject import Subject
from benchmarks.peers.systems import SYSTEMS, System, converted
from benchmarks.peers.turns import take_turns

PLAIN = "TFLite, float32"
_WORDS = re.compile(r"\W+")
_FILE = re.compile(r"\S+\.tflite")  # it lies in a folder that is gone afterwards


@dataclass(frozen=True)
class Row:
    """What one system made.

    Attributes:
        system: its name. model: the subject's name. setting: a sentence on how it was set.
        bytes: of all that a device has to hold. gzip_bytes: of the same, compressed.
        quality: of the file on the test split, in `metric`.
        p50_us: median of a call on one thread. p50_us_float32: of the file of "TFLite, float32", in
            the same run. Both are None where nothing was timed.
        error: what went wrong; then the figures that there are not are None.
    """

    system: str
    model: str
    metric: str
    setting: str
    bytes: int | None = None
    gzip_bytes: int | None = None
    quality: float | None = None
    p50_us: float | None = None
    p50_us_float32: float | None = None
    error: str | None = None


def measure(
    subject: Subject, folder: Path, systems: Mapping[str, System] = SYSTEMS, rounds: int = 30
) -> list[Row]:
    """Makes, evaluates and times the files of all systems, and this project's.

    What was made and evaluated is left in the folder; where it is, it is not made again.

    Args:
        subject: the trained model. folder: gets the files.
        systems: who makes them; all but this project's.
        rounds: in which all files take turns; 0: nothing is timed.
    """
    plain = _plain(subject, folder)
    whole = {**systems, **{name: _given(path) for name, path in subject.ours.items()}}
    rows: dict[str, dict[str, Any]] = {}
    runs: dict[str, Sequence[Preparation]] = {}
    for name, system in track(list(whole.items()), f"{subject.name}: files"):
        where = folder / _WORDS.sub("-", name)
        made = cache(partial(_make, system, subject, plain, where.with_suffix(".tflite")))
        rows[name] = _asked(made, where.with_suffix(".json"))
        if rows[name]["error"] is None and rounds:
            runs[name] = made().preparations()
    times = take_turns(runs, rounds)
    for name, taken in times.items():
        rows[name] |= {"p50_us": taken, "p50_us_float32": times[PLAIN]}
    return [
        Row(name, subject.name, subject.metric, setting_of(name), **row)
        for name, row in rows.items()
    ]


def _plain(subject: Subject, folder: Path) -> bytes:
    path = folder / "plain.tflite"
    if not path.exists():
        path.write_bytes(converted(subject))
    return path.read_bytes()


def _given(path: Path) -> System:
    return lambda subject, _: LiteFile(subject, path)


def _make(system: System, subject: Subject, plain: bytes, path: Path) -> Made:
    if path.exists():
        return LiteFile(subject, path)
    made = system(subject, plain)
    if not isinstance(made, bytes):
        return made
    path.write_bytes(made)
    return LiteFile(subject, path)


def _asked(make: Callable[[], Made], path: Path) -> dict[str, Any]:
    """Bytes and quality of what a system makes, or its error; from `path` where it is there."""
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_text())
        return known
    found: dict[str, Any] = {}
    found["error"] = _error_of(partial(_ask, make, found))
    path.write_text(json.dumps(found))
    return found


def _ask(make: Callable[[], Made], found: dict[str, Any]) -> None:
    made = make()
    content = made.contents()
    found |= {"bytes": len(content), "gzip_bytes": len(gzip.compress(content, 9))}
    found["quality"] = made.quality()


def _error_of(step: Callable[[], Any]) -> str | None:
    """What a step raised, in one line; systems raise all kinds of errors."""
    try:
        step()
    except Exception as error:
        text = _FILE.sub("the file", " ".join(str(error).split()))
        return f"{type(error).__name__}: {text[:300]}"
    return None


def record(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as JSON data."""
    return [asdict(row) for row in rows]
