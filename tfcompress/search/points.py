"""The files that were tried, as points that a page draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tfcompress.search.front import pareto_front


class Measured(Protocol):
    """What is known of a file: its quality, its bytes, and the microseconds of a call, if any."""

    @property
    def quality(self) -> float:
        """The more the better."""

    @property
    def bytes(self) -> int:
        """Of the file."""

    @property
    def latency_us(self) -> float | None:
        """None: not measured."""


File = tuple[str, bool, Measured]


def on_front(files: Sequence[Measured]) -> Any:
    """Which files no other one beats in quality, bytes and latency together: bool `[n]`."""
    return pareto_front([(-one.quality, one.bytes, one.latency_us or 0.0) for one in files])


def point_rows(before: Measured | None, files: Sequence[File]) -> list[dict[str, Any]]:
    """The points of a page, see `page.pictures.Point`.

    Args:
        before: what the model was as it was; None: not known.
        files: each with its name, and whether it keeps to the budget.

    Example:
        >>> from tfcompress.search.trial import Figures
        >>> good, worse = Figures(0.9, 100, None, 1, 1), Figures(0.8, 200, None, 1, 1)
        >>> rows = point_rows(None, [("a", True, good), ("b", True, worse), ("c", False, good)])
        >>> [row["kind"] for row in rows]
        ['front', 'within', 'outside']
    """
    rows = [] if before is None else [_row("before", "before", before)]
    kept = [(name, one) for name, met, one in files if met]
    unbeaten = on_front([one for _, one in kept])
    front = {name for (name, _), on in zip(kept, unbeaten, strict=True) if on}
    for name, met, one in files:
        rows.append(_row(name, "front" if name in front else "within" if met else "outside", one))
    return rows


def _row(name: str, kind: str, figures: Measured) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "bytes": figures.bytes,
        "quality": figures.quality,
        "latency_us": figures.latency_us,
    }
