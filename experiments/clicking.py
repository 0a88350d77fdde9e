"""The task of the ranking models: would this user give this film four stars or more?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

import tfcompress as tfc
from experiments import click_compression, click_probing, click_quality, click_table
from experiments.compression import Place
from experiments.data import clicks
from experiments.models import click_files, store
from experiments.state import Array
from experiments.task import Judge, Split, Subject


class Clicking:
    """MovieLens-1M as clicks, split at random; see `task.Task`."""

    deciding = judged = "auc"
    smallest: Mapping[str, Any] = {"sizes": {"user": 2, "item": 2}}

    def load(self, folder: Path | None) -> clicks.Clicks:
        """See `clicks.load`."""
        return clicks.load(folder)

    def sizes(self, data: clicks.Clicks) -> dict[str, Any]:
        """All fields, and how many genres an item may have."""
        return {"sizes": data.sizes, "slots": data.genres.shape[1]}

    def rows(self, config: Any, data: clicks.Clicks) -> Array:
        """The training events with all their fields: int32 [n, fields + slots + 1]."""
        return data.rows("train")

    def judge(self, model: Any, data: clicks.Clicks) -> Judge:
        """AUC and mean cross-entropy."""
        answer = click_files.keras_probabilities(model)

        def measure(split: Split) -> dict[str, Any]:
            rows = data.rows(split)
            return click_quality.quality(rows[:, -1], answer(rows))

        def validation() -> dict[str, float]:
            found = measure("validation")
            return {name: found[name] for name in ("auc", "log_loss")}

        return Judge(validation, partial(measure, "test"))

    def publish(self, run: Path, out: Path, data: clicks.Clicks) -> tfc.Exported:
        """Exports the model of a training run to `out`, with what made it."""
        model = store.load_model(run)
        return tfc.export(
            model,
            out,
            signatures=click_files.signatures(model.config),
            verify_with=click_files.verification_calls(model.config, data.rows("validation")),
            files=store.kept(run),
            evaluate=lambda path: self.quality(path, data, "test", None),
        )

    def quality(
        self, path: Path, data: clicks.Clicks, split: Split, against: Path | None
    ) -> dict[str, Any]:
        """AUC and cross-entropy, and how far the AUC is above the other file's."""
        rows = data.rows(split)
        own = click_files.file_probabilities(path, rows)
        found = click_quality.quality(rows[:, -1], own)
        if against is None:
            return found
        other = click_files.file_probabilities(against, rows)
        return found | click_quality.comparison(rows[:, -1], own, other)

    def recipe(self, path: Path) -> click_compression.ClickRecipe:
        """See `click_compression.read_recipe`."""
        return click_compression.read_recipe(path)

    def subject(
        self, recipe: click_compression.ClickRecipe, folder: Path, data: clicks.Clicks, epochs: int
    ) -> Subject:
        """See `click_probing.subject`."""
        return click_probing.subject(recipe, folder, data, epochs)

    def compress(
        self,
        recipe: click_compression.ClickRecipe,
        place: Place,
        data: clicks.Clicks,
        split: Split,
        stop: Callable[[], bool],
    ) -> tfc.Exported:
        """See `click_compression.compress`."""
        return click_compression.compress(recipe, place, data, split, stop)

    def table(self, made: tfc.Exported, teacher: Path) -> Table:
        """See `click_table.comparison_table`."""
        return click_table.comparison_table(made, teacher)
