"""A picture of files: their quality over their bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tfcompress.page.numbers import whole
from tfcompress.page.view import View

Place = tuple[float, float]


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

    @property
    def told(self) -> str:
        """Its figures in words."""
        return f"{self.bytes:,} bytes, quality {self.quality:.4f}"


@dataclass(frozen=True)
class Scatter(View):
    """Quality over bytes, which have a logarithmic axis; kinds differ in shape.

    Attributes:
        points: the files, at least one.
        name: of the box that the picture scrolls in.
        said: the picture in words.
    """

    points: tuple[Point, ...]
    name: str
    said: str
    width, height = 640, 340
    left, right, top, bottom = 64, 628, 12, 296

    @cached_property
    def _across(self) -> _Axis:
        return _Axis([math.log(point.bytes) for point in self.points], self.left, self.right)

    @cached_property
    def _up(self) -> _Axis:
        return _Axis([point.quality for point in self.points], self.bottom, self.top)

    @property
    def heights(self) -> list[tuple[float, str]]:
        """Where the axis of quality has which figure."""
        return [(round(self._up(value), 1), f"{value:.4g}") for value in self._up.ticks()]

    @property
    def widths(self) -> list[tuple[float, str]]:
        """Where the axis of bytes has which figure."""
        ticks = self._across.ticks()
        return [
            (round(self._across(value), 1), whole(round(math.exp(value), -2) or math.exp(value)))
            for value in ticks
        ]

    @property
    def marks(self) -> list[tuple[float, float, Point]]:
        """Where each file is."""
        return [(*self._place(point), point) for point in self.points]

    @property
    def front(self) -> list[Place]:
        """Where the files on the front are, the smallest first."""
        on_it = (point for point in self.points if point.kind == "front")
        return [self._place(point) for point in sorted(on_it, key=lambda point: point.bytes)]

    def _place(self, point: Point) -> Place:
        return round(self._across(math.log(point.bytes)), 1), round(self._up(point.quality), 1)


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
