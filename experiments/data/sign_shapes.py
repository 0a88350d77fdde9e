"""Road signs drawn by a program, as flat textures: the shapes of the Vienna Convention of 1968."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Distance = Callable[[Array, Array], Array]  # from x and y to how far outside; negative is inside
Line = tuple[tuple[float, float], ...]  # points of a polyline, y downwards
Colour = tuple[float, float, float]

RED, WHITE, BLACK = (0.75, 0.06, 0.09), (0.92, 0.92, 0.92), (0.06, 0.06, 0.06)
BLUE, YELLOW = (0.05, 0.22, 0.62), (0.95, 0.72, 0.05)

# Digits and letters as lines between six corners of a unit box, and its middle.
_DIGITS: dict[str, Sequence[Line]] = {
    "0": [((0, 0), (1, 0), (1, 2), (0, 2), (0, 0))],
    "2": [((0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2))],
    "3": [((0, 0), (1, 0), (1, 2), (0, 2)), ((0.2, 1), (1, 1))],
    "5": [((1, 0), (0, 0), (0, 1), (1, 1), (1, 2), (0, 2))],
    "6": [((1, 0), (0, 0), (0, 2), (1, 2), (1, 1), (0, 1))],
    "8": [((0, 0), (1, 0), (1, 2), (0, 2), (0, 0)), ((0, 1), (1, 1))],
    "S": [((1, 0), (0, 0), (0, 1), (1, 1), (1, 2), (0, 2))],
    "T": [((0, 0), (1, 0)), ((0.5, 0), (0.5, 2))],
    "O": [((0, 0), (1, 0), (1, 2), (0, 2), (0, 0))],
    "P": [((0, 2), (0, 0), (1, 0), (1, 1), (0, 1))],
}


def circle(radius: float) -> Distance:
    """A disc about the centre."""
    return lambda x, y: np.hypot(x, y) - radius


def polygon(corners: int, radius: float, turned: float) -> Distance:
    """A regular polygon about the centre, by the distance to its sides' lines.

    Args:
      corners: how many. radius: to a side's middle. turned: radians, where one side's middle is.
    """

    def distance(x: Array, y: Array) -> Array:
        angles = turned + 2 * np.pi * np.arange(corners) / corners
        sides = [x * np.cos(angle) + y * np.sin(angle) - radius for angle in angles]
        return np.asarray(np.max(sides, axis=0), np.float32)

    return distance


def lines(polylines: Sequence[Line], width: float) -> Distance:
    """Polylines with round ends; `width` is half of theirs."""
    pairs = [ends for line in polylines for ends in pairwise(line)]

    def one(x: Array, y: Array, begin: tuple[float, float], end: tuple[float, float]) -> Array:
        along = np.subtract(end, begin)
        share = ((x - begin[0]) * along[0] + (y - begin[1]) * along[1]) / max(along @ along, 1e-9)
        share = np.clip(share, 0, 1)
        near_x, near_y = begin[0] + share * along[0], begin[1] + share * along[1]
        return np.hypot(x - near_x, y - near_y)

    def distance(x: Array, y: Array) -> Array:
        return np.min([one(x, y, *ends) for ends in pairs], axis=0) - width

    return distance


def written(text: str, height: float) -> Sequence[Line]:
    """A text in the centre, as polylines of this height."""
    unit, step = height / 2, 1.6
    left = -unit * (step * (len(text) - 1) + 1) / 2
    return [
        tuple((left + unit * (x + step * place), unit * (y - 1)) for x, y in line)
        for place, letter in enumerate(text)
        for line in _DIGITS[letter]
    ]


@dataclass(frozen=True)
class Sign:
    """What a sign looks like.

    Attributes:
      name: what it says.
      outer, border: the whole sign and its colour. inner, ground: what is inside the border.
      symbol, ink: what is drawn on it, None for nothing.
    """

    name: str
    outer: Distance
    border: Colour
    inner: Distance
    ground: Colour
    symbol: Distance | None = None
    ink: Colour = BLACK


def _limit(text: str) -> Sign:
    symbol = lines(written(text, 0.7), 0.07)
    return Sign(f"limit {text}", circle(0.9), RED, circle(0.66), WHITE, symbol)


def _warning(name: str, *symbol: Line) -> Sign:
    outer, inner = (polygon(3, radius, np.pi / 2) for radius in (0.47, 0.33))
    return Sign(name, outer, RED, inner, WHITE, lines(symbol, 0.08))


def _order(name: str, *symbol: Line) -> Sign:
    return Sign(name, circle(0.9), WHITE, circle(0.84), BLUE, lines(symbol, 0.1), WHITE)


_YIELD = [polygon(3, radius, -np.pi / 2) for radius in (0.47, 0.29)]
_PRIORITY = [polygon(4, radius, np.pi / 4) for radius in (0.64, 0.45)]
_STOP = [polygon(8, radius, np.pi / 8) for radius in (0.88, 0.82)]

SIGNS = (
    *(_limit(text) for text in ("20", "30", "50", "60", "80")),
    Sign(
        "no limit",
        circle(0.9),
        BLACK,
        circle(0.84),
        WHITE,
        lines([((-0.5, 0.5), (0.5, -0.5))], 0.1),
    ),
    Sign(
        "no entry",
        circle(0.9),
        WHITE,
        circle(0.86),
        RED,
        lines([((-0.5, 0), (0.5, 0))], 0.14),
        WHITE,
    ),
    Sign("stop", _STOP[0], WHITE, _STOP[1], RED, lines(written("STOP", 0.5), 0.05), WHITE),
    Sign("yield", _YIELD[0], RED, _YIELD[1], WHITE),
    Sign("priority", _PRIORITY[0], WHITE, _PRIORITY[1], YELLOW),
    _warning("bend left", ((0.14, 0.24), (0.14, 0), (-0.12, -0.22))),
    _warning("bend right", ((-0.14, 0.24), (-0.14, 0), (0.12, -0.22))),
    _warning("crossroads", ((0, 0.24), (0, -0.28)), ((-0.2, 0), (0.2, 0))),
    _warning("danger", ((0, 0.02), (0, -0.3)), ((0, 0.22), (0, 0.22))),
    _order("ahead", ((0, 0.55), (0, -0.5)), ((-0.3, -0.2), (0, -0.5), (0.3, -0.2))),
    _order("left", ((0.5, 0), (-0.5, 0)), ((-0.2, -0.3), (-0.5, 0), (-0.2, 0.3))),
    _order("right", ((-0.5, 0), (0.5, 0)), ((0.2, -0.3), (0.5, 0), (0.2, 0.3))),
    _order("keep right", ((-0.4, -0.4), (0.35, 0.35)), ((-0.1, 0.35), (0.35, 0.35), (0.35, -0.1))),
)


def texture(sign: Sign, size: int) -> Array:
    """A sign seen from its front.

    Args:
      sign: which. size: pixels of a side, that -1 to 1 is drawn on.

    Returns:
      float32 [size, size, 4]: red, green, blue and how much of a pixel the sign covers, 0 to 1.

    >>> texture(SIGNS[9], 32)[16, 16].astype(float).round(2).tolist()  # yellow, no border
    [0.95, 0.72, 0.05, 1.0]
    """
    places = ((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32)
    x, y = np.meshgrid(places, places)

    def cover(distance: Distance) -> Array:
        inside: Array = np.clip(0.5 - distance(x, y) * size / 2, 0, 1)[..., None]
        return inside

    colour: Array = np.broadcast_to(np.array(sign.border, np.float32), (size, size, 3))
    layers = [(sign.inner, sign.ground)]
    if sign.symbol is not None:
        layers.append((sign.symbol, sign.ink))
    for shape, paint in layers:
        share = cover(shape)
        colour = colour * (1 - share) + np.array(paint, np.float32) * share
    return np.concatenate([colour, cover(sign.outer)], axis=-1).astype(np.float32)
