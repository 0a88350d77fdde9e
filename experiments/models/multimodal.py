"""A sequential recommender that knows items by their id and by what is known of them.

An item's vector is the sum of what its towers say, each times a gate: a table of ids, and for each
kind of facts (words, people, genres) a table, the sum of an item's rows, and two layers. In
training some items are treated as if they had no id, others at every step, so that facts alone give
a vector in the same space (Volkovs, Yu and Poutanen, "DropoutNet: Addressing Cold Start in
Recommender Systems", NeurIPS 2017). Sharing the vectors between history and scores is SASRec's.

A trained one is folded for a phone: the table of ids then holds the whole vectors of the items that
are known, and the other towers are there for those that come later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.models import tf
from experiments.models.mobile import MobileConfig, MobileSASRec
from experiments.models.retriever import TOP, Tensor, dropout, table
from tfcompress import Signature

_PACKAGE = "experiments"
Facts = Mapping[str, Tensor]  # of each kind int32 [n, slots], 0 is none


@dataclass(frozen=True)
class MultimodalConfig(MobileConfig):
    """The sizes of a `Multimodal`, beside those of `MobileConfig`; `n_items` have an id.

    Attributes:
      facts: for each kind of facts its name, how many numbers there are, and how many of one item.
      width: of the tables of facts.
      tower: width between the two layers of a tower.
      tower_dropout: the rate in the towers of facts.
      ids: whether items are known by their id.
      folded: whether the table of ids holds the whole vectors of items.

    Raises:
      ValueError: if a field is out of range, or items are not known by anything.
    """

    facts: tuple[tuple[str, int, int], ...] = ()
    width: int = 32
    tower: int = 128
    tower_dropout: float = 0.0
    ids: bool = True
    folded: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "facts", tuple((n, rows, slots) for n, rows, slots in self.facts))
        if not (self.ids or self.facts) or (self.folded and not self.ids):
            raise ValueError(
                f"Received ids={self.ids}, facts={self.facts}, folded={self.folded}; expected ids "
                "or facts, and ids if it is folded."
            )
        if min(self.width, self.tower) < 1 or not 0 <= self.tower_dropout < 1:
            raise ValueError(
                f"Received width={self.width}, tower={self.tower}, tower_dropout="
                f"{self.tower_dropout}; expected at least 1, and 0 <= tower_dropout < 1."
            )


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class Tower(tf.keras.layers.Layer):  # type: ignore[misc]
    """What the facts of one kind say of an item: their rows together, through two layers."""

    def __init__(
        self, rows: int, width: int, hidden: int, dim: int, dropout_rate: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sizes = {"rows": rows, "width": width, "hidden": hidden, "dim": dim}
        self.rate = dropout_rate
        self.table = table(rows, width, "table")
        self.inner = tf.keras.layers.Dense(hidden, activation="relu", name="inner")
        self.outer = tf.keras.layers.Dense(dim, name="outer")
        self.drop_table = dropout(dropout_rate, "drop_table")
        self.drop_inner = dropout(dropout_rate, "drop_inner")

    def call(self, numbers: Tensor, training: bool = False) -> Tensor:
        """Numbers of facts, 0 for none: int32 [n, slots] → float32 [n, dim]."""
        given = tf.cast(tf.not_equal(numbers, 0), tf.float32)
        rows = self.table(numbers) * tf.expand_dims(given, -1)
        count = tf.maximum(tf.reduce_sum(given, axis=1, keepdims=True), 1.0)
        # Over the root of their number, a sum is as long for many rows as for few.
        pooled = tf.reduce_sum(rows, axis=1) * tf.math.rsqrt(count)
        inner = self.inner(self.drop_table(pooled, training=training))
        return self.outer(self.drop_inner(inner, training=training))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self.sizes, "dropout_rate": self.rate}


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class Multimodal(MobileSASRec):
    """A recommender of items with an id, and of items with facts only.

    >>> sizes = {"n_items": 150, "length": 4, "dim": 8, "heads": 2, "feedforward": (16,)}
    >>> model = built(MultimodalConfig(**sizes, facts=(("words", 50, 3),)))
    >>> model.describe({"words": tf.constant([[7, 9, 0]])}).shape.as_list()
    [1, 8]
    """

    config: MultimodalConfig

    def __init__(self, config: MultimodalConfig, name: str = "multimodal", **kwargs: Any) -> None:
        super().__init__(config, name=name, **kwargs)
        sizes = config.width, config.tower, config.dim, config.tower_dropout
        self.towers = {name: Tower(rows, *sizes, name=name) for name, rows, _ in config.facts}
        self.item_table.trainable = config.ids
        # Facts say more of an item without an id than they add to one that has one.
        beside = config.ids and not config.folded
        self.gates = self._gates("gates", trainable=True)
        self.gates_beside_id = self._gates("gates_beside_id", trainable=beside)
        self.without_id = self.add_weight("without_id", [config.dim], initializer="zeros")

    def _gates(self, name: str, trainable: bool) -> Tensor:
        shape = [max(1, len(self.towers)), self.config.dim]
        return self.add_weight(
            name, shape, initializer="ones", trainable=trainable and bool(self.towers)
        )

    def describe(self, facts: Facts, training: bool = False) -> Tensor:
        """Vectors of items by their facts alone.

        Args:
          facts: of each kind int32 [n, slots].
          training: whether to drop.

        Returns:
          float32 [n, dim].
        """
        return self._described(self._said(facts, training))

    def vectors(self, facts: Facts, known: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Vectors of the items 0 … n - 1, and those that they have by their facts alone.

        Args:
          facts: of each kind int32 [n, slots].
          known: bool [n], which of them may be known by their id; those above `n_items` have none.
          training: whether to drop.

        Returns:
          float32 [n, dim] twice.
        """
        said, places = self._said(facts, training), tf.range(tf.shape(known)[0])
        known = tf.logical_and(known, places <= self.config.n_items)
        described = self._described(said) + tf.zeros([tf.shape(known)[0], 1])  # one row for each
        if not self.config.ids:
            return described, described
        whole = self.item_table(tf.where(known, places, 0))
        if not self.config.folded:
            whole = whole + self._gated(self.gates_beside_id, said)
        return tf.where(tf.expand_dims(known, 1), whole, described), described

    def _said(self, facts: Facts, training: bool) -> list[Tensor]:
        return [tower(facts[name], training=training) for name, tower in self.towers.items()]

    def _described(self, said: list[Tensor]) -> Tensor:
        return self.without_id + self._gated(self.gates, said)

    @staticmethod
    def _gated(gates: Tensor, said: list[Tensor]) -> Tensor:
        return sum(gates[place] * part for place, part in enumerate(said))

    def recommend(self, history: Tensor) -> dict[str, Tensor]:
        """The best items with an id for one history, and what scores any other.

        Args:
          history: int32 [1, length], oldest first, padded with 0 on the left.

        Returns:
          items: int32 [1, 100], best first. scores: float32 [1, 100]. user: float32 [1, dim], whose
          inner product with `describe`'s vector of an item is its score.
        """
        user = self.last(history)
        best, found = tf.math.top_k(self.logits(user)[:, 1:], min(TOP, self.config.n_items))
        return {"items": found + 1, "scores": best, "user": user}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Multimodal:
        """Makes a model of these sizes, with new weights."""
        fields = dict(config)
        name = fields.pop("name", "multimodal")
        return cls(MultimodalConfig(**fields), name=name)


