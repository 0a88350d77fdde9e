"""The retrieval teacher rebuilt as a Functional Keras model, which is what TF-MOT takes.

TF-MOT wraps or clones layers, so every matrix is a layer of one graph, and what has no weights is a
small layer of its own. The item table scores outside the graph, for a Functional model cannot read
a layer's weights twice without storing them twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from experiments.models.retriever import Retriever, Tensor
from experiments.models.sasrec import SASRec, SASRecConfig, attention_bias, places
from tfcompress.keras import keras, tf

DENSE = ("query", "key", "value", "projection", "ff1", "ff2")
NORMS = ("norm1", "norm2")


class Places(keras.layers.Layer):  # type: ignore[misc]
    """Where each event stands: int32 [B, L] both ways."""

    def call(self, history: Tensor) -> Tensor:
        """See `sasrec.places`."""
        return places(history)


class LastRows(keras.layers.Layer):  # type: ignore[misc]
    """The last rows alone: float32 [B, L, dim] → float32 [B, rows, dim]."""

    def __init__(self, rows: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rows = rows

    def call(self, x: Tensor) -> Tensor:
        """Cuts."""
        return x[:, -self.rows :]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rows": self.rows}


class Mask(LastRows):
    """What to add to attention scores: int32 [B, L] → float32 [B, 1, rows, L]."""

    def call(self, history: Tensor) -> Tensor:
        """See `sasrec.attention_bias`."""
        return attention_bias(history, self.rows)


class Scale(keras.layers.Layer):  # type: ignore[misc]
    """A tensor times a number."""

    def __init__(self, factor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Tensor) -> Tensor:
        """Multiplies."""
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "factor": self.factor}


class Split(keras.layers.Layer):  # type: ignore[misc]
    """float32 [B, L, dim] → float32 [B, heads, L, dim / heads]."""

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def call(self, x: Tensor) -> Tensor:
        """Splits."""
        split = tf.reshape(x, [-1, x.shape[1], self.heads, x.shape[2] // self.heads])
        return tf.transpose(split, [0, 2, 1, 3])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "heads": self.heads}


class Weights(keras.layers.Layer):  # type: ignore[misc]
    """How much each query listens to each key, from both and the mask."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        """float32 [B, heads, rows, L]."""
        query, key, mask = inputs
        scores = tf.matmul(query, key, transpose_b=True) * query.shape[-1] ** -0.5
        return tf.nn.softmax(scores + mask)


class Mix(keras.layers.Layer):  # type: ignore[misc]
    """Values by weights, the heads side by side: float32 [B, rows, dim]."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Mixes."""
        weights, value = inputs
        mixed = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
        return tf.reshape(mixed, [-1, mixed.shape[1], mixed.shape[2] * mixed.shape[3]])


LAYERS: Mapping[str, type] = {
    one.__name__: one for one in (Places, LastRows, Mask, Scale, Split, Weights, Mix)
}


def trunk(config: SASRecConfig, rows: int) -> Any:
    """A Functional model, int32 [B, length] → float32 [B, rows, dim], its weights new."""
    layers = keras.layers
    history = keras.Input([config.length], dtype=tf.int32)
    items = layers.Embedding(config.n_items + 1, config.dim, name="item_table")(history)
    spots = layers.Embedding(config.length, config.dim, name="position_table")(Places()(history))
    x = layers.Add()([Scale(config.dim**0.5)(items), spots])
    x = layers.Dropout(config.dropout)(x)
    for number in range(config.blocks):
        last = number == config.blocks - 1
        x = _block(config, f"block_{number}", x, history, rows if last else config.length)
    return keras.Model(history, layers.LayerNormalization(epsilon=1e-6, name="norm")(x))


def _block(config: SASRecConfig, name: str, x: Tensor, history: Tensor, rows: int) -> Tensor:
    layers = keras.layers

    def dense(part: str, width: int, activation: str | None = None) -> Any:
        return layers.Dense(width, activation=activation, name=f"{name}_{part}")

    def norm(part: str) -> Any:
        return layers.LayerNormalization(epsilon=1e-6, name=f"{name}_{part}")

    drop = layers.Dropout
    known = norm("norm1")(x)
    query = Split(config.heads)(dense("query", config.dim)(LastRows(rows)(known)))
    key = Split(config.heads)(dense("key", config.dim)(known))
    value = Split(config.heads)(dense("value", config.dim)(known))
    weights = drop(config.dropout)(Weights()([query, key, Mask(rows)(history)]))
    attended = dense("projection", config.dim)(Mix()([weights, value]))
    x = layers.Add()([LastRows(rows)(x), drop(config.dropout)(attended)])
    inner = dense("ff1", config.feedforward, "relu")(norm("norm2")(x))
    return layers.Add()([x, drop(config.dropout)(dense("ff2", config.dim)(inner))])


def pairs(graph: Any, model: SASRec) -> list[tuple[Any, Any]]:
    """Layers of a trunk, each with the layer of the subclassed model that it stands for."""
    found = [(graph.get_layer(name), getattr(model, name)) for name in _TOP]
    for block in model.blocks:
        for part in (*DENSE, *NORMS):
            found.append((graph.get_layer(f"{block.name}_{part}"), getattr(block, part)))
    return found


_TOP = ("item_table", "position_table", "norm")


class Rebuilt(Retriever):
    """A retriever around a trunk, whose table scores as well.

    Args:
        config: its sizes.
        graph: a trunk, its layers as they are or wrapped.
        bias: of the items, float32 [n_items + 1].
        table: finds the table in the graph; asked after each run, for a wrapper may put another
            tensor in its place.
    """

    def __init__(
        self, config: SASRecConfig, graph: Any, bias: Any, table: Callable[[Any], Tensor]
    ) -> None:
        super().__init__(name="rebuilt")
        self.config, self.graph, self._table = config, graph, table
        self.item_bias = self.add_weight("item_bias", [config.n_items + 1])
        self.item_bias.assign(bias)

    def hidden(self, history: Tensor, rows: int | None = None, training: bool = False) -> Tensor:
        """What the trunk says; it has as many rows as it was built for."""
        return self.graph(history, training=training)

    def _matches(self, hidden: Tensor) -> Tensor:
        return tf.matmul(hidden, self._table(self.graph), transpose_b=True)


def taught(graph: Any, model: SASRec) -> Any:
    """The trunk, with the model's weights."""
    for layer, original in pairs(graph, model):
        layer.set_weights(original.get_weights())
    return graph


def returned(graph: Any, bias: Any, config: SASRecConfig) -> SASRec:
    """The subclassed model with what a trunk has learnt, which converts as the teacher does."""
    model = SASRec(config)
    model(tf.zeros([1, config.length], tf.int32))
    for layer, original in pairs(graph, model):
        original.set_weights(layer.get_weights())
    model.item_bias.assign(bias)
    return model
