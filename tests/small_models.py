"""Small models of every kind that tfcompress promises to compress, with data to train them on.

Every family holds an Embedding of 40x12 and a Dense layer of 12x16, under whatever path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

import tfcompress as tfc

IDS, WIDTH, UNITS, LENGTH = 40, 12, 16, 5
register = keras.saving.register_keras_serializable("tests")


def ids(count: int = 32, seed: int = 0) -> Any:
    """Histories int32 `[count, LENGTH]`."""
    return np.random.default_rng(seed).integers(0, IDS, (count, LENGTH)).astype(np.int32)


def targets(count: int = 32, seed: int = 1) -> Any:
    """Float targets `[count, 4]`."""
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


def sequential() -> Any:
    """Embedding, pooling, two Dense layers."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.layers.Embedding(IDS, WIDTH, input_length=LENGTH, name="table"),
            keras.layers.GlobalAveragePooling1D(name="mean"),
            keras.layers.Dense(UNITS, activation="relu", name="hidden"),
            keras.layers.Dense(4, name="head"),
        ],
        name="sequential",
    )


def functional() -> Any:
    """A shared layer, a nested network, an operator, and a custom layer in a graph."""
    keras.utils.set_random_seed(2)
    history = keras.Input((LENGTH,), dtype="int32", name="history")
    rows = keras.layers.Embedding(IDS, WIDTH, name="table")(history)
    shared = keras.layers.Dense(UNITS, activation="tanh", name="shared")
    first, second = shared(rows[:, 0]), shared(rows[:, 1])
    inner_input = keras.Input((UNITS,))
    inner_output = keras.layers.Dense(UNITS, name="deep")(inner_input)
    inner = keras.Model(inner_input, inner_output, name="inner")
    both = inner(first) + tf.nn.relu(second)
    both = Block(UNITS, name="block")(both)
    return keras.Model(history, keras.layers.Dense(4, name="head")(both), name="functional")


