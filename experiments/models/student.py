"""A `MobileSASRec` that starts as its teacher, and what the two are asked while it learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.models import store, tf
from experiments.models.mobile import MixingBlock, MobileConfig, MobileSASRec, ReadingBlock
from experiments.models.sasrec import Block, SASRec
from tfcompress import Outputs
from tfcompress.distillation import Forward
from tfcompress.surgery import children, listening, walk

Array = npt.NDArray[np.float32]
# How long the score's constant part is, on which the items' biases ride. A hidden vector's other
# part is about 14 long: much more would make the rounding of the rows' means heard.
_BIAS_LENGTH = 4.0


def student_of(teacher: Any, sizes: dict[str, Any], histories: Any = None) -> MobileSASRec:
    """A student of these sizes whose scores start as its teacher's.

    Exactly so, but for rounding and for the item's biases, if it is as large. A shorter history is
    its latest part; a narrower feed-forward has the units that vary most in what they say, fitted
    to say what all of them said.

    Args:
      teacher: a trained model of the same dim, heads and number of blocks.
      sizes: fields of MobileConfig that differ from the teacher's.
      histories: int32 [n, teacher's length], some that the teacher was trained on; for a narrower
        feed-forward.

    Raises:
      ValueError: if the sizes are not the teacher's where they must be, or histories are missing.
    """
    taught = teacher.config
    same = {"n_items": taught.n_items, "dim": taught.dim, "heads": taught.heads}
    usual = {**same, "length": taught.length, "feedforward": (taught.feedforward,) * taught.blocks}
    config = MobileConfig(**{**usual, **sizes})
    found = {name: getattr(config, name) for name in same}
    if found != same or len(config.feedforward) != taught.blocks:
        raise ValueError(
            f"Received a student of {found} with {len(config.feedforward)} blocks, expected the "
            f"teacher's {same} and {taught.blocks} blocks."
        )
    whole = (taught.feedforward,) * taught.blocks
    student = store.build(replace(config, feedforward=whole))
    _start_tables(student, teacher)
    for new, old in zip(_blocks(student), teacher.blocks, strict=True):
        _start_attention(new, old)
        _start_feedforward(new, old)
    return student if config.feedforward == whole else _narrowed(student, config, histories)


def renumbered(teacher: SASRec, numbers: Any) -> SASRec:
    """A copy of a teacher whose items have other numbers.

    Args:
      teacher: a trained model.
      numbers: int [n_items + 1], for each new number the old one; 0 stays 0.
    """
    copy = store.build(teacher.config)
    copy.set_weights(teacher.get_weights())
    copy.item_table.set_weights([teacher.item_table.get_weights()[0][numbers]])
    if teacher.item_bias is not None:
        copy.item_bias.assign(teacher.item_bias.numpy()[numbers])
    return copy


def _blocks(student: MobileSASRec) -> list[MixingBlock | ReadingBlock]:
    return [*student.mixing, student.reading]


def _start_tables(student: MobileSASRec, teacher: SASRec) -> None:
    dim, length = student.config.dim, student.config.length
    rows = teacher.item_table.get_weights()[0]
    bias = 0.0 if teacher.item_bias is None else teacher.item_bias.numpy()
    direction = np.full(dim, dim**-0.5, np.float32)  # that of the mean
    along = bias / _BIAS_LENGTH
    items = _centred(rows) + np.outer(along, direction)
    student.item_table.set_weights([items])
    positions = teacher.position_table.get_weights()[0][-length:] * dim**-0.5
    student.position_table.set_weights([_centred(np.vstack([positions, positions[:1]]))])
    scale, shift = teacher.norm.get_weights()
    student.scale.assign(scale)
    student.shift.assign(_centred(shift) + _BIAS_LENGTH * direction)


def _centred(rows: Array) -> Array:
    """Rows without their means: [..., dim] both ways."""
    return rows - rows.mean(-1, keepdims=True)


def _onto_residual(kernel: Array, bias: Array) -> list[Array]:
    """A matrix that writes to the residual path, where vectors are centred and 1 / √dim as long."""
    return [_centred(part) * part.shape[-1] ** -0.5 for part in (kernel, bias)]


def _behind_norm(dense: Any, norm: Any) -> tuple[Array, Array]:
    """A matrix and its bias, with the norm's scale and shift in front of it folded in."""
    (kernel, bias), (scale, shift) = dense.get_weights(), norm.get_weights()
    return scale[:, None] * kernel, bias + shift @ kernel


def _start_attention(new: MixingBlock | ReadingBlock, old: Block) -> None:
    # Softmax does not see the keys' bias, and the values' passes through attention as it is.
    query, query_bias = _behind_norm(old.query, old.norm1)
    key, _ = _behind_norm(old.key, old.norm1)
    value, value_bias = _behind_norm(old.value, old.norm1)
    onward, offset = old.projection.get_weights()
    offset = offset + value_bias @ onward
    share = (old.dim // old.heads) ** -0.5
    query, query_bias = query * share, query_bias * share
    if isinstance(new, MixingBlock):
        to_query, to_value = _balance(query, key, value, onward)
        kernel = np.hstack([query * to_query, key / to_query, value * to_value])
        zeros = np.zeros_like(query_bias)
        new.attend.set_weights([kernel, np.hstack([query_bias * to_query, zeros, zeros])])
        new.projection.set_weights(_onto_residual(onward / to_value[:, None], offset))
        return
    heads = np.split(np.arange(old.dim), old.heads)
    asking = [query[:, head] @ key[:, head].T for head in heads]
    asking_bias = [query_bias[head] @ key[:, head].T for head in heads]
    new.reader.set_weights([np.hstack(asking), np.hstack(asking_bias)])
    reading = np.vstack([value[:, head] @ onward[head] for head in heads])
    new.writer.set_weights(_onto_residual(reading, offset))


def _balance(query: Array, key: Array, value: Array, onward: Array) -> tuple[Array, Array]:
    """Factors that give columns of one matrix about one size, and what they meet the inverse.

    Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019):
    one scale then suits all of them.

    Returns:
      float32 [dim] for the columns of the query (the key gets the inverse), and of the value (the
      rows of the matrix behind it get the inverse).
    """
    q, k, v = (np.linalg.norm(matrix, axis=0) for matrix in (query, key, value))
    size = np.sqrt(np.mean(q * k))
    return np.sqrt(k / q), size / v


def _start_feedforward(new: MixingBlock | ReadingBlock, old: Block) -> None:
    kernel, bias = _behind_norm(old.ff1, old.norm2)
    onward, offset = _onto_residual(*old.ff2.get_weights())
    # A unit of ReLU may be made larger before and smaller behind; see `_balance`.
    factor = np.sqrt(np.linalg.norm(onward, axis=1) / np.linalg.norm(kernel, axis=0))
    new.ff1.set_weights([kernel * factor, bias * factor])
    new.ff2.set_weights([onward / factor[:, None], offset])


def _narrowed(whole: MobileSASRec, config: MobileConfig, histories: Any) -> MobileSASRec:
    """The same model with narrower feed-forwards."""
    if histories is None:
        raise ValueError(
            f"Received feedforward={config.feedforward} and no histories, expected some: units "
            "are chosen by what they do on them."
        )
    student = store.build(config)
    narrow = {id(layer) for block in _blocks(student) for layer in (block.ff1, block.ff2)}
    for new, old in zip(_leaves(student), _leaves(whole), strict=True):
        if id(new) not in narrow:
            new.set_weights(old.get_weights())
    student.scale.assign(whole.scale)
    student.shift.assign(whole.shift)
    spoken = _spoken(whole, histories[:, -config.length :])
    for new, old, units in zip(_blocks(student), _blocks(whole), spoken, strict=True):
        _keep_units(new, old, units)
    return student


def _leaves(model: MobileSASRec) -> list[Any]:
    return [held.layer for held in walk(model) if held.layer.weights and not children(held.layer)]


def _spoken(model: MobileSASRec, histories: Any) -> list[Array]:
    """For each block what its units say in the rows that count: float32 [n, width]."""
    heard: list[Array] = []
    layers = [block.ff2 for block in _blocks(model)]
    with listening([(layer, lambda units, _: heard.append(units.numpy())) for layer in layers]):
        model.hidden(histories, rows=1)
    *inner, last = heard
    return [*(units[histories != 0] for units in inner), last[:, -1]]


def _keep_units(
    new: MixingBlock | ReadingBlock, old: MixingBlock | ReadingBlock, units: Array
) -> None:
    """Starts `new` from the units that vary most; what the others said is fitted to them.

    He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural Networks" (2017).
    """
    (kernel, bias), (onward, offset) = old.ff1.get_weights(), old.ff2.get_weights()
    kept = np.sort(np.argsort(-units.std(0) * np.linalg.norm(onward, axis=1))[: new.width])
    new.ff1.set_weights([kernel[:, kept], bias[kept]])
    given = np.hstack([units[:, kept], np.ones((len(units), 1), np.float32)]).astype(np.float64)
    fitted = np.linalg.lstsq(given, units @ onward + offset, rcond=1e-6)[0].astype(np.float32)
    new.ff2.set_weights([fitted[:-1], fitted[-1]])


def forward_on(positions: int, fresh: int, dropped: float = 0.0) -> Forward:
    """One pass of student and teacher on so many random positions of a batch of windows.

    Scoring the catalogue is by far the largest part of a step; a sample of positions gives the
    gradient at a fraction of the work. The windows have the teacher's length; a student that reads
    fewer events reads a window's last ones.

    Args:
      positions: how many are scored in a step, at most.
      fresh: they are among the last so many of each window. A file answers for the last place of a
        history alone; what is learnt far before it is of little use.
      dropped: share of events left out of the histories that all read, others at every step. A
        teacher has an answer to any history; so the student sees more of them than there are
        (Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", 2022).
    """

    def forward(student: MobileSASRec, teacher: Any, windows: Any) -> Outputs:
        targets, histories = windows[:, -fresh:], _thinned(windows[:, :-1], dropped)
        places = tf.random.shuffle(tf.where(tf.not_equal(histories[:, -fresh:], 0)))[:positions]
        hidden = student.hidden(histories[:, -student.config.length :], rows=fresh, training=True)
        logits = student.item_logits(tf.gather_nd(hidden, places))
        loss = loss_where_known(tf.gather_nd(targets, places), logits)
        taught = tf.gather_nd(teacher.hidden(histories, rows=fresh), places)
        return Outputs(loss, logits, teacher.item_logits(taught))

    return forward


def loss_where_known(wanted: Any, logits: Any) -> Any:
    """Mean cross-entropy over the places whose next event is known (not 0), 0 where none is.

    Args:
      wanted: int32 [n]. logits: float32 [n, n_items + 1].
    """
    known = tf.cast(tf.not_equal(wanted, 0), tf.float32)
    losses = known * tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
    return tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(known), 1.0)


def _thinned(histories: Any, dropped: float) -> Any:
    """Events replaced by padding at random; int32 [B, L] both ways."""
    if dropped == 0.0:
        return histories
    kept = tf.random.uniform(tf.shape(histories)) >= dropped
    return tf.where(kept, histories, 0)
