"""Pictures of a search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress.errors import SearchError
from tfcompress.search.front import pareto_front

if TYPE_CHECKING:
    from tfcompress.search.result import SearchResult


def draw(result: SearchResult, path: Path) -> Path:
    """Quality against bytes and against latency; see `SearchResult.draw`."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SearchError(
            "Pictures need matplotlib, which is not installed. Install tfcompress[search]."
        ) from error
    if not result.finished:
        raise SearchError(f"None of {len(result.trials)} trials finished; nothing can be drawn.")
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, result, "bytes", "bytes of the file")
    _panel(right, result, "latency_us", "microseconds of a call")
    left.set_ylabel("quality on validation data")
    left.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _panel(axes: Any, result: SearchResult, name: str, label: str) -> None:
    within = {trial.number for trial in result.within}
    groups = {
        "trials": [t for t in result.finished if t.number in within],
        "misses the budget": [t for t in result.finished if t.number not in within],
    }
    for (group, trials), marker in zip(groups.items(), ("o", "x"), strict=True):
        figures = [t.figures for t in trials if t.figures is not None]
        places = [getattr(one, name) for one in figures]
        axes.scatter(places, [one.quality for one in figures], marker=marker, label=group)
    points = sorted((getattr(t.figures, name), t.figures.quality)
                    for t in result.within if t.figures is not None)  # fmt: skip
    front = [p for p, on in zip(points, pareto_front([(x, -y) for x, y in points]), strict=True)
             if on]  # fmt: skip
    axes.step([x for x, _ in front], [y for _, y in front], where="post", label="front")
    if result.before is not None:
        place = [getattr(result.before, name)]
        axes.scatter(place, [result.before.quality], marker="*", label="before")
    axes.set_xlabel(label)
    axes.set_xscale("log")
