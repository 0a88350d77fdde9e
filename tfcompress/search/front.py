"""The Pareto front, and the area that it covers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Point = tuple[float, float]


def pareto_front(points: Any) -> Array:
    """Which points no other one beats: none is as small in every figure and smaller in one.

    Points that are equal are all on the front, or none of them.

    Args:
        points: `[n, figures]`, each figure the smaller the better.

    Returns:
        bool `[n]`.

    Example:
        >>> pareto_front([[1, 3], [2, 2], [3, 3]]).tolist()
        [True, True, False]
    """
    if not len(points):
        return np.zeros(0, bool)
    values = np.asarray(points, np.float64).reshape(len(points), -1)
    on_front = np.ones(len(values), bool)
    for place, point in enumerate(values):
        beaten_by = np.all(values <= point, axis=1) & np.any(values < point, axis=1)
        on_front[place] = not beaten_by.any()
    return on_front


def staircase(points: Sequence[Point]) -> list[Point]:
    """The corners of what some points cover down to (0, 0), each figure the larger the better.

    Example:
        >>> staircase([(1.0, 3.0), (2.0, 1.0), (0.5, 2.0), (-1.0, 9.0)])
        [(1.0, 3.0), (2.0, 1.0)]
    """
    corners: list[Point] = []
    for x, y in sorted(points, reverse=True):
        if x > 0.0 and y > max(0.0, corners[-1][1] if corners else 0.0):
            corners.append((x, y))
    return corners[::-1]


def area(points: Sequence[Point]) -> float:
    """What some points cover together, down to (0, 0): their hypervolume.

    Example:
        >>> area([(1.0, 3.0), (2.0, 1.0)])
        4.0
    """
    corners = staircase(points)
    starts = [0.0, *(x for x, _ in corners)]
    return sum((x - start) * y for start, (x, y) in zip(starts, corners, strict=False))


def added(corners: Sequence[Point], x: float, y: float) -> float:
    """What one more point adds to the area below the corners of a staircase.

    Example:
        >>> added([(1.0, 3.0), (2.0, 1.0)], 2.0, 2.0)
        1.0
    """
    total, start = 0.0, 0.0
    for end, height in [*corners, (float("inf"), 0.0)]:
        total += max(0.0, min(end, x) - start) * max(0.0, y - height)
        start = end
    return total