@register
class Block(keras.layers.Layer):
    """A custom layer with layers of its own in a list and a dict."""

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.steps = [keras.layers.Dense(width, name=f"step{i}") for i in range(2)]
        self.gates = {"in": keras.layers.Dense(width, activation="sigmoid", name="gate")}

    def build(self, input_shape: Any) -> None:
        for layer in [*self.steps, *self.gates.values()]:
            layer.build(tf.TensorShape([None, self.width]))
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        hidden = inputs
        for step in self.steps:
            hidden = step(hidden)
        return inputs + hidden * self.gates["in"](inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


@register
class Subclassed(keras.Model):
    """Blocks in a list, in a dict and in a tuple, a nested network, and a shared layer."""

    def __init__(self, width: int = WIDTH, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.table = keras.layers.Embedding(IDS, width, name="table")
        self.enter = keras.layers.Dense(UNITS, name="enter")
        self.blocks = [Block(UNITS), Block(UNITS)]
        self.named = {"last": Block(UNITS)}
        self.pair = (keras.layers.Dense(UNITS, activation="relu"), keras.layers.Dropout(0.1))
        self.tail = keras.Sequential([keras.layers.Dense(4, name="head")], name="tail")
        self.same = self.enter

    def call(self, inputs: Any, training: Any = None) -> Any:
        hidden = tf.reduce_mean(self.table(inputs), axis=1)
        hidden = self.enter(hidden) + self.same(-hidden)
        for block in self.blocks:
            hidden = block(hidden)
        hidden = self.pair[1](self.pair[0](hidden), training=training)
        return self.tail(self.named["last"](hidden))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "width": self.width}


def subclassed() -> Any:
    keras.utils.set_random_seed(3)
    model = Subclassed(name="subclassed")
    model(ids(2))
    return model


@register
class Tied(tfrs.Model):
    """History ids to scores over the very table they were looked up in (a TFRS model)."""

    def __init__(self, factor_by_factor: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor_by_factor = factor_by_factor
        self.table = keras.layers.Embedding(IDS, WIDTH, name="table")
        self.hidden = keras.layers.Dense(UNITS, activation="relu", name="hidden")
        self.out = keras.layers.Dense(WIDTH, name="out")
        self.task = tfrs.tasks.Ranking(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
        )

    def call(self, inputs: Any, training: Any = None) -> Any:
        vectors = self.out(self.hidden(tf.reduce_mean(self.table(inputs), axis=1)))
        if self.factor_by_factor:
            return tfc.scores(vectors, self.table)
        return tf.matmul(vectors, self.table.embeddings, transpose_b=True)

    def compute_loss(self, inputs: Any, training: bool = False) -> Any:
        history, target = inputs if isinstance(inputs, tuple) else (inputs, inputs[:, 0])
        return self.task(labels=target, predictions=self(history, training=training))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "factor_by_factor": self.factor_by_factor}


def tied(factor_by_factor: bool = False) -> Any:
    keras.utils.set_random_seed(4)
    model = Tied(factor_by_factor, name="tied")
    model(ids(2))
    return model


NAMES = [f"item {i}" for i in range(IDS)]
USERS = [f"user {i}" for i in range(20)]


class TwoTower(tfrs.Model):
    """The TFRS tutorial's retrieval model: look-ups of names, two towers, FactorizedTopK."""

    def __init__(self, user_tower: Any, item_tower: Any, candidates: Any) -> None:
        super().__init__()
        self.user_tower = user_tower
        self.item_tower = item_tower
        self.task = tfrs.tasks.Retrieval(
            metrics=tfrs.metrics.FactorizedTopK(candidates=candidates, ks=(1, 5))
        )

    def compute_loss(self, features: Any, training: bool = False) -> Any:
        users = self.user_tower(features["user"])
        return self.task(users, self.item_tower(features["item"]), compute_metrics=not training)


def tower(names: list[str], name: str) -> Any:
    """StringLookup, Embedding, Dense."""
    return keras.Sequential(
        [
            keras.layers.StringLookup(vocabulary=names, mask_token=None),
            keras.layers.Embedding(len(names) + 1, WIDTH, name="table"),
            keras.layers.Dense(UNITS, name="out"),
        ],
        name=name,
    )


def items_dataset() -> Any:
    return tf.data.Dataset.from_tensor_slices(NAMES).batch(16)


def interactions(count: int = 64) -> Any:
    """Batches of {"user", "item"}."""
    rng = np.random.default_rng(5)
    columns = {
        "user": np.array(USERS)[rng.integers(0, len(USERS), count)],
        "item": np.array(NAMES)[rng.integers(0, len(NAMES), count)],
    }
    return tf.data.Dataset.from_tensor_slices(columns).batch(16)


def two_tower(candidates: Callable[[Any], Any] | None = None) -> Any:
    """A built two-tower model; `candidates` makes the metric's dataset from the item tower."""
    keras.utils.set_random_seed(6)
    users, items = tower(USERS, "users"), tower(NAMES, "items")
    make = candidates or (lambda item_tower: items_dataset().map(item_tower))
    model = TwoTower(users, items, make(items))
    model.compute_loss({"user": tf.constant(USERS[:2]), "item": tf.constant(NAMES[:2])})
    return model


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        build: makes one, built, always with the same weights.
        data: (x, y) for `fit`.
        loss: for `compile`; None for TFRS, which brings its own.
        dense: the path of its 12x16 Dense layer (16x16 in the Functional family's twin).
    """

    name: str
    build: Callable[[], Any]
    loss: str | None
    dense: str

    def data(self) -> Any:
        y = targets() if self.loss else ids()[:, 0]
        return tf.data.Dataset.from_tensor_slices((ids(), y)).batch(8)

    def compiled(self, model: Any, learning_rate: float = 0.01) -> Any:
        model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss=self.loss)
        return model

    def outputs(self, model: Any) -> Any:
        return model(ids(), training=False).numpy()


FAMILIES = {
    f.name: f
    for f in [
        Family("sequential", sequential, "mse", "hidden"),
        Family("functional", functional, "mse", "shared"),
        Family("subclassed", subclassed, "mse", "enter"),
        Family("tfrs", tied, None, "hidden"),
    ]
}
