"""The section on a search: which files it made, and which of them no other one beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfcompress.page.document import Section
from tfcompress.page.markup import Column, Html, Tables, element, join, numbers
from tfcompress.page.numbers import microseconds, whole
from tfcompress.page.pictures import Point, scatter

_SHORT = {"front": "front", "within": "budget held", "outside": "budget missed", "before": "before"}
_KINDS = {
    "front": "on the front: no other file is as good, as small and as fast",
    "within": "within the budget",
    "outside": "misses the budget",
    "before": "before the search",
}


def points_of(found: Mapping[str, Any]) -> list[Point]:
    """The files of a search, as a report or a page of it holds them under `search`."""
    return [Point(**one) for one in found["points"]]


def front(found: Mapping[str, Any] | None, tables: Tables) -> Section | None:
    """A picture and a table of what a search found; None where there was none, or no file."""
    points = [] if found is None else points_of(found)
    if not points:
        return None
    kinds = [kind for kind in _KINDS if any(point.kind == kind for point in points)]
    said = f"Quality over bytes of {len(points)} files. The table has the same figures."
    plot = element("div", scatter(points, said), class_="scroll", role="region", tabindex=0,
                   aria_label="Picture of the search")  # fmt: skip
    parts = [_legend(kinds), plot, _table(points, tables)]
    return Section("search", "What was searched", join(parts))


def _legend(kinds: Sequence[str]) -> Html:
    shapes = {
        "front": "M8,1l7,7l-7,7l-7,-7z",
        "within": "M4,8a4,4 0 1 0 8,0a4,4 0 1 0 -8,0z",
        "outside": "M4,4l8,8m0,-8l-8,8",
        "before": "M2,2h12v12h-12z",
    }
    rows = []
    for kind in kinds:
        mark = element("path", d=shapes[kind], class_=f"mark {kind}")
        shape = element("svg", mark, viewBox="0 0 16 16", aria_hidden="true")
        rows.append(element("li", shape, _KINDS[kind]))
    return element("ul", *rows, class_="legend")


def _table(points: Sequence[Point], tables: Tables) -> Html:
    columns = (Column("file"), *numbers("bytes", "quality", "µs of a call"), Column("where"))
    order = list(_KINDS)
    rows = [
        (p.name, whole(p.bytes), f"{p.quality:.4f}", microseconds(p.latency_us), _SHORT[p.kind])
        for p in sorted(points, key=lambda p: (order.index(p.kind), p.bytes))
    ]
    return tables.table("Files of the search", columns, rows)
