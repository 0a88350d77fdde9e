"""A sensitivity as a picture: a heat map for each technique, layers against strengths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.sensitivity.result import Cell, Sensitivity, strength_of
from tfcompress.sensitivity.table import families
from tfcompress.spec import Technique

Array = np.ndarray[Any, Any]
_LEAST = 1e-12  # of a logarithm


def draw(found: Sensitivity, path: Path) -> None:
    """Writes the picture; the format is the path's ending.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Sensitivity.picture needs matplotlib, which is not installed. Install it, or "
            "tfcompress with its experiments extra; `rows()` and `print` need none."
        ) from error
    named = families(found)
    paths = list(dict.fromkeys(cell.path for cell in found.cells))
    widths = [len(several) for several in named.values()]
    size = (3.0 + 1.0 * sum(widths), 2.5 + 0.35 * len(paths))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(named), squeeze=False, width_ratios=widths)[0]
    low, high = _range(found)
    for axis, (name, several) in zip(axes, named.items(), strict=True):
        image = _panel(axis, found, several, (low, high))
        axis.set_title(name)
        axis.set_yticks(range(len(paths)), paths if axis is axes[0] else [""] * len(paths))
    figure.colorbar(image, ax=list(axes), label="harm to the outputs, log10")
    figure.savefig(path, dpi=120)


def _range(found: Sensitivity) -> tuple[float, float]:
    harms = [cell.harm for cell in found.measured if cell.harm]
    logs = np.log10(np.maximum(harms or [1.0], _LEAST))
    return float(logs.min()), float(max(logs.max(), logs.min() + 1e-6))


def _panel(
    axis: Any, found: Sensitivity, techniques: Sequence[Technique], limits: tuple[float, float]
) -> Any:
    cells = {(cell.path, cell.technique): cell for cell in found.cells}
    paths = list(dict.fromkeys(cell.path for cell in found.cells))
    grid = [[cells.get((path, one)) for one in techniques] for path in paths]
    image = axis.imshow(_logs(grid), aspect="auto", cmap="YlOrRd", vmin=limits[0], vmax=limits[1])
    axis.set_facecolor("lightgrey")  # what was skipped
    labels = [strength_of(one).replace(", ", "\n") for one in techniques]
    axis.set_xticks(range(len(techniques)), labels, fontsize=6, rotation=90)
    dark = limits[0] + 0.7 * (limits[1] - limits[0])
    for y, row in enumerate(grid):
        for x, cell in enumerate(row):
            colour = "white" if _logs([[cell]])[0, 0] > dark else "black"
            axis.text(x, y, _text(cell), ha="center", va="center", fontsize=6, color=colour)
    return image


def _logs(grid: Sequence[Sequence[Cell | None]]) -> Array:
    harms = [[np.nan if c is None or c.harm is None else c.harm for c in row] for row in grid]
    logs: Array = np.log10(np.maximum(np.array(harms, float), _LEAST))
    return logs


def _text(cell: Cell | None) -> str:
    if cell is None or cell.whole is None or cell.harm is None:
        return "skipped"
    return f"{cell.harm:.2g}" if cell.whole.quality is None else f"{cell.whole.quality:.3f}"
