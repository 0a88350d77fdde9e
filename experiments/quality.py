"""How good a recommender's file is, asked through LiteRT alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments import ranking
from experiments.data import movielens
from experiments.models import files

K = 10
SEED = 0


def file_ranks(path: Path, data: movielens.MovieLens, split: movielens.Split) -> ranking.RankArray:
    """Each user's rank of the held-out item, by the file alone: int64 [n_users].

    Args:
      path: a recommender's file. data: MovieLens-1M in whatever numbering. split: what to rank.
    """
    data = files.numbered_for(path, data)
    scorer = files.lite_scorer(path, data.n_items)
    return ranking.evaluate(scorer, data, split, files.history_length(path))


def quality(ranks: ranking.RankArray) -> dict[str, Any]:
    """HR@10 and NDCG@10 of such ranks."""
    hit_rate, ndcg = ranking.hr_ndcg(ranks, K)
    return {f"hr@{K}": hit_rate, f"ndcg@{K}": ndcg, "users": len(ranks)}


def comparison(ranks: ranking.RankArray, teacher: ranking.RankArray) -> dict[str, Any]:
    """The share of the teacher's NDCG@10 that is kept, with a paired bootstrap over users."""
    own, other = ranking.ndcg(ranks, K), ranking.ndcg(teacher, K)
    low, high = ranking.paired_bootstrap(own, other, SEED)
    return {
        f"ndcg@{K}_share": float(own.mean() / other.mean()),
        f"ndcg@{K}_difference": float(own.mean() - other.mean()),
        "difference_95_percent_interval": [low, high],
    }
