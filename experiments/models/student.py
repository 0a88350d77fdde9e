"""The student of a SASRec: a smaller trunk that starts from what fits of its teacher."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.models import store, tf
from experiments.models.sasrec import SASRec
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
    # A student that reads fewer events reads the latest: it starts from the last positions.
    positions = teacher.position_table.get_weights()[0]
    if positions.shape[1] == student.config.dim and len(positions) > student.config.length:
        student.position_table.set_weights([positions[-student.config.length :]])
    if student.item_bias is not None and teacher.item_bias is not None:
        student.item_bias.assign(teacher.item_bias)
    return student


def forward_on(positions: int) -> Forward:
    """One pass of student and teacher on so many random positions of a batch of windows.

    Scoring the catalogue is by far the largest part of a step; a sample of positions gives the
    gradient at a fraction of the work. The windows have the teacher's length; a student that reads
    fewer events reads a window's last ones.
    """

    def forward(student: SASRec, teacher: SASRec, windows: Any) -> Outputs:
        length = student.config.length
        targets = windows[:, -length:]
        places = tf.random.shuffle(tf.where(tf.not_equal(targets, 0)))[:positions]
        hidden = student.hidden(windows[:, -length - 1 : -1], training=True)
        logits = student.item_logits(tf.gather_nd(hidden, places))
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather_nd(targets, places), logits)
        seen = teacher.hidden(windows[:, :-1])[:, -length:]
        taught = teacher.item_logits(tf.gather_nd(seen, places))
        return Outputs(tf.reduce_mean(loss), logits, taught)

    return forward
