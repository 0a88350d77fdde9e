"""Running a large teacher once, and keeping what it said."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfcompress.distillation.layout import as_batches, features
from tfcompress.distillation.stored import Precomputed
from tfcompress.distillation.teachers import Teacher, refuse_probabilities
from tfcompress.distillation.writer import DTYPES, Writer
from tfcompress.errors import SpecError
from tfcompress.keras import keras, tf


def precompute(
    teacher: Any,
    data: Any,
    path: Any,
    top: int | None = None,
    dtype: str = "float16",
    batch_size: int = 256,
) -> Precomputed:
    """Runs a teacher once over data and stores its logits, or the largest of them.

    They are written beside `path`, into `.<name>.partial`, and moved there when all are written.
    If it is killed, the same call goes on behind the last row that is whole: it compares the hashes
    of the examples that are done, and asks the teacher again about the first of them.

    Args:
        teacher: a model whose output is logits `[n, ..., classes]`, or any function of the
            features that returns such.
        data: a `tf.data.Dataset` of batches as for `fit`, or arrays of the features (in a tuple:
            features and labels). In an order that is the same at every pass, neither shuffled nor
            repeated: see `Precomputed`.
        path: the folder to write; there must be none yet.
        top: how many logits of each example to keep, the largest; None for all.
        dtype: "float16" or "float32".
        batch_size: examples that the teacher sees at once, where `data` are arrays.

    Returns:
        The stored answers, to `distill` from.

    Raises:
        SpecError: a folder that is there already; a setting out of range; a teacher that gives
            probabilities, or no finite logits in this type; data that does not end or that changed,
            or another teacher, since a call that was killed.

    Example:
        >>> import tempfile, numpy as np, tf_keras as keras
        >>> import tfcompress as tfc
        >>> teacher = keras.Sequential([keras.layers.Dense(9, input_shape=(4,))])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     taught = tfc.precompute(teacher, np.ones((20, 4)), folder + "/answers", top=3)
        >>> taught.logits.shape, taught.items.shape
        ((20, 3), (20, 3))
    """
    target = Path(path)
    _check_settings(target, top, dtype)
    ask = _asked(teacher)
    dataset = as_batches(data, batch_size)
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise SpecError(
            "precompute received a dataset that never ends; expected each example once. "
            "Call repeat() after join instead."
        )
    partial = target.with_name(f".{target.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    writer = Writer(partial, top, dtype)
    for x in dataset.map(lambda *batch: features(batch)):
        writer.add(x, ask)
    writer.finish()
    os.replace(partial, target)
    return Precomputed(target)


def _check_settings(target: Path, top: Any, dtype: str) -> None:
    if target.exists():
        raise SpecError(
            f"{target} is there already; expected a path where nothing is yet. Read it with "
            "tfcompress.Precomputed(path), or delete it."
        )
    if top is not None and (not isinstance(top, int) or isinstance(top, bool) or top < 1):
        raise SpecError(
            f"precompute received top={top!r}; expected a whole number from 1, or None."
        )
    if dtype not in DTYPES:
        raise SpecError(f"precompute received dtype={dtype!r}; expected one of {DTYPES}.")


def _asked(teacher: Any) -> Callable[[Any], Any]:
    """From features to logits, without training."""
    if isinstance(teacher, keras.layers.Layer):
        refuse_probabilities(teacher)
        return tf.function(lambda x: teacher(x, training=False), reduce_retracing=True)
    if isinstance(teacher, Teacher) or not callable(teacher):
        raise SpecError(
            f"precompute received the teacher {teacher!r}; expected one model, or a function from "
            "features to logits."
        )
    return teacher
