"""One choice for each of several things, of least harm within a budget, found exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Point = tuple[float, float]  # cost and harm


def allocate_bits(costs: Sequence[Array], harms: Sequence[Array], budget: float) -> list[int]:
    """The choices of least total harm whose total cost keeps to the budget; of these the cheapest.

    The multiple-choice knapsack, exact up to the rounding of float64 sums. It is solved by dynamic
    programming over the undominated (cost, harm) pairs of the first items, as Pisinger, "A minimal
    algorithm for the multiple-choice knapsack problem" (1995), with states left out that the linear
    relaxation of the items to come proves no better than a greedy choice. How many states are left
    depends on the harms: few where they fall faster than costs rise, as those of bits do; as many
    as there are sums of costs where harm is a multiple of the cost.

    Args:
        costs: for each item, int `[choices]`.
        harms: for each item, float `[choices]`, finite.
        budget: for the sum of the chosen costs.

    Returns:
        For each item, the place of its choice.

    Raises:
        ValueError: even the cheapest choices cost more than the budget.

    Example:
        >>> costs, harms = [np.array([1, 4])] * 2, [np.array([5.0, 0.0]), np.array([9.0, 0.0])]
        >>> allocate_bits(costs, harms, budget=5)
        [0, 1]
    """
    least = sum(int(np.min(c)) for c in costs)
    if least > budget:
        raise ValueError(f"Received budget={budget}; expected at least {least}.")
    segments = [_segments(i, c, h) for i, (c, h) in enumerate(zip(costs, harms, strict=True))]
    # Bounds and harms are sums of other terms in another order, so they agree up to rounding only.
    best = _greedy(segments, budget) + 1e-12 * sum(float(np.abs(h).max()) for h in harms)
    cost, harm = np.zeros(1, np.int64), np.zeros(1)
    trail: list[tuple[Array, Array]] = []
    for item, (c, h) in enumerate(zip(costs, harms, strict=True)):
        state, choice = (part.reshape(-1) for part in np.indices((len(cost), len(c))))
        cost, harm = cost[state] + c[choice], harm[state] + h[choice]
        bound = _relaxed(segments[item + 1 :], budget - cost)
        order = np.flatnonzero(harm + bound <= best)
        order = order[np.lexsort((harm[order], cost[order]))]
        order = order[_undominated(harm[order])]
        cost, harm = cost[order], harm[order]
        trail.append((state[order], choice[order]))
    place, chosen = len(harm) - 1, []  # undominated: the dearest harms least
    for state, choice in reversed(trail):
        chosen.append(int(choice[place]))
        place = int(state[place])
    return chosen[::-1]


@dataclass(frozen=True)
class _Segments:
    """The lower convex hull of an item's choices, from the cheapest to the least harmful.

    Attributes:
        start: cost and harm of the cheapest choice.
        steps: `[n, 3]`: harm per cost (not above 0, rising), further cost, change of harm.
        item: which one.
    """

    start: Point
    steps: Array
    item: int


def _segments(item: int, costs: Array, harms: Array) -> _Segments:
    order = np.lexsort((harms, costs))
    order = order[_undominated(harms[order])]
    hull: list[Point] = []
    for cost, harm in zip(costs[order].astype(float), harms[order].astype(float), strict=True):
        while len(hull) > 1 and _above(hull[-2], hull[-1], (cost, harm)):
            hull.pop()
        hull.append((cost, harm))
    further = np.diff(np.array(hull), axis=0)
    # Rounding must not make a step steeper than the one before it, which has to be taken first.
    steepness = np.maximum.accumulate(further[:, 1] / further[:, 0])
    return _Segments(hull[0], np.column_stack([steepness, further]), item)


def _above(first: Point, middle: Point, last: Point) -> bool:
    """Whether the middle point lies on or above the line between the others."""
    return (middle[1] - first[1]) * (last[0] - first[0]) >= (last[1] - first[1]) * (
        middle[0] - first[0]
    )


def _undominated(harms: Array) -> Array:
    """Of states in the order of cost, whether each harms less than all before it."""
    before = np.minimum.accumulate(np.append(np.inf, harms))[:-1]
    kept: Array = harms < before
    return kept


def _relaxed(segments: Sequence[_Segments], room: Array) -> Array:
    """Least harm with so much room if choices could be mixed; infinite where it is too little."""
    least, harm = np.sum([s.start for s in segments] or [(0.0, 0.0)], axis=0)
    steps = np.concatenate([s.steps for s in segments] or [np.zeros((0, 3))])
    steps = steps[np.argsort(steps[:, 0], kind="stable")]
    costs = least + np.append(0.0, np.cumsum(steps[:, 1]))
    bound = np.interp(room, costs, harm + np.append(0.0, np.cumsum(steps[:, 2])))
    return np.where(room < least, np.inf, bound)


def _greedy(segments: Sequence[_Segments], budget: float) -> float:
    """The harm of a choice that keeps to the budget: the steepest steps that still fit."""
    room = budget - sum(s.start[0] for s in segments)
    harm = sum(s.start[1] for s in segments)
    steps = [(*step, s.item) for s in segments for step in s.steps.tolist()]
    ended: set[int] = set()
    for _, cost, change, item in sorted(steps, key=lambda step: step[0]):
        if item in ended or cost > room:
            ended.add(item)  # the steps behind it begin where this one ends
            continue
        room, harm = room - cost, harm + change
    return float(harm)
