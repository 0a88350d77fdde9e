"""Pictures of a page, as SVG in its text: bars, histograms, intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfcompress.page.numbers import number
from tfcompress.page.view import View


@dataclass(frozen=True)
class Bars(View):
    """Two bars, before above after, as shares of the largest; their numbers stand beside them.

    Attributes:
        before: None: it has no bar.
        after: the other.
        largest: what takes all of the width.
    """

    before: float | None
    after: float
    largest: float

    @property
    def widths(self) -> list[tuple[str, float]]:
        """Kinds and widths of the bars, in percent."""
        kinds = (("before", self.before), ("after", self.after))
        return [(kind, self._width(size)) for kind, size in kinds if size is not None]

    def _width(self, size: float) -> float:
        return max(100 * size / self.largest, 0.5) if self.largest else 0.0


def one_bar(part: float | None, of: float | None) -> Bars:
    """A bar, as a share of a whole."""
    return Bars(None, max(part or 0.0, 0.0), of or 0.0)


@dataclass(frozen=True)
class BarsLegend(View):
    """Which of two bars is which."""


@dataclass(frozen=True)
class Histogram(View):
    """How weights are spread: an area over their range.

    Attributes:
        found: see `tfcompress.histograms.histogram`.
        path: of the layer.
        name: of what is shown.
        style: `before` or `after`.
    """

    found: dict[str, Any]
    path: str
    name: str
    style: str
    width = 192
    height = 56

    @property
    def corners(self) -> Iterator[tuple[float, float]]:
        """Where each column ends, and how far its top is from the upper edge."""
        counts = self.found["counts"]
        step, top = self.width / len(counts), max(counts) or 1
        for place, count in enumerate(counts, 1):
            yield step * place, self.height * (1 - count / top)

    @property
    def low(self) -> str:
        """Where the range begins."""
        return number(self.found["low"])

    @property
    def high(self) -> str:
        """Where it ends."""
        return number(self.found["high"])

    @property
    def zeros(self) -> str:
        """How many of the weights are zeros, or nothing."""
        return f"{self.found['zeros']:.0%} zeros" if self.found["zeros"] else ""

    @property
    def said(self) -> str:
        """The same in words, for those who do not see it."""
        zeros = f", {self.zeros}" if self.zeros else ""
        return f"{self.path}, {self.name}: from {self.low} to {self.high}{zeros}"


@dataclass(frozen=True)
class Interval(View):
    """A difference with its interval, about a line at zero."""

    low: float
    high: float
    value: float

    def at(self, value: float) -> float:
        """Where a value is in a picture that is 200 wide."""
        reach = max(abs(self.low), abs(self.high), abs(self.value)) * 1.15 or 1.0
        return round(100 + 90 * value / reach, 1)

    @property
    def said(self) -> str:
        """The same in words."""
        between = f"{self.low:+.4f} to {self.high:+.4f}"
        return f"Difference {self.value:+.4f}, interval {between}; the line is at zero"
