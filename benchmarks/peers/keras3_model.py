"""The retrieval teacher in Keras 3 layers, with its weights. Needs a process without Keras 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

TOP = 100
MASKED = -1e4
DENSE = ("query", "key", "value", "projection", "ff1", "ff2")
NORMS = ("norm1", "norm2")
Arrays = Mapping[str, Any]
Tensor = Any


def causal(length: int) -> Any:
    """What hides later places where no history is given: float32 [1, 1, length, length]."""
    place = np.arange(length, dtype=np.float32)
    return MASKED * np.maximum(place[None, :] - place[:, None], 0.0)[None, None]


def attention_bias(history: Tensor) -> Tensor:
    """What to add to attention scores, as the teacher does: int32 [B, L] → float32 [B, 1, L, L]."""
    place = ops.cast(places(history), "float32")
    later = ops.relu(place[:, None, None, :] - place[:, None, :, None])
    padding = MASKED * ops.cast(ops.equal(history, 0), "float32")
    return MASKED * later + padding[:, None, None, :]


def places(history: Tensor) -> Tensor:
    """Where each event stands, padding at 0: int32 [B, L] both ways."""
    return ops.where(ops.equal(history, 0), 0, np.arange(history.shape[1], dtype=np.int32))


class Block(layers.Layer):  # type: ignore[misc]
    """A pre-norm transformer block that answers for the last `rows` places."""

    def __init__(self, sizes: Mapping[str, Any], rows: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.heads, self.rows = sizes["dim"], sizes["heads"], rows
        self.norm1 = layers.LayerNormalization(epsilon=1e-6, name="norm1")
        self.norm2 = layers.LayerNormalization(epsilon=1e-6, name="norm2")
        for name in DENSE:
            width = sizes["feedforward"] if name == "ff1" else self.dim
            activation = "relu" if name == "ff1" else None
            setattr(self, name, layers.Dense(width, activation=activation, name=name))

    def call(self, x: Tensor, bias: Tensor = None) -> Tensor:
        """float32 [B, L, dim] → float32 [B, rows, dim]; without a bias, all places are events."""
        bias = causal(x.shape[1]) if bias is None else bias
        known = self.norm1(x)
        query, key = self._split(self.query(known[:, -self.rows :])), self._split(self.key(known))
        scores = ops.matmul(query, ops.transpose(key, [0, 1, 3, 2])) * (
            (self.dim // self.heads) ** -0.5
        )
        weights = ops.softmax(scores + bias[:, :, -self.rows :])
        mixed = ops.transpose(ops.matmul(weights, self._split(self.value(known))), [0, 2, 1, 3])
        attended = self.projection(ops.reshape(mixed, [-1, self.rows, self.dim]))
        x = x[:, -self.rows :] + attended
        return x + self.ff2(self.ff1(self.norm2(x)))

    def _split(self, x: Tensor) -> Tensor:
        split = ops.reshape(x, [-1, x.shape[1], self.heads, self.dim // self.heads])
        return ops.transpose(split, [0, 2, 1, 3])


class Start(layers.Layer):  # type: ignore[misc]
    """Items and positions as vectors: int32 [B, L] → float32 [B, L, dim]."""

    def __init__(self, sizes: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = sizes["dim"]
        self.items = layers.ReversibleEmbedding(sizes["n_items"] + 1, self.dim, name="items")
        self.positions = layers.Embedding(sizes["length"], self.dim, name="positions")

    def call(self, history: Tensor) -> Tensor:
        """The sum of both."""
        return self.items(history) * self.dim**0.5 + self.positions(places(history))


class Ported(keras.Model):  # type: ignore[misc]
    """The teacher; `call` scores all items: int32 [B, length] → float32 [B, n_items + 1].

    Args:
        sizes: the fields of `SASRecConfig`.
    """

    def __init__(self, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        self.start = Start(sizes, name="start")
        rows = [sizes["length"]] * (sizes["blocks"] - 1) + [1]
        self.blocks = [Block(sizes, n, name=f"block_{i}") for i, n in enumerate(rows)]
        self.norm = layers.LayerNormalization(epsilon=1e-6, name="norm")
        self.item_bias = self.add_weight(
            shape=[sizes["n_items"] + 1], initializer="zeros", name="item_bias"
        )
        self.dim = sizes["dim"]

    def call(self, history: Tensor) -> Tensor:
        """Scores of all items for the place behind the last event."""
        x, bias = self.start(history), attention_bias(history)
        for block in self.blocks:
            x = block(x, bias)
        last = ops.reshape(self.norm(x), [-1, self.dim])
        return self.start.items(last, reverse=True) + self.item_bias

    def recommend(self, history: Tensor) -> dict[str, Tensor]:
        """The best items: `items` int32 [1, 100] and their `scores`."""
        best, found = ops.top_k(self(history)[:, 1:], TOP)
        return {"items": ops.cast(found, "int32") + 1, "scores": best}

    def score(self, history: Tensor, candidates: Tensor) -> dict[str, Tensor]:
        """`scores` float32 [1, n] of chosen items."""
        return {"scores": ops.take(self(history), candidates, axis=1)}

    def get_quantization_layer_structure(self, mode: str | None = None) -> dict[str, Any]:
        """What GPTQ goes through in turn."""
        return {"pre_block_layers": [self.start], "sequential_blocks": self.blocks}


def ported(sizes: Mapping[str, Any], weights: Arrays) -> Ported:
    """The model with the teacher's weights.

    Args:
        sizes: the fields of `SASRecConfig`.
        weights: arrays named `<layer>/<weight>` or `block_<i>/<layer>/<weight>`.
    """
    model = Ported(sizes)
    model(np.zeros([1, sizes["length"]], np.int32))
    model.start.items.set_weights([weights["item_table"]])
    model.start.positions.set_weights([weights["position_table"]])
    model.norm.set_weights([weights["norm/0"], weights["norm/1"]])
    model.item_bias.assign(weights["item_bias"])
    for block in model.blocks:
        for name in (*DENSE, *NORMS):
            pair = [weights[f"{block.name}/{name}/{place}"] for place in (0, 1)]
            getattr(block, name).set_weights(pair)
    return model
