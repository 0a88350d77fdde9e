"""How well files foretell the events of a period, before anybody learns them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments import ranking
from experiments.models import files
from experiments.systems.stream import Cases

K = 10
FloatArray = npt.NDArray[np.float64]


def ranks_of(file: Path, cases: Cases, n_items: int, batch: int = 256) -> ranking.RankArray:
    """The place of each target among all items that its user has not had: int64 [n]."""
    score, found = files.lite_scorer(file, n_items), []
    for start in range(0, len(cases.targets), batch):
        part = slice(start, start + batch)
        scores = score(cases.histories[part])
        found.append(ranking.rank_of_target(scores, cases.targets[part], cases.seen[part]))
    return np.concatenate(found)


def figures(ranks: ranking.RankArray) -> dict[str, float]:
    """HR@10 and NDCG@10 of such places."""
    return dict(zip((f"hr@{K}", f"ndcg@{K}"), ranking.hr_ndcg(ranks, K), strict=True))


def difference(
    own: FloatArray, other: FloatArray, users: npt.NDArray[np.integer], seed: int, n: int = 2000
) -> dict[str, Any]:
    """How far a mean over events is above another, and its 95 % percentile interval.

    Users are drawn, with all their events: those of one user are alike (Davison and Hinkley,
    "Bootstrap Methods and their Application", 1997, section 3.8).

    Args:
      own, other: float [events]. users: int [events], whose they are.
      seed: of the draws. n: how many.

    >>> found = difference(np.ones(3), np.array([0.0, 1.0, 1.0]), np.array([5, 7, 7]), seed=0)
    >>> round(found["difference"], 3), found["interval"]
    (0.333, [0.0, 1.0])
    """
    _, number = np.unique(users, return_inverse=True)
    sums, counts = np.bincount(number, own - other), np.bincount(number)
    random = np.random.default_rng(seed)
    draws = (random.integers(len(sums), size=len(sums)) for _ in range(n))
    means = [sums[drawn].sum() / counts[drawn].sum() for drawn in draws]
    low, high = np.quantile(means, [0.025, 0.975])
    return {"difference": float((own - other).mean()), "interval": [float(low), float(high)]}


def together(parts: Sequence[Mapping[str, ranking.RankArray]], name: str) -> FloatArray:
    """The NDCG@10 of one system's events in all parts: float64 [events]."""
    return ranking.ndcg(np.concatenate([part[name] for part in parts]), K)
