"""A system from its data to its record: train, compress, ship, measure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tfcompress as tfc
from experiments.compression import provenance
from experiments.systems.learning import Run, Trained, teacher_name
from experiments.systems.measuring import TEACHER, measured
from experiments.systems.system import Subject, System

SHIPPED = ("size_reduction", "speedup", "multiply_adds_reduction", "quality_teacher", "quality",
           "quality_interval", "reached")  # fmt: skip


def record(
    system: System,
    folder: Path | None,
    seeds: Sequence[int],
    work: Path,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Trains what is not trained yet, exports all files and measures them.

    Args:
      system: which.
      folder: its data, or None for what can be fetched.
      seeds: everything is trained once for each.
      work: gets `seed-N/` with checkpoints and the exported folders `teacher` and that of each way;
        what is trained there already is not trained again.
      stop: asked between two steps.

    Returns:
      What `experiments/results/systems/NAME.json` holds.

    Raises:
      Stopped: when stopped; the same call goes on.
      ValueError: if there is no seed, or one twice, or `work` belongs to other settings.
      ExportError: if a file is not what its model computes.
    """
    check_seeds(seeds)
    begun = time.monotonic()
    subject = system.load(folder)
    runs = [Run(system, subject, seed, work / f"seed-{seed}", stop) for seed in seeds]
    trained = [_trained(run) for run in runs]
    files = [_exported(run, models) for run, models in zip(runs, trained, strict=True)]
    rows = measured(system, subject, files)
    for row, way in zip(rows, system.ways, strict=True):
        row |= way.to_data() | {"training": [models[way.name].record for models in trained]}
    return {
        "system": system.name,
        "published_techniques": system.published,
        "goal": asdict(system.goal),
        "metric": subject.metric,
        "way": rows[-1]["way"],
        **{name: rows[-1][name] for name in SHIPPED},
        "rows": rows,
        "teacher": [models[TEACHER].record for models in trained],
        "seeds": list(seeds),
        "data": dict(subject.described),
        **run_of(trained_for(trained), time.monotonic() - begun),
    }


def check_seeds(seeds: Sequence[int]) -> None:
    """That there is a seed, and none twice.

    Raises:
      ValueError: there is not.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"Received seeds={list(seeds)}, expected at least one, each once.")


def _trained(run: Run) -> dict[str, Trained]:
    most = max(way.teachers for way in run.system.ways)
    teachers = {teacher_name(number): run.teacher(number) for number in range(most)}
    networks = [teacher.network for teacher in teachers.values()]
    return teachers | {way.name: run.student(networks, way) for way in run.system.ways}


def _exported(run: Run, models: dict[str, Trained]) -> dict[str, tfc.Exported]:
    tolerances: dict[str, float | None] = {TEACHER: None}
    tolerances |= {way.name: way.tolerance for way in run.system.ways}
    return {
        name: _file(run.subject, models[name].network, run.work / name, tolerance)
        for name, tolerance in tolerances.items()
    }


def _file(subject: Subject, network: Any, folder: Path, tolerance: float | None) -> tfc.Exported:
    calls = {subject.signature: subject.calls()}
    return tfc.export(network, folder, subject.signatures(), calls, tolerance)


def trained_for(trained: Sequence[Mapping[str, Trained]]) -> float:
    """Seconds of all trainings; those of earlier runs count, too."""
    return sum(one.record["seconds"] for models in trained for one in models.values())


def run_of(training: float, seconds: float) -> dict[str, Any]:
    """How long a run took, with what it was made, and where.

    Args:
      training: seconds of all trainings, see `trained_for`.
      seconds: of this run, which may have found some of them done.
    """
    return {
        "seconds": {"training": round(training, 1), "this_run": round(seconds, 1)},
        **provenance("systems"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }
