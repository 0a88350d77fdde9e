"""The large table whose training steps are measured: plain, and by tfcompress.

TF-MOT has nothing to stand beside it: its quantization raises TypeError on an Embedding. The
optimizer is SGD, which moves the rows of the batch alone. Others, such as Keras's Adam, move every
row at every step, beside which nothing that is done to the rows of a batch would be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import tfcompress as tfc
from benchmarks.step_models import PLAIN, Step
from tfcompress.keras import keras, tf
from tfcompress.techniques.quantize import Granularity

BY_ROW, AS_ONE = "quantize the table, a scale for each row", "quantize the table, one scale"


@dataclass(frozen=True)
class TableSizes:
    """What is trained.

    Attributes:
        rows: ids.
        width: of a row.
        length: ids of an example.
        batch: examples in a step.
    """

    rows: int = 1_000_000
    width: int = 64
    length: int = 10
    batch: int = 2048


def _model(sizes: TableSizes) -> Any:
    keras.utils.set_random_seed(0)
    table = keras.layers.Embedding(sizes.rows, sizes.width, input_length=sizes.length)
    mean = keras.layers.GlobalAveragePooling1D()
    return keras.Sequential([table, mean, keras.layers.Dense(10)])


def _quantized(sizes: TableSizes, granularity: Granularity) -> Any:
    technique = tfc.Quantize(8, granularity)
    spec = tfc.Spec([tfc.rule(tfc.by_type("Embedding"), technique)])
    return tfc.apply(_model(sizes), spec)


def steps_of_tables(sizes: TableSizes) -> dict[tuple[str, str], Step]:
    """(what is done, by whom) → a function that trains the model for one step."""
    models = {
        PLAIN: _model(sizes),
        ("nothing, again", "Keras"): _model(sizes),
        (BY_ROW, "tfcompress"): _quantized(sizes, tfc.PerChannel()),
        (AS_ONE, "tfcompress"): _quantized(sizes, tfc.PerTensor()),
    }
    return {name: _stepper(model, sizes) for name, model in models.items()}


def _stepper(model: Any, sizes: TableSizes) -> Step:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, sizes.rows, (sizes.batch, sizes.length)).astype(np.int32)
    labels = rng.integers(0, 10, sizes.batch)
    batches = iter(tf.data.Dataset.from_tensors((ids, labels)).cache().repeat())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=loss)
    train = model.make_train_function()
    return lambda: train(batches)
