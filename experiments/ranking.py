"""Ranking metrics over the whole catalogue, without sampling.

Krichene and Rendle, "On Sampled Metrics for Item Recommendation", KDD 2020, is why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from experiments.data import movielens

FloatArray = npt.NDArray[np.float64]
RankArray = npt.NDArray[np.int64]
Scorer = Callable[[npt.NDArray[np.int32]], npt.NDArray[np.floating]]


def rank_of_target(
    scores: npt.NDArray[np.floating],
    target: npt.NDArray[np.integer],
    seen: Sequence[npt.NDArray[np.integer]],
) -> RankArray:
    """The place of each user's target among all items.

    Padding and seen items are left out. A tie counts against the target: a model that scores all
    items alike earns the last rank, not the first. A target that was seen before stays in.

    Args:
      scores: [B, n_items + 1], column i is item i, column 0 is padding.
      target: [B], item ids from 1.
      seen: for each user the ids of items to leave out.

    Returns:
      int64 [B], 1 is best.

    Raises:
      ValueError: if the lengths differ, or a target is not an item.
      FloatingPointError: if a score is not a number.

    >>> rank_of_target(np.array([[9.0, 3.0, 1.0, 2.0]]), np.array([3]), [np.array([1])])
    array([1])
    """
    _check(scores, target, seen)
    rows = np.arange(len(target))
    at_least = scores >= scores[rows, target][:, None]
    at_least[:, 0] = False
    for row, items in enumerate(seen):
        at_least[row, items] = False
    at_least[rows, target] = True
    ranks: RankArray = at_least.sum(axis=1, dtype=np.int64)
    return ranks


def _check(
    scores: npt.NDArray[np.floating],
    target: npt.NDArray[np.integer],
    seen: Sequence[npt.NDArray[np.integer]],
) -> None:
    if not len(scores) == len(target) == len(seen):
        raise ValueError(
            f"Received {len(scores)} rows of scores, {len(target)} targets and {len(seen)} lists "
            "of seen items, expected as many of each."
        )
    if len(target) and not 1 <= target.min() <= target.max() < scores.shape[1]:
        raise ValueError(
            f"Received targets from {target.min()} to {target.max()}, expected item ids from 1 to "
            f"{scores.shape[1] - 1}."
        )
    if np.isnan(scores).any():
        raise FloatingPointError("Received scores that are NaN, expected numbers.")


def evaluate(
    score: Scorer,
    data: movielens.MovieLens,
    split: movielens.Split,
    length: int,
    batch: int = 512,
) -> RankArray:
    """Each user's rank of the held-out item among all items not seen before.

    Args:
      score: takes histories int32 [B, length], gives scores [B, n_items + 1], column 0 is padding.
      split: "validation" or "test".
      length: how many events `score` reads.
      batch: users scored at once, at most.

    Returns:
      int64 [n_users], 1 is best.
    """
    history, target, seen = movielens.inputs(data, split, length)
    parts = [slice(start, start + batch) for start in range(0, len(target), batch)]
    ranks = [rank_of_target(score(history[part]), target[part], seen[part]) for part in parts]
    return np.concatenate(ranks)


def ndcg(ranks: RankArray, k: int = 10) -> FloatArray:
    """Each user's NDCG@k with one relevant item: 1 / log2(1 + rank) within the first k, else 0."""
    return np.where(ranks <= k, 1 / np.log2(1.0 + ranks), 0.0)


def hr_ndcg(ranks: RankArray, k: int = 10) -> tuple[float, float]:
    """Mean hit rate and NDCG at k, both in 0 … 1.

    Raises:
      ValueError: if there are no ranks, or k is below 1.

    >>> hr_ndcg(np.array([1, 3, 11]), k=10)
    (0.6666666666666666, 0.5)
    """
    if not len(ranks) or k < 1:
        raise ValueError(f"Received {len(ranks)} ranks and k={k}, expected at least 1 of each.")
    return float(np.mean(ranks <= k)), float(np.mean(ndcg(ranks, k)))


def named(ranks: RankArray, k: int = 10) -> dict[str, float]:
    """`hr_ndcg` by name, as curves of trainings hold it: "hr" and "ndcg"."""
    return dict(zip(("hr", "ndcg"), hr_ndcg(ranks, k), strict=True))


def paired_bootstrap(a: FloatArray, b: FloatArray, seed: int, n: int = 2000) -> tuple[float, float]:
    """The 95 % percentile interval of mean(a - b), resampling users.

    Args:
      a: float [users], a metric of one model. b: float [users], of the other, same users.
      seed: makes the interval reproducible.
      n: how many resamples.

    Raises:
      ValueError: if a and b differ in length or are empty.
    """
    if a.shape != b.shape or not len(a):
        raise ValueError(f"Received shapes {a.shape} and {b.shape}, expected two alike, not empty.")
    difference, random = a - b, np.random.default_rng(seed)
    means = [difference[random.integers(len(a), size=len(a))].mean() for _ in range(n)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
