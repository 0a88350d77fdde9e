"""What a ranking model's file can be asked, and asking it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.data.clicks import FIELDS
from experiments.models import tf
from experiments.models.packed import PackedConfig
from experiments.models.ranking import GENRES, RankingConfig
from tfcompress import LiteModel, Signature

CLICK = "click"
BATCHES = (1, 64)  # of the calls that are verified and timed
Array = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float64]
Inputs = dict[str, Array]
Answer = Callable[[Array], FloatArray]


def signatures(config: RankingConfig | PackedConfig) -> dict[str, Signature]:
    """`click`: the fields of any number of pairs → probability."""
    shapes = {field: [None, config.slots] if field == GENRES else [None] for field in config.sizes}
    inputs = {field: tf.TensorSpec(shape, tf.int32) for field, shape in shapes.items()}
    return {CLICK: Signature(click, inputs)}


def click(model: Any, **columns: Any) -> dict[str, Any]:
    """What the model says of named fields."""
    said: dict[str, Any] = model.click(**columns)
    return said


def columns(fields: Iterable[str], rows: Array) -> Inputs:
    """A call about rows.

    Args:
      fields: those that the file asks for.
      rows: int32 [B, 7 + slots + 1], see `Clicks.rows`.
    """
    places = {field: rows[:, place] for place, field in enumerate(FIELDS)}
    places[GENRES] = rows[:, len(FIELDS) : -1]
    return {field: np.ascontiguousarray(places[field]) for field in fields}


def calls(fields: Iterable[str], rows: Array, batch: int, n: int) -> list[Inputs]:
    """Calls with so many rows each, spread over those given: int32 [at least batch, ...]."""
    starts = np.linspace(0, len(rows) - batch, n).astype(int)
    return [columns(fields, rows[start : start + batch]) for start in starts]


def verification_calls(
    config: RankingConfig | PackedConfig, rows: Array
) -> dict[str, list[Inputs]]:
    """Calls of each size on which a file is compared with its Keras model."""
    found = [calls(config.sizes, rows, batch, 8) for batch in BATCHES]
    return {CLICK: [call for some in found for call in some]}


def asked(path: Path) -> list[str]:
    """The fields that a file reads."""
    return LiteModel(path).inputs(CLICK)


def keras_logits(model: Any) -> Answer:
    """A compiled function of rows as in `columns`; it returns logits float64 [n].

    It reads the model's weights at every call, so one serves a whole training.
    """
    compiled = tf.function(lambda features: model(features), reduce_retracing=True)

    def answer(rows: Array, batch: int = 8192) -> FloatArray:
        read = rows[:, : model.config.length]
        parts = [read[start : start + batch] for start in range(0, len(rows), batch)]
        said = [compiled(tf.constant(part)).numpy() for part in parts]
        return np.concatenate(said).astype(np.float64)

    return answer


def keras_probabilities(model: Any) -> Answer:
    """As `keras_logits`, but it returns probabilities."""
    answer = keras_logits(model)
    return lambda rows: 1.0 / (1.0 + np.exp(-answer(rows)))


def file_probabilities(path: Path, rows: Array, batch: int = 1024) -> FloatArray:
    """What the file alone says of rows: int32 [n, 7 + slots + 1] → float64 [n]."""
    model = LiteModel(path)
    fields = model.inputs(CLICK)
    parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    said = [model.run(CLICK, columns(fields, part))["probability"] for part in parts]
    return np.concatenate(said).astype(np.float64)