def built(config: MultimodalConfig) -> Multimodal:
    """A model whose weights exist, new."""
    model = Multimodal(config)
    model(tf.zeros([1, config.length], tf.int32))
    model.vectors(no_facts(config), tf.constant([True]))
    return model


def no_facts(config: MultimodalConfig) -> dict[str, Any]:
    """Of one item: nothing is known."""
    return {name: tf.zeros([1, slots], tf.int32) for name, _, slots in config.facts}


def folded(model: Multimodal, facts: Facts) -> Multimodal:
    """The same recommender with whole vectors in its table of ids.

    Args:
      model: a trained one. facts: of the items 0 … n_items.
    """
    copy = built(replace(model.config, ids=True, folded=True))
    for name in ("position_table", "reading"):
        getattr(copy, name).set_weights(getattr(model, name).get_weights())
    pairs = [*zip(copy.mixing, model.mixing, strict=True)]
    pairs += [(copy.towers[name], tower) for name, tower in model.towers.items()]
    for new, old in pairs:
        new.set_weights(old.get_weights())
    for name in ("scale", "shift", "gates", "without_id"):
        getattr(copy, name).assign(getattr(model, name))
    whole, _ = model.vectors(facts, tf.fill([model.config.n_items + 1], True))
    copy.item_table.set_weights([np.asarray(whole)])
    return copy


def signatures(config: MultimodalConfig) -> dict[str, Signature]:
    """What a file can be asked.

    `recommend`: history → items, scores, user. `score`: history, candidates → scores. `describe`:
    the facts of an item → its vector, for items that have come since.
    """
    history = tf.TensorSpec([1, config.length], tf.int32)
    candidates = tf.TensorSpec([None], tf.int32)
    asked = {
        "recommend": Signature(Multimodal.recommend, {"history": history}),
        "score": Signature(Multimodal.score, {"history": history, "candidates": candidates}),
    }

    def describe(model: Multimodal, **facts: Tensor) -> dict[str, Tensor]:
        return {"vector": model.describe(facts)}

    if config.facts:
        given = {name: tf.TensorSpec([1, slots], tf.int32) for name, _, slots in config.facts}
        asked["describe"] = Signature(describe, given)
    return asked
