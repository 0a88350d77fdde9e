"""Making the record: a random search that trains every spec, and the model's sensitivity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from benchmarks.search_replay.space import TECHNIQUES
from benchmarks.search_replay.table import Recorded, Row
from benchmarks.search_replay.trials import Clicked
from experiments.click_quality import quality
from experiments.data.clicks import FIELDS
from experiments.state import Array

_PROBED = 4096  # pairs that outputs are compared on


def record(
    work: Clicked, space: tfc.Space, trials: int, seed: int, folder: Path, least: float
) -> Recorded:
    """Trains so many specs of a space that are drawn at random; called again, it goes on.

    Args:
        work: what is done with each; its teacher is the model.
        space: of the specs.
        trials: how many.
        seed: decides which.
        folder: where trials and cells that are finished are kept.
        least: the quality from which on a file is worth something.
    """
    found = tfc.sensitivity(work.teacher, work.probe(_PROBED), TECHNIQUES, folder=folder / "cells")
    settings = tfc.SearchSettings(
        folder / "search", tfc.RandomDraws(), trials, seed=seed, early=tfc.ToTheEnd(),
        on_trial=_said,
    )  # fmt: skip
    objective = tfc.ImproveFront(least)
    result = tfc.search(work.teacher, space, work, objective, tfc.Budget(), settings)
    return recorded(result, found)


def recorded(result: tfc.SearchResult, found: tfc.Sensitivity) -> Recorded:
    """The trials of a search that finished."""
    rows = [
        Row(trial.values, trial.figures, trial.seconds)
        for trial in result.finished
        if trial.figures is not None
    ]
    before, objective = result.before, result.objective
    if before is None or not isinstance(objective, tfc.ImproveFront):
        raise ValueError(f"Received a search for {objective!r}; expected one of ImproveFront.")
    return Recorded(tuple(rows), before, objective.least, found)


def least_quality(training: Array, validation: Array) -> float:
    """The AUC of films by the share of their events that were clicks: worth no model.

    Args:
        training: int32 [n, fields + 1], see `Clicks.rows`. validation: the same.
    """
    films = FIELDS.index("item")
    shape = max(training[:, films].max(), validation[:, films].max()) + 1
    counts, clicks = np.ones(shape), np.full(shape, training[:, -1].mean())
    np.add.at(counts, training[:, films], 1.0)
    np.add.at(clicks, training[:, films], training[:, -1])
    said = (clicks / counts)[validation[:, films]]
    found: float = quality(validation[:, -1], said)["auc"]
    return round(found, 4)


def _said(trial: tfc.Trial) -> None:
    figures: Any = trial.figures
    shown = trial.error if figures is None else f"{figures.quality:.4f} {figures.bytes:,} bytes"
    print(f"trial {trial.number}: {shown} {trial.seconds:.1f} s", flush=True)
