"""Models of every kind with StringLookup, IntegerLookup or Hashing before a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import small_models
import tensorflow as tf
import tf_keras as keras

layers = keras.layers
NAMES = [f"item {number}" for number in range(20)]
ROWS, WIDTH, LENGTH = 40, 8, 5


def _adapted() -> Any:
    layer = layers.StringLookup(num_oov_indices=3, mask_token="")
    layer.adapt(NAMES)
    return layer


LOOKUPS = {
    "string": lambda: layers.StringLookup(vocabulary=NAMES),
    "masked": lambda: layers.StringLookup(vocabulary=NAMES, mask_token="", num_oov_indices=2),
    "adapted": _adapted,
    "integer": lambda: layers.IntegerLookup(
        vocabulary=[5, 7, 100, -3], mask_token=0, num_oov_indices=2
    ),
    "hashed": lambda: layers.Hashing(30),
    "salted": lambda: layers.Hashing(30, mask_value="", salt=[3, 4]),
}


def tokens(lookup: str, count: int = 4, seed: int = 0) -> Any:
    """Tokens `[count, LENGTH]`, known ones and others."""
    known: list[Any] = [5, 7, 100, 9, 0, -8] if lookup == "integer" else [*NAMES, "?", "zü", ""]
    drawn = np.random.default_rng(seed).integers(0, len(known), count * LENGTH)
    chosen = np.array([known[index] for index in drawn], np.int64 if lookup == "integer" else "O")
    return tf.constant(chosen.reshape(count, LENGTH))


@small_models.register
class Looking(keras.Model):
    """A subclassed model that looks tokens up, and rows for them."""

    def __init__(self, lookup: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = lookup
        self.lookup = LOOKUPS[lookup]()
        self.table = layers.Embedding(ROWS, WIDTH, name="table")
        self.head = layers.Dense(3, name="head")

    def call(self, inputs: Any) -> Any:
        return self.head(tf.reduce_mean(self.table(self.lookup(inputs)), axis=1))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "lookup": self.kind}


def subclassed(lookup: str) -> Any:
    model = Looking(lookup)
    model(tokens(lookup))
    return model


def _input(lookup: str) -> Any:
    return keras.Input((LENGTH,), dtype="int64" if lookup == "integer" else "string", name="x")


def sequential(lookup: str) -> Any:
    pooled = [layers.GlobalAveragePooling1D(), layers.Dense(3, name="head")]
    table = layers.Embedding(ROWS, WIDTH, name="table")
    return keras.Sequential([_input(lookup), LOOKUPS[lookup](), table, *pooled])


def functional(lookup: str) -> Any:
    x = _input(lookup)
    rows = layers.Embedding(ROWS, WIDTH, name="table")(LOOKUPS[lookup]()(x))
    return keras.Model(x, layers.Dense(3, name="head")(layers.GlobalAveragePooling1D()(rows)))


FAMILIES = {"sequential": sequential, "functional": functional, "subclassed": subclassed}
