"""The section on a search: which files it made, and which of them no other one beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfcompress.page.document import Section
from tfcompress.page.numbers import microseconds, whole
from tfcompress.page.scatter import Point, Scatter
from tfcompress.page.table import Column, Table, numbers
from tfcompress.page.view import Group, View

_SHORT = {"front": "front", "within": "budget held", "outside": "budget missed", "before": "before"}
_KINDS = {
    "front": "on the front: no other file is as good, as small and as fast",
    "within": "within the budget",
    "outside": "misses the budget",
    "before": "before the search",
}


@dataclass(frozen=True)
class KindsLegend(View):
    """What the shapes in a picture of files mean.

    Attributes:
        kinds: names of kinds, and what each means.
    """

    kinds: tuple[tuple[str, str], ...]


def points_of(found: Mapping[str, Any]) -> tuple[Point, ...]:
    """The files of a search, as a report or a page of it holds them under `search`."""
    return tuple(Point(**one) for one in found["points"])


def front(found: Mapping[str, Any] | None) -> Section | None:
    """A picture and a table of what a search found; None where there was none, or no file."""
    points = () if found is None else points_of(found)
    if not points:
        return None
    present = {point.kind for point in points}
    legend = KindsLegend(tuple(one for one in _KINDS.items() if one[0] in present))
    said = f"Quality over bytes of {len(points)} files. The table has the same figures."
    plot = Scatter(points, "Picture of the search", said)
    return Section("search", "What was searched", Group((legend, plot, _table(points))))


def _table(points: Sequence[Point]) -> Table:
    columns = (Column("file"), *numbers("bytes", "quality", "µs of a call"), Column("where"))
    order = list(_KINDS)
    rows = tuple(
        (p.name, whole(p.bytes), f"{p.quality:.4f}", microseconds(p.latency_us), _SHORT[p.kind])
        for p in sorted(points, key=lambda p: (order.index(p.kind), p.bytes))
    )
    return Table("Files of the search", columns, rows)
