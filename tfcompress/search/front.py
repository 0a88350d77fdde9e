"""The Pareto front."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


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
