"""How good a multi-modal recommender is, asked as a model or as a file alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tfcompress as tfc
from experiments import ranking
from experiments.data import movielens
from experiments.data.cold import Asked
from experiments.models import tf
from experiments.models.multimodal import Multimodal
from experiments.systems.fusing import Fusing, scored

FloatArray = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]

K = 10
QUESTIONS = ("warm", "cold", "among_cold")
_BATCH = 512
_NOTHING = -1e9  # the score of what cannot be scored

Scorer = Callable[[npt.NDArray[np.int32]], Scores]


def model_scorer(model: Multimodal, subject: Fusing) -> Scorer:
    """Scores of all items by a model as it is: int32 [n, length] → float32 [n, n_items + 1]."""
    n_items = subject.data.whole.n_items
    vectors, _ = model.vectors(subject.all_facts, tf.fill([n_items + 1], True))

    @tf.function
    def score(history: Any) -> Any:
        hidden = model.read(tf.gather(vectors, history), history, rows=1)
        return scored(tf.reshape(hidden, [-1, model.config.dim]), vectors)

    return lambda history: np.asarray(score(tf.constant(history)))


def file_scorer(path: Path, subject: Fusing) -> Scorer:
    """The same by a file alone: cold items are described to it once. What it cannot is nothing."""
    model, n_warm = tfc.LiteModel(path), subject.data.n_warm
    candidates = np.arange(1, n_warm + 1, dtype=np.int32)
    cold = np.arange(n_warm + 1, subject.data.whole.n_items + 1)
    vectors = None
    if "describe" in model.signatures:
        tables = subject.facts.tables
        asked = [{name: table[item : item + 1] for name, table in tables.items()} for item in cold]
        vectors = np.concatenate([model.run("describe", one)["vector"] for one in asked])

    def score(histories: npt.NDArray[np.int32]) -> Scores:
        scores = np.full((len(histories), subject.data.whole.n_items + 1), _NOTHING, np.float32)
        for row, history in enumerate(histories):
            inputs = {"history": history[None], "candidates": candidates}
            scores[row, candidates] = model.run("score", inputs)["scores"][0]
            if vectors is not None:
                user = model.run("recommend", {"history": history[None]})["user"][0]
                scores[row, cold] = vectors @ user
        return scores

    return score


def popularity_scorer(subject: Fusing) -> Scorer:
    """How often an item was seen in training, whoever asks."""
    n_items = subject.data.whole.n_items
    counts = np.bincount(np.concatenate(subject.data.warm.train), minlength=n_items + 1)
    return lambda history: np.tile(counts.astype(np.float32), (len(history), 1))


def qualities(score: Scorer, subject: Fusing, split: movielens.Split) -> dict[str, FloatArray]:
    """Each example's NDCG@10, by question.

    Args:
      score: of all items. split: which events.

    Returns:
      warm: the last event with a warm item, among all items. cold: that with a cold item, among all
      items. among_cold: the same, among the split's cold items.
    """
    warm, cold, others = subject.asked[split]
    found = _ranks(score, cold, [cold.seen, others])
    ranks = (*_ranks(score, warm, [warm.seen]), *found)
    return {name: ranking.ndcg(one, K) for name, one in zip(QUESTIONS, ranks, strict=True)}


def _ranks(
    score: Scorer, asked: Asked, left_out: Sequence[Sequence[npt.NDArray[np.integer]]]
) -> list[ranking.RankArray]:
    """Ranks of the targets, for each of several choices of what is left out."""
    ranks: list[list[ranking.RankArray]] = [[] for _ in left_out]
    for start in range(0, len(asked.target), _BATCH):
        part = slice(start, start + _BATCH)
        scores = score(asked.history[part])
        for found, items in zip(ranks, left_out, strict=True):
            found.append(ranking.rank_of_target(scores, asked.target[part], items[part]))
    return [np.concatenate(found) for found in ranks]


def validated(model: Multimodal, subject: Fusing) -> dict[str, float]:
    """Means on the validation split by question, and "both": that of warm, and among cold, films.

    Neither may be given up for the other. Among all items hardly any cold one is in the first ten.
    """
    found = qualities(model_scorer(model, subject), subject, "validation")
    means = {name: float(values.mean()) for name, values in found.items()}
    return means | {"both": (means["warm"] + means["among_cold"]) / 2}
