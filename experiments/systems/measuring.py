"""What a system's files are worth beside their teacher's: bytes, time, multiply-adds, quality."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import tfcompress as tfc
from experiments.ranking import paired_bootstrap
from experiments.systems.system import Array, Goal, Quality, Subject, System, Way

TEACHER = "teacher"
SEED = 0  # of the bootstrap

Files = Mapping[str, tfc.Exported]


def measured(system: System, subject: Subject, runs: Sequence[Files]) -> list[dict[str, Any]]:
    """A row for each way, over all runs; the test split is looked at here and nowhere else.

    Args:
      system, subject: what was run.
      runs: for each seed the files by the name of their way, and the teacher's.

    Returns:
      See `row` for what each holds.
    """
    names = [TEACHER, *(way.name for way in system.ways)]
    quality = {
        name: np.array([subject.quality(files[name].model) for files in runs]) for name in names
    }
    times = latency(runs, subject.signature, subject.calls())
    return [row(way, system.goal, runs, quality, times) for way in system.ways]


def latency(
    runs: Sequence[Files], signature: str, calls: Sequence[Mapping[str, Array]]
) -> dict[str, list[float]]:
    """Microseconds of a call in each run, by name, of files that have the signature.

    Args:
      runs: for each seed the files by name; all take turns. signature, calls: what is asked.
    """
    files = {
        f"{name}/{number}": exported.model
        for number, run in enumerate(runs)
        for name, exported in run.items()
        if signature in exported.report["multiply_adds"]
    }
    times = tfc.compare_latency(files, signature, dict.fromkeys(files, calls))
    found: dict[str, list[float]] = {}
    for name in files:
        found.setdefault(name.rsplit("/", 1)[0], []).append(times[name])
    return found


def of_both(
    name: str, runs: Sequence[Files], figure: Callable[[tfc.Exported], Any]
) -> dict[str, list[Any]]:
    """A figure of a file and of its teacher's, in each run."""
    both = {"file": name, TEACHER: TEACHER}
    return {key: [figure(run[one]) for run in runs] for key, one in both.items()}


def row(
    way: Way,
    goal: Goal,
    runs: Sequence[Files],
    quality: Mapping[str, Quality],
    times: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """One way beside the teacher.

    Of several runs `size_reduction`, `speedup` and `multiply_adds_reduction` are the least, each
    file against the teacher of its own run; qualities are means.

    Args:
      way: which. goal: what must be reached. runs: see `measured`.
      quality: of each way and the teacher, float [runs, examples].
      times: of each way and the teacher, microseconds in each run.

    Returns:
      JSON data. `quality_interval` is that of the difference, see `difference`; `gzip_bytes` are
      None of files whose tables were streamed, which nobody zips.
    """

    size = of_both(way.name, runs, lambda one: int(one.report["sizes"]["bytes"]))
    work = of_both(way.name, runs, lambda one: sum(one.report["multiply_adds"].values()))
    median = {"file": list(times[way.name]), TEACHER: list(times[TEACHER])}
    found = {
        "size_reduction": 1 - largest_share(size),
        "speedup": 1 / largest_share(median),
        "multiply_adds_reduction": 1 - largest_share(work),
        **difference(quality[way.name], quality[TEACHER]),
    }
    return {
        "way": way.name,
        **found,
        "reached": reached(found, goal),
        "bytes": size,
        "gzip_bytes": of_both(way.name, runs, lambda one: one.report["sizes"].get("gzip_bytes")),
        "multiply_adds": work,
        "median_us": median,
    }


def largest_share(figures: Mapping[str, Sequence[float]]) -> float:
    """The most that a file has of what its teacher's has, over all runs; see `of_both`."""
    return max(file / other for file, other in zip(figures["file"], figures[TEACHER], strict=True))


def difference(own: Quality, teacher: Quality) -> dict[str, Any]:
    """How far a way's quality is from the teacher's.

    The interval is the 95 % percentile bootstrap over examples (Efron, 1979), of the mean over
    runs; so it says what another draw of the test split would change, for these trainings.

    Args:
      own, teacher: float [runs, examples].

    >>> found = difference(np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 0.0]]))
    >>> found["examples_better"], found["examples_worse"], found["quality_interval"]
    (1, 0, [0.0, 1.0])
    """
    low, high = paired_bootstrap(own.mean(axis=0), teacher.mean(axis=0), SEED)
    return {
        "quality_teacher": float(teacher.mean()),
        "quality": float(own.mean()),
        "quality_difference": float(own.mean() - teacher.mean()),
        "quality_interval": [low, high],
        "examples_better": int((own > teacher).sum()),
        "examples_worse": int((own < teacher).sum()),
        "quality_of_runs": own.mean(axis=1).tolist(),
        "quality_teacher_of_runs": teacher.mean(axis=1).tolist(),
    }


def reached(found: Mapping[str, Any], goal: Goal) -> dict[str, bool]:
    """Which figures of a row are as good as its goal asks, by name.

    >>> row = {"size_reduction": 0.93, "speedup": 1.5, "quality_difference": -0.003}
    >>> reached(row, Goal(size_reduction=0.92, speedup=2.0, quality_loss=0.003))
    {'size_reduction': True, 'speedup': False, 'quality': True}
    """
    lost = -found["quality_difference"] / (found["quality_teacher"] if goal.relative else 1)
    verdict = {
        "size_reduction": found["size_reduction"] >= goal.size_reduction,
        "speedup": found["speedup"] >= goal.speedup,
        "quality": lost <= goal.quality_loss + 1e-9,  # 0.3 points are three of a thousand
    }
    if goal.multiply_adds_reduction is not None:
        enough = found["multiply_adds_reduction"] >= goal.multiply_adds_reduction
        verdict["multiply_adds_reduction"] = enough
    return verdict
