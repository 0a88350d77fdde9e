"""One row for each system: its file's bytes, quality and time, or the error that it ended with."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import track

import tfcompress as tfc
from benchmarks.peers.subject import Subject
from benchmarks.peers.systems import SYSTEMS, System, converted

PLAIN = "TFLite, float32"
_FILE = re.compile(r"\S+\.tflite")  # it lies in a folder that is gone afterwards


@dataclass(frozen=True)
class Row:
    """What one system made.

    Attributes:
        system: its name and setting. model: the subject's name.
        bytes: of the file. gzip_bytes: of the file, compressed.
        quality: of the file on the test split, in `metric`.
        p50_us: median of a call on one thread. p50_us_float32: of the file of "TFLite, float32", in
            the same run.
        error: what went wrong; then the figures that there are not are None.
    """

    system: str
    model: str
    metric: str
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

    Args:
        subject: the trained model. folder: gets the files.
        systems: who makes them; all but this project's.
        rounds: of `compare_latency`, in which all files take turns.
    """
    plain = converted(subject)
    rows: dict[str, dict[str, Any]] = {}
    paths: dict[str, Path] = dict(subject.ours)
    for name, system in track(list(systems.items()), f"{subject.name}: making files"):
        path = folder / f"{len(paths):02d}.tflite"
        error = _error_of(partial(_make, system, subject, plain, path))
        rows[name] = {"error": error}
        if error is None:
            paths[name] = path
    for name, path in track(list(paths.items()), f"{subject.name}: asking them"):
        found: dict[str, Any] = {}
        error = _error_of(partial(_ask, subject, path, found))
        rows[name] = {**found, "error": error}
    runs = {name: path for name, path in paths.items() if rows[name]["error"] is None}
    calls = {name: subject.calls(path) for name, path in runs.items()}
    times = tfc.compare_latency(runs, subject.timed, calls, rounds)
    for name, taken in times.items():
        rows[name] |= {"p50_us": taken, "p50_us_float32": times[PLAIN]}
    return [Row(name, subject.name, subject.metric, **row) for name, row in rows.items()]


def _make(system: System, subject: Subject, plain: bytes, path: Path) -> None:
    path.write_bytes(system(subject, plain))


def _ask(subject: Subject, path: Path, found: dict[str, Any]) -> None:
    content = path.read_bytes()
    found |= {"bytes": len(content), "gzip_bytes": len(gzip.compress(content, 9))}
    found["quality"] = subject.quality(path)


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
