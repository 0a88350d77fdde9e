"""What retrieval models are asked while they are measured, and how auto trains them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from experiments import ranking
from experiments.compression import K, Recipe, items_text, started
from experiments.data import movielens
from experiments.models import files, store, tf
from experiments.models.linear import assisted
from experiments.models.student import forward_on
from experiments.task import Subject

_BATCH = 256


def logits(model: Any, history: Any) -> Any:
    """Scores of all items but padding: int32 [B, length] → float32 [B, n_items]."""
    return model.logits(model.last(history))[:, 1:]


class Ndcg:
    """NDCG@10 on validation; of a model that it is given again it keeps the compiled scorer.

    Args:
      data: MovieLens-1M. length: how many events models read.
    """

    def __init__(self, data: movielens.MovieLens, length: int) -> None:
        self._data, self._length = data, length
        self._known: tuple[Any, Callable[..., Any]] | None = None

    def __call__(self, model: Any) -> float:
        """Of a model as it is."""
        if self._known is None or self._known[0] is not model:
            self._known = model, store.scorer(model)
        ranks = ranking.evaluate(self._known[1], self._data, "validation", self._length)
        return ranking.hr_ndcg(ranks, K)[1]


def probe(data: movielens.MovieLens, length: int, users: int, quality: bool) -> tfc.Probe:
    """What a retrieval model is asked: users spread over the data, before the validation event."""
    history, _, _ = movielens.inputs(data, "validation", length)
    chosen = np.linspace(0, len(history) - 1, min(users, len(history))).astype(int)
    batches = np.array_split(history[chosen], max(1, len(chosen) // _BATCH))
    metric = Ndcg(data, length) if quality else None
    return tfc.Probe(batches, logits, tfc.Divergence(), metric)


def training(recipe: Recipe, teacher: Any, data: movielens.MovieLens, epochs: int) -> tfc.Training:
    """How a recipe trains, as `tfcompress.auto` takes it.

    Args:
      recipe: a recipe. teacher: its teacher, numbered as the data. data: MovieLens-1M.
      epochs: in place of the recipe's.
    """
    windows = movielens.windows(data, teacher.config.length, fresh=recipe.fresh, onward=True)
    seed, batch = recipe.training.seed, recipe.training.batch
    shuffled = tf.data.Dataset.from_tensor_slices(windows).shuffle(len(windows), seed)
    teaching = tfc.Teaching(
        tfc.Distill(recipe.temperature, recipe.weight),
        assisted(teacher, data.train, recipe.linear),
        forward_on(recipe.positions, recipe.fresh, recipe.dropped),
    )
    return tfc.Training(
        shuffled.batch(batch, drop_remainder=True),
        epochs,
        recipe.training.peak_learning_rate,
        teaching=teaching,
        xla=recipe.training.xla,
    )


def subject(recipe: Recipe, folder: Path, data: movielens.MovieLens, epochs: int) -> Subject:
    """A recipe's student, with what auto needs; see `task.Task.subject`."""
    start = started(recipe, folder, data)
    student, length = start.student, start.student.config.length
    shipping = tfc.Shipping(
        files.signatures(student.config, start.numbers),
        files.verification_calls(data, length),
        files={files.ITEMS: items_text(data)},
    )
    given = training(recipe, start.teacher, start.data, epochs) if epochs else None
    return Subject(student, probe(start.data, length, users=512, quality=False), given, shipping)
