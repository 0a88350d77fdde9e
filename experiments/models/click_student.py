"""A `PackedRanker` that starts with its teacher's tables, and what the two are asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.data.click_sources import USER_FIELDS
from experiments.models import store, tf
from experiments.models.packed import PackedConfig, PackedRanker
from experiments.models.ranking import Ranker
from experiments.state import Array
from tfcompress import Outputs

_OF_USER = 1 + len(USER_FIELDS)  # columns that say who, before those that say what
FloatArray = npt.NDArray[np.float32]
ROW_SIZE = 0.3


def student_of(teacher: Ranker, sizes: dict[str, Any]) -> PackedRanker:
    """A student of these sizes whose table says of each field what the teacher's says most of.

    What is behind the table is new.

    Args:
      teacher: a trained model.
      sizes: fields of PackedConfig other than sizes and slots; and "fields", how many of the
        teacher's the student reads, the first ones, by default all. What a field says of a film
        or user that is known can stand in its row as well.

    Raises:
      ValueError: if the student's table is wider than the teacher's, it is to read more fields
        than there are, or a size is out of range.
      TypeError: if a size is unknown.
    """
    taught, given = teacher.config, dict(sizes)
    count = given.pop("fields", len(taught.sizes))
    read = dict(list(taught.sizes.items())[:count])
    config = PackedConfig(sizes=read, slots=taught.slots, **given)
    if config.dim > taught.dim or not 1 <= count <= len(taught.sizes):
        raise ValueError(
            f"Received a student of dim={config.dim} that reads {count} fields; expected "
            f"dim <= {taught.dim} and 1 to {len(taught.sizes)} fields, as the teacher has."
        )
    student: PackedRanker = store.build(config)
    tables = [teacher.tables[field].get_weights()[0] for field in config.sizes]
    student.table.set_weights([np.vstack([main_parts(rows, config.dim) for rows in tables])])
    kernel, bias = student.read.get_weights()
    # A reading times one that starts around 1 is a linear layer, which learns fast at first.
    bias[config.reading :] = 1.0
    student.read.set_weights([kernel, bias])
    return student


def resized(teacher: Ranker, sizes: dict[str, Any]) -> Ranker:
    """A copy of a teacher in which some of the fields of RankingConfig differ, such as dropout.

    Raises:
      TypeError: if a field is unknown.
      ValueError: if one is out of range, or the teacher's weights do not fit any more.
    """
    copy: Ranker = store.build(replace(teacher.config, **sizes))
    copy.set_weights(teacher.get_weights())
    return copy


def main_parts(rows: FloatArray, dim: int) -> FloatArray:
    """The rows' coordinates along the directions in which they differ most, of one size throughout.

    One scale then suits the rows of all fields when they are quantized together.

    Args:
      rows: float32 [n, width]. dim: how many coordinates, at most width.

    Returns:
      float32 [n, dim], their mean zero and their root mean square `ROW_SIZE`.
    """
    centred = rows - rows.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(rows), dim), np.float32)
    kept = directions[:dim]  # a field of few values has fewer
    found[:, : len(kept)] = centred @ kept.T
    return found * np.float32(ROW_SIZE / max(float(np.sqrt(np.mean(found**2))), 1e-12))


def some_pairs(rows: Array, n: int, seed: int) -> Array:
    """Users and items of rows put together anew, at random; a teacher has an answer to any pair.

    Args:
      rows: int32 [m, 7 + slots + 1], see `Clicks.rows`. n: how many pairs.
      seed: decides them.

    Returns:
      int32 [n, 7 + slots + 1], with -1 for the click, which nobody knows.
    """
    random = np.random.default_rng(seed)
    by_user, by_item = (rows[random.integers(len(rows), size=n)] for _ in range(2))
    return np.hstack(
        [by_user[:, :_OF_USER], by_item[:, _OF_USER:-1], np.full((n, 1), -1, np.int32)]
    )


def with_answers(rows: Array, logits: npt.NDArray[np.float64]) -> Array:
    """Rows with what the teacher says of each behind them: it is asked once, not at each epoch.

    Args:
      rows: int32 [n, 7 + slots + 1]. logits: float [n].

    Returns:
      int32 [n, 7 + slots + 2]; the last column holds the bits of float32 numbers.
    """
    return np.hstack([rows, logits.astype(np.float32).view(np.int32)[:, None]])


def forward(student: PackedRanker | Ranker, teacher: Any, rows: Any) -> Outputs:
    """The student's pass over rows that its teacher has answered before, see `with_answers`.

    The student's own loss is the cross-entropy of the clicks that are known.
    """
    del teacher
    features, clicks = rows[:, : student.config.length], rows[:, -2]
    taught = tf.bitcast(rows[:, -1], tf.float32)
    said = student(features, training=True)
    return Outputs(loss_where_known(clicks, said), two_classes(said), two_classes(taught))


def loss_where_known(clicks: Any, logits: Any) -> Any:
    """Mean cross-entropy over the clicks that are known, 0 where none is.

    Args:
      clicks: int32 [B], -1 for one that nobody knows. logits: float32 [B].
    """
    known = tf.cast(clicks >= 0, tf.float32)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(known * tf.cast(clicks, tf.float32), logits)
    return tf.reduce_sum(known * losses) / tf.maximum(tf.reduce_sum(known), 1.0)


def penalized(student: Ranker, teacher: Any, rows: Any) -> Outputs:
    """`forward` of a student that has a teacher's sizes: its own loss has the penalty, too."""
    outputs = forward(student, teacher, rows)
    return outputs._replace(loss=outputs.loss + student.penalty())


def two_classes(logits: Any) -> Any:
    """float32 [B] → [B, 2], whose softmax has the click's probability behind the other's."""
    return tf.stack([tf.zeros_like(logits), logits], axis=-1)
