"""The task of the retrieval models: the next film of a user's history, among all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from experiments import compression, probing, publishing, quality, ranking, table
from experiments.data import movielens
from experiments.models import store
from experiments.state import Array
from experiments.task import Judge, Split, Subject
from tfcompress import Exported

K = 10


class Retrieving:
    """MovieLens-1M, leave-one-out, all items ranked; see `task.Task`."""

    deciding, judged = "ndcg", f"ndcg@{K}"
    smallest: Mapping[str, Any] = {"n_items": 1}

    def load(self, folder: Path | None) -> movielens.MovieLens:
        """See `movielens.load`."""
        return movielens.load(folder)

    def sizes(self, data: movielens.MovieLens) -> dict[str, Any]:
        """How many items there are."""
        return {"n_items": data.n_items}

    def rows(self, config: Any, data: movielens.MovieLens) -> Array:
        """Windows of histories: int32 [n, length + 1]."""
        return movielens.windows(data, config.length)

    def judge(self, model: Any, data: movielens.MovieLens) -> Judge:
        """Hit rate and NDCG at 10."""
        length = model.config.length
        ranks = partial(ranking.evaluate, store.scorer(model), data, length=length)

        return Judge(
            lambda: ranking.named(ranks("validation"), K), lambda: quality.quality(ranks("test"))
        )

    def publish(self, run: Path, out: Path, data: movielens.MovieLens) -> Exported:
        """See `publishing.publish`."""
        return publishing.publish(run, out, data)

    def quality(
        self, path: Path, data: movielens.MovieLens, split: Split, against: Path | None
    ) -> dict[str, Any]:
        """Hit rate and NDCG at 10, and the share of the other file's that is kept."""
        ranks = quality.file_ranks(path, data, split)
        if against is None:
            return quality.quality(ranks)
        other = quality.file_ranks(against, data, split)
        return quality.quality(ranks) | quality.comparison(ranks, other)

    def recipe(self, path: Path) -> compression.Recipe:
        """See `compression.read_recipe`."""
        return compression.read_recipe(path)

    def subject(
        self, recipe: compression.Recipe, folder: Path, data: movielens.MovieLens, epochs: int
    ) -> Subject:
        """See `probing.subject`."""
        return probing.subject(recipe, folder, data, epochs)

    def compress(
        self,
        recipe: compression.Recipe,
        place: compression.Place,
        data: movielens.MovieLens,
        split: Split,
        stop: Callable[[], bool],
    ) -> Exported:
        """See `compression.compress`."""
        return compression.compress(recipe, place, data, split, stop)

    def table(self, made: Exported, teacher: Path) -> Table:
        """See `table.comparison_table`."""
        return table.comparison_table(made, teacher)
