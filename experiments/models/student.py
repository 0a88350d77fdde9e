"""The student of a SASRec: a smaller trunk that starts from what fits of its teacher."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.models import store, tf
from experiments.models.sasrec import SASRec
from tfcompress import Outputs
from tfcompress.distillation import Forward


def student_of(teacher: SASRec, sizes: dict[str, Any]) -> SASRec:
    """A SASRec with other sizes; where a layer has the teacher's shapes it has its weights, too.

    Args:
      teacher: a trained model.
      sizes: fields of SASRecConfig that differ from the teacher's.
    """
    student = store.build(replace(teacher.config, **sizes))
    pairs = [
        (student.item_table, teacher.item_table),
        (student.position_table, teacher.position_table),
        (student.norm, teacher.norm),
        *zip(student.blocks, teacher.blocks, strict=False),
    ]
    for new, old in pairs:
        if [w.shape for w in new.weights] == [w.shape for w in old.weights]:
            new.set_weights(old.get_weights())
    if student.item_bias is not None and teacher.item_bias is not None:
        student.item_bias.assign(teacher.item_bias)
    return student


def forward_on(positions: int) -> Forward:
    """One pass of student and teacher on so many random positions of a batch of windows.

    Scoring the catalogue is by far the largest part of a step; a sample of positions gives the
    gradient at a fraction of the work.
    """

    def forward(student: SASRec, teacher: SASRec, windows: Any) -> Outputs:
        targets = windows[:, 1:]
        places = tf.random.shuffle(tf.where(tf.not_equal(targets, 0)))[:positions]
        wanted = tf.gather_nd(targets, places)
        hidden = student.hidden(windows[:, :-1], training=True)
        logits = student.item_logits(tf.gather_nd(hidden, places))
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
        taught = teacher.item_logits(tf.gather_nd(teacher.hidden(windows[:, :-1]), places))
        return Outputs(tf.reduce_mean(loss), logits, taught)

    return forward
