"""The student of a SASRec: a smaller trunk that starts from what fits of its teacher."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.models import store, tf
from experiments.models.sasrec import Block, SASRec
from tfcompress import Outputs
from tfcompress.distillation import Forward
from tfcompress.surgery import children, walk


def student_of(teacher: SASRec, sizes: dict[str, Any]) -> SASRec:
    """A SASRec with other sizes; where a layer has the teacher's shapes it has its weights, too.

    Args:
      teacher: a trained model.
      sizes: fields of SASRecConfig that differ from the teacher's.
    """
    student = store.build(replace(teacher.config, **sizes))
    taught = {held.path: held.layer for held in walk(teacher)}
    for held in walk(student):
        source = taught.get(held.path)
        if source is None or children(held.layer) or not held.layer.weights:
            continue
        if [w.shape for w in held.layer.weights] == [w.shape for w in source.weights]:
            held.layer.set_weights(source.get_weights())
    for new, old in zip(student.blocks, teacher.blocks, strict=False):
        if new.dim != old.dim:
            continue
        if 0 < new.width < old.width:
            _keep_strongest(new, old)
        if new.lean and not old.lean:
            _fold(new, old)
    # A student that reads fewer events reads the latest: it starts from the last positions.
    positions = teacher.position_table.get_weights()[0]
    if positions.shape[1] == student.config.dim and len(positions) > student.config.length:
        student.position_table.set_weights([positions[-student.config.length :]])
    if teacher.item_bias is not None and student.config.dim == teacher.config.dim:
        if student.item_bias is not None:
            student.item_bias.assign(teacher.item_bias)
        else:
            _fold_bias(student, teacher.item_bias.numpy())
    return student


def _fold_bias(student: SASRec, bias: npt.NDArray[np.float32]) -> None:
    """Puts the items' biases into the direction of the table in which it says least.

    With `u` that direction, the last norm is moved by `u`, so that every hidden vector has about
    one there, and each row's component along `u` becomes what the score then lacks: its bias. The
    file has no bias to store; scores change by the weakest of the table's components alone.
    """
    table = student.item_table.get_weights()[0]
    direction = np.linalg.svd(table, full_matrices=False)[2][-1]
    along = table @ direction
    student.item_table.set_weights([table + np.outer(bias - along, direction)])
    student.norm.beta.assign_add(direction)


def _fold(new: Block, old: Block) -> None:
    """Starts a lean block from one that is not: the same function, up to rounding.

    Scale and shift of a norm go into the matrices behind it; the values' bias, which passes
    through attention as it is, goes into the projection's.
    """
    for name, norm in (("query", "norm1"), ("key", "norm1"), ("value", "norm1"), ("ff1", "norm2")):
        if not hasattr(new, name):
            continue
        # A narrower feed-forward was started from the strongest units already.
        kernel, bias = getattr(new if name == "ff1" else old, name).get_weights()
        scale, shift = getattr(old, norm).get_weights()
        folded = [scale[:, None] * kernel, bias + shift @ kernel]
        getattr(new, name).set_weights(folded[: len(getattr(new, name).weights)])
        if name == "value":
            onward, offset = old.projection.get_weights()
            new.projection.set_weights([onward, offset + folded[1] @ onward])


def _keep_strongest(new: Block, old: Block) -> None:
    """Starts a narrower feed-forward from the units that weigh most in the wider one."""
    kernel, bias = old.ff1.get_weights()
    onward, offset = old.ff2.get_weights()
    weight = np.linalg.norm(kernel, axis=0) * np.linalg.norm(onward, axis=1)
    units = np.sort(np.argsort(-weight)[: new.width])
    new.ff1.set_weights([kernel[:, units], bias[units]])
    new.ff2.set_weights([onward[units], offset])


def forward_on(positions: int, fresh: int, dropped: float = 0.0) -> Forward:
    """One pass of student and teacher on so many random positions of a batch of windows.

    Scoring the catalogue is by far the largest part of a step; a sample of positions gives the
    gradient at a fraction of the work. The windows have the teacher's length; a student that reads
    fewer events reads a window's last ones.

    Args:
      positions: how many are scored in a step, at most.
      fresh: they are among the last so many of each window. Those before them have seen few events,
        fewer than any user of MovieLens-1M has; what is learnt there is of little use.
      dropped: share of events left out of the histories that both read, others at every step. The
        teacher has an answer to any history; so the student sees more of them than there are
        (Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", 2022).
    """

    def forward(student: SASRec, teacher: SASRec, windows: Any) -> Outputs:
        length = student.config.length
        targets, histories = windows[:, -fresh:], _thinned(windows[:, :-1], dropped)
        places = tf.random.shuffle(tf.where(tf.not_equal(histories[:, -fresh:], 0)))[:positions]
        hidden = student.hidden(histories[:, -length:], training=True)[:, -fresh:]
        logits = student.item_logits(tf.gather_nd(hidden, places))
        wanted = tf.gather_nd(targets, places)
        known = tf.cast(tf.not_equal(wanted, 0), tf.float32)
        losses = known * tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
        loss = tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(known), 1.0)
        seen = teacher.hidden(histories)[:, -fresh:]
        taught = teacher.item_logits(tf.gather_nd(seen, places))
        return Outputs(loss, logits, taught)

    return forward


def _thinned(histories: Any, dropped: float) -> Any:
    """Events replaced by padding at random; int32 [B, L] both ways."""
    if dropped == 0.0:
        return histories
    kept = tf.random.uniform(tf.shape(histories)) >= dropped
    return tf.where(kept, histories, 0)
