"""The replay as a picture: what each search has reached after each trial, and what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.search_replay.table import Recorded
from tfcompress.search.front import pareto_front

Runs = Mapping[str, Mapping[str, Sequence[float]]]


def draw(runs: Runs, recorded: Recorded, share: float, path: Path) -> None:
    """Two panels, as PNG, SVG or PDF."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, own in runs.items():
        low, middle, high = np.quantile(_curves(list(own.values())), (0.25, 0.5, 0.75), axis=0)
        (line,) = left.plot(np.arange(1, len(middle) + 1), middle, label=name)
        left.fill_between(
            np.arange(1, len(middle) + 1), low, high, color=line.get_color(), alpha=0.2
        )
    left.axhline(share, color="grey", linestyle=":")
    left.set(xlabel="trials", ylabel="share of the area of the best front", xscale="log")
    left.legend(loc="lower right")
    _front(right, recorded)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _curves(runs: Sequence[Sequence[float]]) -> Any:
    """The shares after each trial: float [runs, most trials]; a run that is over stays there."""
    most = max(len(one) for one in runs)
    return np.array([[*one, *([one[-1]] * (most - len(one)))] for one in runs])


def _front(axes: Any, recorded: Recorded) -> None:
    points = np.array([(row.figures.bytes, row.figures.quality) for row in recorded.rows])
    front = points[pareto_front(points * [1, -1])]
    front = front[np.argsort(front[:, 0])]
    axes.scatter(*points.T, s=12, label=f"{len(points)} trained specs")
    axes.step(*front.T, where="post", color="black", label="their front")
    axes.axhline(recorded.least, color="grey", linestyle=":", label="worth nothing below")
    axes.set(xlabel="bytes of the file", ylabel="AUC on validation events", xscale="log")
    axes.legend(loc="lower right")
