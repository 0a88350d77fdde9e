"""Carrying a trial out."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.apply import apply
from tfcompress.outcomes import Costs
from tfcompress.search.known import Known
from tfcompress.search.trial import Ending, Figures, Trial
from tfcompress.search.weights import keep_weights, take_weights
from tfcompress.search.work import Work

GoesOn = Callable[[int, float], bool]


@dataclass
class Place:
    """What trials need.

    Attributes:
        known: model, space and budget.
        work: what is done with a student.
        directory: for files.
        seed: of the search.
        worker: who works here.
        keeps_weights: whether students may be trained further later.
    """

    known: Known
    work: Work
    directory: Path
    seed: int
    worker: str
    keeps_weights: bool = False

    def folder(self, number: int) -> Path:
        """Of a trial's file."""
        return self.directory / "trials" / f"{number:04d}"

    def weights(self, number: int) -> Path:
        """Of a trial's trained student."""
        return self.directory / "weights" / f"{number:04d}.npz"


@dataclass(frozen=True)
class Task:
    """One trial to carry out.

    Attributes:
        number: of the trial.
        values: by name.
        parts: of the training; they start behind those of `further`.
        further: the trial whose student is trained further; None: the model's own weights.
    """

    number: int
    values: Mapping[str, Any]
    parts: range
    further: int | None = None


def carry_out(place: Place, task: Task, goes_on: GoesOn) -> Trial:
    """The trial, whatever came of it.

    Args:
        place: what trials need.
        task: which one.
        goes_on: asked behind every part but the last (from 1) with the quality there.
    """
    started = time.monotonic()
    values = place.known.active(task.values)
    trial = Trial(task.number, values, place.known.spec(values), Ending.FAILED, worker=place.worker)
    trial = replace(trial, costs=place.known.costs(trial.spec))
    try:
        trial = _carried_out(place, task, trial, goes_on)
    except Exception:
        trial = replace(trial, error=traceback.format_exc())
    return replace(trial, seconds=round(time.monotonic() - started, 3))


def _carried_out(place: Place, task: Task, trial: Trial, goes_on: GoesOn) -> Trial:
    costs: Costs = trial.costs  # type: ignore[assignment]
    started = time.monotonic()
    with place.work.scope():
        student = apply(place.known.model, trial.spec)
    qualities, whole = _trained(place, task, student, goes_on)
    trained = round(time.monotonic() - started, 3)
    trial = replace(trial, qualities=qualities, training_seconds=trained)
    if not whole:
        reached = partial_figures(costs, place.known.bytes(trial.spec), qualities[-1])
        return replace(trial, figures=reached, ending=Ending.ENDED_EARLY)
    file = place.work.export(student, place.folder(task.number)).model
    figures = figures_of(place.work, file, costs)
    folder = str(place.folder(task.number))
    return replace(trial, figures=figures, folder=folder, ending=Ending.FINISHED)


def figures_of(work: Work, file: Path, costs: Costs) -> Figures:
    """Those of a file: its quality, its bytes and its time are measured.

    Raises:
        ValueError: a quality that is no number.
    """
    quality = float(work.quality(file))
    if not np.isfinite(quality):
        raise ValueError(f"The quality of {file} is {quality}; expected a number.")
    latency = round(work.latency_us(file), 3)
    size = file.stat().st_size
    return Figures(quality, size, latency, costs.parameters, costs.multiply_adds)


def partial_figures(costs: Costs, size: int, quality: float) -> Figures:
    """Those of a student without a file, whose bytes are told."""
    return Figures(quality, size, None, costs.parameters, costs.multiply_adds)


def _trained(
    place: Place, task: Task, student: Any, goes_on: GoesOn
) -> tuple[tuple[float, ...], bool]:
    """The qualities behind its parts, and whether it was trained in all of them."""
    parts = task.parts
    before = None if task.further is None else place.weights(task.further)
    if before is not None and before.exists():
        take_weights(student, before)
    else:
        parts = range(parts.stop)  # its weights are on another machine: from the start, then
    qualities: list[float] = []
    training = place.work.train(student, parts, place.seed + 1000 * task.number)
    for part, quality in zip(parts, training, strict=False):
        qualities.append(float(quality))
        if part + 1 < parts.stop and not goes_on(part + 1, float(quality)):
            training.close()  # type: ignore[attr-defined]
            return tuple(qualities), False
    if place.keeps_weights:
        keep_weights(student, place.weights(task.number))
    return tuple(qualities), True
