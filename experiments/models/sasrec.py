"""SASRec: a causal transformer that reads a user's history and scores every item.

Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018. Every matrix is a plain
Dense or Embedding held as an attribute, so that a compressor can replace it, and the item table is
read again wherever it is used.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.models import tf
from experiments.models.retriever import MASKED, Retriever, Tensor, dropout, table

_PACKAGE = "experiments"


@dataclass(frozen=True)
class SASRecConfig:
    """The sizes of a SASRec.

    Attributes:
      n_items: item ids are 1 … n_items; 0 is padding.
      length: how many events the model reads.
      dim: width of the table and the trunk; a multiple of heads.
      blocks: how many transformer blocks.
      heads: how many attention heads a block has.
      feedforward: width between a block's two feed-forward layers.
      dropout: the rate, 0 ≤ dropout < 1.
      item_bias: whether each item's score has a bias of its own.

    Raises:
      ValueError: if a field is out of range.
    """

    n_items: int
    length: int = 64
    dim: int = 64
    blocks: int = 2
    heads: int = 2
    feedforward: int = 256
    dropout: float = 0.2
    item_bias: bool = True

    def __post_init__(self) -> None:
        for field in ("n_items", "length", "dim", "blocks", "heads", "feedforward"):
            if getattr(self, field) < 1:
                raise ValueError(f"Received {field}={getattr(self, field)}, expected at least 1.")
        if self.dim % self.heads:
            raise ValueError(
                f"Received dim={self.dim}, heads={self.heads}; expected heads to divide dim."
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"Received dropout={self.dropout}, expected 0 <= dropout < 1.")


def attention_bias(history: Tensor, rows: int) -> Tensor:
    """What to add to attention scores so that a row of an event sees only events, none after it.

    Rows of padding see padding; nobody sees them.

    Args:
      history: int32 [B, L], 0 is padding.
      rows: how many of the last places ask.

    Returns:
      float32 [B, 1, rows, L]: 0 where row i may see row j, else `MASKED` or less.
    """
    # Computed from the history, and not a constant of 4 bytes for each pair of places.
    place = tf.cast(places(history), tf.float32)
    later = tf.nn.relu(place[:, None, None, :] - place[:, None, -rows:, None])
    padding = MASKED * tf.cast(tf.equal(history, 0), tf.float32)
    return MASKED * later + padding[:, None, None, :]


def places(history: Tensor) -> Tensor:
    """Where each event stands: int32 [B, L] → int32 [B, L]; padding is at 0.

    A plain range would do as well, but what does not depend on the history a converter computes
    beforehand, and then the table of positions is no table any more.
    """
    return tf.where(tf.equal(history, 0), 0, np.arange(history.shape[1], dtype=np.int32))


def _norm(name: str) -> Tensor:
    # Below Keras' threshold of 1.001e-5: above it, it would reshape to use a fused batch norm.
    return tf.keras.layers.LayerNormalization(epsilon=1e-6, name=name)


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class Block(tf.keras.layers.Layer):  # type: ignore[misc]
    """A pre-norm transformer block: x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(
        self, dim: int, heads: int, feedforward: int, dropout_rate: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dim, self.heads, self.width, self.rate = dim, heads, feedforward, dropout_rate
        self.norm1, self.norm2 = _norm("norm1"), _norm("norm2")
        self.query = tf.keras.layers.Dense(dim, name="query")
        self.key = tf.keras.layers.Dense(dim, name="key")
        self.value = tf.keras.layers.Dense(dim, name="value")
        self.projection = tf.keras.layers.Dense(dim, name="projection")
        self.ff1 = tf.keras.layers.Dense(feedforward, activation="relu", name="ff1")
        self.ff2 = tf.keras.layers.Dense(dim, name="ff2")
        self.drop_attention = dropout(dropout_rate, "drop_attention")
        self.drop1, self.drop2 = dropout(dropout_rate, "drop1"), dropout(dropout_rate, "drop2")

    def call(self, x: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """Runs the block for the last rows; keys and values come from all.

        Args:
          x: float32 [B, L, dim].
          mask: float32 [B, 1, rows, L]; added to attention scores.
          training: whether to drop.

        Returns:
          float32 [B, rows, dim].
        """
        known, rows = self.norm1(x), mask.shape[2]
        attended = self.projection(self._attend(known[:, -rows:], known, mask, training))
        x = x[:, -rows:] + self.drop1(attended, training=training)
        return x + self.drop2(self.ff2(self.ff1(self.norm2(x))), training=training)

    def _attend(self, wanted: Tensor, rows: Tensor, mask: Tensor, training: bool) -> Tensor:
        query, key = self._split(self.query(wanted)), self._split(self.key(rows))
        # Scaled here, not in the query: a converter would fold that factor into the weights.
        scores = tf.matmul(query, key, transpose_b=True) * (self.dim // self.heads) ** -0.5
        weights = self.drop_attention(tf.nn.softmax(scores + mask), training=training)
        mixed = tf.matmul(weights, self._split(self.value(rows)))
        return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [-1, wanted.shape[1], self.dim])

    def _split(self, x: Tensor) -> Tensor:
        """[B, L, dim] → [B, heads, L, dim / heads]."""
        split = tf.reshape(x, [-1, x.shape[1], self.heads, self.dim // self.heads])
        return tf.transpose(split, [0, 2, 1, 3])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        sizes = {"dim": self.dim, "heads": self.heads, "feedforward": self.width}
        return {**super().get_config(), **sizes, "dropout_rate": self.rate}


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class SASRec(Retriever):
    """A sequential recommender whose item table is both its input and its output layer.

    >>> model = SASRec(SASRecConfig(n_items=150, length=4, dim=8))
    >>> answer = model.recommend(tf.constant([[0, 0, 5, 7]]))
    >>> answer["items"].shape.as_list(), answer["scores"].shape.as_list()
    ([1, 100], [1, 100])
    """

    def __init__(self, config: SASRecConfig, name: str = "sasrec", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.config = config
        self.item_table = table(config.n_items + 1, config.dim, "item_table")
        self.position_table = table(config.length, config.dim, "position_table")
        self.blocks = [
            Block(config.dim, config.heads, config.feedforward, config.dropout, name=f"block_{i}")
            for i in range(config.blocks)
        ]
        self.norm = _norm("norm")
        self.drop = dropout(config.dropout, "drop")
        self.item_bias = None
        if config.item_bias:
            self.item_bias = self.add_weight("item_bias", [config.n_items + 1], initializer="zeros")

    def hidden(self, history: Tensor, rows: int | None = None, training: bool = False) -> Tensor:
        """See `Retriever.hidden`."""
        # The table starts small because it scores, too; as an input it is brought to unit size.
        x = self.item_table(history) * self.config.dim**0.5
        x = self.drop(x + self.position_table(places(history)), training=training)
        *inner, outer = self.blocks
        length = history.shape[1]
        for block in inner:
            x = block(x, attention_bias(history, length), training=training)
        x = outer(x, attention_bias(history, rows or length), training=training)
        return self.norm(x)

    def get_config(self) -> dict[str, Any]:
        """The fields of `SASRecConfig`, and the model's name."""
        return {"name": self.name, **asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SASRec:
        """Makes a model of these sizes, with new weights."""
        fields = dict(config)
        name = fields.pop("name", "sasrec")
        return cls(SASRecConfig(**fields), name=name)
