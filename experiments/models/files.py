"""What a recommender's file can be asked, and asking it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments import ranking
from experiments.data import movielens
from experiments.models import tf
from experiments.models.numbers import ByFrequency
from experiments.models.retriever import Retriever, Tensor
from tfcompress import LiteModel, Signature

ITEMS = "items.txt"
Inputs = dict[str, npt.NDArray[np.int32]]


def signatures(config: Any, numbers: ByFrequency | None = None) -> dict[str, Signature]:
    """`recommend`: history → items, scores; `score`: history, candidates → scores.

    Args:
      config: the model's. numbers: those of its items, if the file's shall be by title.
    """
    asked = Retriever if numbers is None else ByTitle(numbers)
    history = tf.TensorSpec([1, config.length], tf.int32)
    candidates = tf.TensorSpec([None], tf.int32)
    return {
        "recommend": Signature(asked.recommend, {"history": history}),
        "score": Signature(asked.score, {"history": history, "candidates": candidates}),
    }


@dataclass(frozen=True)
class ByTitle:
    """Asks a retriever, whose items have other numbers, in those by title."""

    numbers: ByFrequency

    def recommend(self, model: Retriever, history: Tensor) -> dict[str, Tensor]:
        """See `Retriever.recommend`."""
        answer = model.recommend(self.numbers.place_of(history))
        return {**answer, "items": self.numbers.id_at(answer["items"])}

    def score(self, model: Retriever, history: Tensor, candidates: Tensor) -> dict[str, Tensor]:
        """See `Retriever.score`."""
        # The candidates last: until then a file shares every operator with `recommend`.
        logits = model.logits(model.last(self.numbers.place_of(history)))
        return {"scores": tf.gather(logits, self.numbers.place_of(candidates), axis=1)}


def example_calls(data: movielens.MovieLens, length: int, users: int = 64) -> list[Inputs]:
    """`recommend` calls of users spread over the data, as they are before the validation event."""
    history, _, _ = movielens.inputs(data, "validation", length)
    chosen = np.linspace(0, len(history) - 1, users).astype(int)
    return [{"history": history[user : user + 1]} for user in chosen]


def verification_calls(data: movielens.MovieLens, length: int) -> dict[str, list[Inputs]]:
    """Calls on which a file is compared with its Keras model."""
    calls = example_calls(data, length, users=16)
    candidates = np.arange(1, data.n_items + 1, dtype=np.int32)
    return {"recommend": calls, "score": [{**call, "candidates": candidates} for call in calls]}


def lite_scorer(path: Path, n_items: int) -> ranking.Scorer:
    """A scorer of all items, for `ranking.evaluate`, that asks the file alone.

    Args:
      path: a file with the signature `score`. n_items: ids are 1 … n_items.
    """
    model = LiteModel(path)
    candidates = np.arange(1, n_items + 1, dtype=np.int32)

    def score(histories: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        scores = np.zeros((len(histories), n_items + 1), np.float32)
        for row, history in enumerate(histories):
            inputs: dict[str, Any] = {"history": history[None], "candidates": candidates}
            scores[row, 1:] = model.run("score", inputs)["scores"][0]
        return scores

    return score


def numbered_for(path: Path, data: movielens.MovieLens) -> movielens.MovieLens:
    """The data with items numbered as the file's are: by the items.txt beside it, if there is one.

    Line i of it is the title of item i.

    Raises:
      ValueError: if it names other items than the data.
    """
    listed = path.parent / ITEMS
    if not listed.exists():
        return data
    titles = listed.read_text("utf-8").removesuffix("\n").split("\n")
    return movielens.renumbered(data, ("", *titles))


def history_length(path: Path) -> int:
    """How many events a file reads."""
    return int(LiteModel(path).input_shape("recommend", "history")[1])
