"""Timing things that take turns, so that what the machine does meanwhile is everybody's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.peers.made import Call, Preparation

_WARM_UP = 3


def take_turns(runs: Mapping[str, Sequence[Preparation]], rounds: int) -> dict[str, float]:
    """Median time of a call in microseconds; what prepares it is not counted.

    Args:
        runs: for each name the calls of one round; all are made before the next one has its turn.
        rounds: how many rounds are counted, after three that are not; at least 1.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + _WARM_UP):
        for name, preparations in runs.items():
            taken = [_timed(prepare()) for prepare in preparations]
            if number >= _WARM_UP:
                times[name].extend(taken)
    return {name: float(np.median(taken) * 1e6) for name, taken in times.items()}


def _timed(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
