"""Pictures of a page, as SVG in its text: bars, histograms, intervals, a front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfcompress.page.markup import Html, element, join
from tfcompress.page.numbers import number, whole

_WIDTH, _HEIGHT = 192, 56  # of a histogram
_PLOT = (640.0, 340.0)
_LEFT, _BOTTOM, _EDGE = 64.0, 44.0, 12.0


def bars(before: float | None, after: float, largest: float) -> Html:
    """Two bars, before above after, as shares of the largest; their numbers stand beside them."""

    def bar(size: float | None, name: str) -> Html | None:
        if size is None:
            return None
        width = f"width:{max(100 * size / largest, 0.5) if largest else 0:.1f}%"
        return element("span", class_=name, style=width)

    pair = (bar(before, "bar before"), bar(after, "bar after"))
    return element("span", *pair, class_="bars", aria_hidden="true")


def one_bar(part: float | None, of: float | None) -> Html:
    """A bar, as a share of a whole."""
    return bars(None, max(part or 0.0, 0.0), of or 0.0)


def histogram(found: dict[str, Any], name: str, style: str) -> Html:
    """How weights are spread: an area over their range.

    Args:
        found: see `tfcompress.histograms.histogram`.
        name: of what is shown, for those who do not see it.
        style: `before` or `after`.
    """
    counts = found["counts"]
    step, top = _WIDTH / len(counts), max(counts) or 1
    ends = ((_HEIGHT * (1 - count / top), step * place) for place, count in enumerate(counts, 1))
    outline = "".join(f"V{y:.1f}H{x:g}" for y, x in ends)
    said = f"{name}: from {number(found['low'])} to {number(found['high'])}"
    if found["zeros"]:
        said += f", {found['zeros']:.0%} zeros"
    view = f"0 0 {_WIDTH} {_HEIGHT}"
    area = element("path", d=f"M0,{_HEIGHT}{outline}V{_HEIGHT}Z", class_=style)
    return element("svg", area, role="img", aria_label=said, viewBox=view, class_="histogram",
                   preserveAspectRatio="none")  # fmt: skip


def interval(low: float, high: float, value: float) -> Html:
    """A difference with its interval, about a line at zero."""
    reach = max(abs(low), abs(high), abs(value)) * 1.15 or 1.0

    def at(x: float) -> float:
        return round(100 + 90 * x / reach, 1)

    parts = (
        element("line", x1=100, x2=100, y1=2, y2=26, class_="axis"),
        element("line", x1=at(low), x2=at(high), y1=14, y2=14, class_="span"),
        element("circle", cx=at(value), cy=14, r=4.5, class_="point"),
    )
    said = f"Difference {value:+.4f}, interval {low:+.4f} to {high:+.4f}; the line is at zero"
    return element(
        "svg", *parts, role="img", aria_label=said, viewBox="0 0 200 28", class_="spread"
    )


@dataclass(frozen=True)
class Point:
    """A file that a search made.

    Attributes:
        name: what it is called.
        bytes: of the file.
        quality: of the file.
        kind: `front`, `within` the budget, `outside` of it, or `before`.
        latency_us: of a call; None: not measured.
    """

    name: str
    bytes: int
    quality: float
    kind: str
    latency_us: float | None = None


def scatter(points: Sequence[Point], said: str) -> Html:
    """Quality over bytes, which have a logarithmic axis; kinds differ in shape."""
    across = _Axis([math.log(point.bytes) for point in points], _LEFT, _PLOT[0] - _EDGE)
    up = _Axis([point.quality for point in points], _PLOT[1] - _BOTTOM, _EDGE)
    front = sorted((p for p in points if p.kind == "front"), key=lambda point: point.bytes)
    places = [f"{across(math.log(p.bytes)):.1f},{up(p.quality):.1f}" for p in front]
    line = element("path", d="M" + "L".join(places), class_="line") if places else None
    marks = (_mark(p, across(math.log(p.bytes)), up(p.quality)) for p in points)
    inner = (_grid(across, up), line, *marks)
    view = f"0 0 {_PLOT[0]:g} {_PLOT[1]:g}"
    return element("svg", *inner, role="img", aria_label=said, viewBox=view, class_="plot")


class _Axis:
    """From values to places between two ends."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        room = (high - low) * 0.06 or abs(low) * 0.1 or 1.0
        self.low, self.high, self.start, self.end = low - room, high + room, start, end

    def __call__(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * part for part in (0.1, 0.37, 0.63, 0.9)]


def _grid(across: _Axis, up: _Axis) -> Html:
    bottom, right = _PLOT[1] - _BOTTOM, _PLOT[0] - _EDGE
    lines = []
    for value in up.ticks():
        y = round(up(value), 1)
        lines.append(element("line", x1=_LEFT, x2=right, y1=y, y2=y, class_="grid"))
        lines.append(element("text", f"{value:.4g}", x=_LEFT - 8, y=y + 4, text_anchor="end"))
    for value in across.ticks():
        x = round(across(value), 1)
        shown = whole(round(math.exp(value), -2) or math.exp(value))
        lines.append(element("text", shown, x=x, y=bottom + 18, text_anchor="middle"))
    lines.append(element("line", x1=_LEFT, x2=right, y1=bottom, y2=bottom, class_="axis"))
    named = element("text", "bytes of the file", x=right, y=_PLOT[1] - 4, text_anchor="end")
    return join([*lines, named])


def _mark(point: Point, x: float, y: float) -> Html:
    said = element("title", f"{point.name}: {point.bytes:,} bytes, quality {point.quality:.4f}")
    d = {
        "front": f"M{x:.1f},{y - 7:.1f}l7,7l-7,7l-7,-7z",
        "within": f"M{x - 4:.1f},{y:.1f}a4,4 0 1 0 8,0a4,4 0 1 0 -8,0z",
        "outside": f"M{x - 4:.1f},{y - 4:.1f}l8,8m0,-8l-8,8",
        "before": f"M{x - 6:.1f},{y - 6:.1f}h12v12h-12z",
    }[point.kind]
    return element("path", said, d=d, class_=f"mark {point.kind}")
