"""What ranking models are asked while they are measured, and how auto trains them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from experiments.click_compression import ClickRecipe
from experiments.data.clicks import Clicks
from experiments.models import click_files, click_student, store, tf
from experiments.task import Subject

_PAIRS, _BATCH = 2048, 512  # that the outputs are compared on


def logits(model: Any, rows: Any) -> Any:
    """What a model says of rows, as logits of two classes: int32 [B, ...] → float32 [B, 2]."""
    return click_student.two_classes(model(rows))


def probe(data: Clicks, length: int) -> tfc.Probe:
    """What a ranking model that reads so many columns is asked: pairs of the validation events."""
    rows = data.rows("validation")[:_PAIRS, :length]
    batches = np.array_split(rows, max(1, len(rows) // _BATCH))
    return tfc.Probe(batches, logits, tfc.Divergence())


def training(recipe: ClickRecipe, model: Any, data: Clicks, epochs: int) -> tfc.Training:
    """How a recipe trains, as `tfcompress.auto` takes it.

    Args:
      recipe: a recipe. model: what is compressed, which teaches as well.
      data: MovieLens-1M as clicks. epochs: in place of the recipe's.
    """
    events, settings = data.rows("train"), recipe.training
    pairs = click_student.some_pairs(events, recipe.pairs, settings.seed)
    rows = np.vstack([events, pairs])
    rows = tf.constant(click_student.with_answers(rows, click_files.keras_logits(model)(rows)))
    # Their places are shuffled, not the rows: a tenth of the time.
    order = tf.data.Dataset.range(len(rows)).shuffle(len(rows), settings.seed)
    batches = order.batch(settings.batch, drop_remainder=True).map(lambda at: tf.gather(rows, at))
    teaching = tfc.Teaching(
        tfc.Distill(recipe.temperature, recipe.weight), forward=click_student.penalized
    )
    return tfc.Training(
        batches, epochs, settings.peak_learning_rate, teaching=teaching, xla=settings.xla
    )


def subject(recipe: ClickRecipe, folder: Path, data: Clicks, epochs: int) -> Subject:
    """The teacher itself, with what auto needs; see `task.Task.subject`.

    A recipe's student begins with new layers behind its table, and nothing could be said of how
    sensitive they are before they are trained.
    """
    model = store.load_model(folder)
    sizes = model.config
    shipping = tfc.Shipping(
        click_files.signatures(sizes),
        click_files.verification_calls(sizes, data.rows("validation")),
    )
    given = training(recipe, model, data, epochs) if epochs else None
    return Subject(model, probe(data, sizes.length), given, shipping)
