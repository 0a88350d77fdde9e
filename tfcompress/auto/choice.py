"""One option for each layer, of least harm, within limits on several costs at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcompress.techniques.adaptive_bits import allocate_bits

Array = np.ndarray[Any, Any]
_ROUNDS = 24
_LEVELS = 1e9  # of a sum of costs


def choose(costs: Sequence[Array], harms: Sequence[Array], limits: Array) -> list[int] | None:
    """The choices of least total harm whose total costs keep to all limits, or nearly so.

    With one limit it is the multiple-choice knapsack, solved exactly (`allocate_bits`). Several are
    made one by a weighted sum of the costs, each as a share of what it has to fall by, and the
    weights of limits that are still exceeded are raised: Glover's surrogate constraints (1968).
    What comes out keeps to all limits; another choice might harm less.

    Args:
        costs: for each item, float `[choices, resources]`.
        harms: for each item, float `[choices]`, finite, not below 0.
        limits: for the sums of the chosen costs, float `[resources]`; infinite where there is none.

    Returns:
        For each item, the place of its choice; None where none was found.

    Example:
        >>> costs = [np.array([[4, 1], [1, 4]]), np.array([[4, 2], [1, 3]])]
        >>> choose(costs, [np.array([0.0, 1.0])] * 2, np.array([5.0, 5.0]))
        [0, 1]
    """
    limited = np.isfinite(limits)
    least = np.sum([cost.min(axis=0) for cost in costs], axis=0)
    if (least > limits).any():
        return None
    most = np.sum([cost.max(axis=0) for cost in costs], axis=0)
    tight = limited & (most > limits)  # the others hold whatever is chosen
    if not tight.any():
        return [int(np.argmin(harm)) for harm in harms]
    costs, limits = [cost[:, tight] for cost in costs], limits[tight]
    weights = np.ones(1) if len(limits) == 1 else 1.0 / (most[tight] - limits)
    for _ in range(_ROUNDS):
        places = _of_sum([cost @ weights for cost in costs], harms, float(limits @ weights))
        if places is None:
            return None
        total = np.sum([cost[place] for cost, place in zip(costs, places, strict=True)], axis=0)
        over = total > limits
        if not over.any():
            return places
        weights = np.where(over, 1.5 * weights, weights)
    return None


def _of_sum(costs: Sequence[Array], harms: Sequence[Array], limit: float) -> list[int] | None:
    """The exact choice for one limit; costs that are no whole numbers are made some."""
    whole = all((cost == np.rint(cost)).all() for cost in costs)
    unit = 1.0 if whole else max(float(np.abs(cost).max()) for cost in costs) / _LEVELS
    rounded = [np.floor(cost / unit).astype(np.int64) for cost in costs]
    try:
        return allocate_bits(rounded, harms, float(np.ceil(limit / unit) if not whole else limit))
    except ValueError:  # what the sum of the limits leaves no room for, they do not either
        return None
