"""A SASRec for phones: the same reasoning in fewer operators, weights and multiply-adds.

What differs from `sasrec.SASRec`, each a rewriting of the same function or close to one:

- Vectors on the residual path have mean zero, so that a norm is one by their root mean square
  alone (Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019), without weights: those
  of a norm before a matrix are part of the matrix.
- The mean of a row of the item table is therefore free. It is the item's bias in the score.
- The last block answers for the last place only. With query and key in one matrix it asks the
  rows themselves, and with value and projection in another it reads them: nothing but the norm is
  computed for every row. (The same identity saves DeepSeek-V2's attention its cache, 2024.)
- Query, key and value of the other blocks are one matrix.
- Whatever hides the future hides padding, too: it counts as later than every event.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.models import tf
from experiments.models.retriever import MASKED, Retriever, Tensor, dropout, table

_PACKAGE = "experiments"
_TINY = 1e-8  # an empty history's rows are small, but never zero


@dataclass(frozen=True)
class MobileConfig:
    """The sizes of a `MobileSASRec`.

    Attributes:
      n_items: item ids are 1 … n_items; 0 is padding.
      length: how many events the model reads.
      dim: width of the table and the trunk; a multiple of heads.
      heads: how many attention heads a block has.
      feedforward: for each block the width between its two feed-forward layers.
      dropout: the rate, 0 ≤ dropout < 1.

    Raises:
      ValueError: if a field is out of range.
    """

    n_items: int
    length: int
    dim: int
    heads: int
    feedforward: tuple[int, ...]
    dropout: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "feedforward", tuple(self.feedforward))
        for field in ("n_items", "length", "dim", "heads"):
            if getattr(self, field) < 1:
                raise ValueError(f"Received {field}={getattr(self, field)}, expected at least 1.")
        if self.dim % self.heads:
            raise ValueError(
                f"Received dim={self.dim}, heads={self.heads}; expected heads to divide dim."
            )
        if not self.feedforward or min(self.feedforward) < 1:
            raise ValueError(
                f"Received feedforward={self.feedforward}, expected a width of at least 1 for "
                "each block."
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"Received dropout={self.dropout}, expected 0 <= dropout < 1.")


def places(history: Tensor) -> Tensor:
    """Where each event stands, padding behind all of them: int32 [B, L] → int32 [B, L].

    Events are at 0 … L - 1 and padding is at L. It depends on the history: what does not, a
    converter computes beforehand, and then the table of positions is no table any more.
    """
    length = history.shape[1]
    return tf.where(tf.equal(history, 0), length, np.arange(length, dtype=np.int32))


def lateness(place: Tensor) -> Tensor:
    """How far each key is behind each query, as what attention has to subtract.

    Args:
      place: int32 [B, L], see `places`.

    Returns:
      float32 [B, L, L]: 0 where the query (row) may see the key (column), else 10,000 or more.
    """
    place = -MASKED * tf.cast(place, tf.float32)
    # Not `place[:, None]`: that converts to two operators.
    return tf.nn.relu(tf.expand_dims(place, 1) - tf.expand_dims(place, 2))


def unit(x: Tensor) -> Tensor:
    """Rows brought to a mean square of 1: float32 [..., dim] both ways."""
    return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + _TINY)


def _writes(dim: int, name: str) -> Tensor:
    """A matrix that adds to the residual path, small beside what it adds to, as rows are there."""
    small = tf.keras.initializers.VarianceScaling(1.0 / dim, "fan_avg", "uniform")
    return tf.keras.layers.Dense(dim, kernel_initializer=small, name=name)


class _FeedForwardBlock(tf.keras.layers.Layer):  # type: ignore[misc]
    """What both kinds of block end with: x + feed-forward(unit(x))."""

    def __init__(
        self, dim: int, heads: int, feedforward: int, dropout_rate: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dim, self.heads, self.width, self.rate = dim, heads, feedforward, dropout_rate
        self.ff1 = tf.keras.layers.Dense(feedforward, activation="relu", name="ff1")
        self.ff2 = _writes(dim, "ff2")
        self.drop_attention = dropout(dropout_rate, "drop_attention")
        self.drop1, self.drop2 = dropout(dropout_rate, "drop1"), dropout(dropout_rate, "drop2")

    def _onward(self, x: Tensor, attended: Tensor, training: bool) -> Tensor:
        x = x + self.drop1(attended, training=training)
        return x + self.drop2(self.ff2(self.ff1(unit(x))), training=training)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        sizes = {"dim": self.dim, "heads": self.heads, "feedforward": self.width}
        return {**super().get_config(), **sizes, "dropout_rate": self.rate}


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class MixingBlock(_FeedForwardBlock):
    """A block that lets every row see the rows before it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.attend = tf.keras.layers.Dense(3 * self.dim, name="attend")
        self.projection = _writes(self.dim, "projection")

    def call(self, x: Tensor, late: Tensor, training: bool = False) -> Tensor:
        """Runs the block: float32 [B, L, dim], and `lateness` [B, L, L] → float32 [B, L, dim]."""
        query, key, value = map(self._split, tf.split(self.attend(unit(x)), 3, axis=-1))
        asked = tf.matmul(query, key, transpose_b=True) - tf.expand_dims(late, 1)
        weights = self.drop_attention(tf.nn.softmax(asked), training=training)
        mixed = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
        return self._onward(x, self.projection(tf.reshape(mixed, [-1, *x.shape[1:]])), training)

    def _split(self, x: Tensor) -> Tensor:
        """[B, L, dim] → [B, heads, L, dim / heads]."""
        split = tf.reshape(x, [-1, x.shape[1], self.heads, self.dim // self.heads])
        return tf.transpose(split, [0, 2, 1, 3])


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class ReadingBlock(_FeedForwardBlock):
    """A block whose last rows read all rows before them; it gives these last rows only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reader = tf.keras.layers.Dense(self.heads * self.dim, name="reader")
        self.writer = _writes(self.dim, "writer")

    def call(self, x: Tensor, late: Tensor, training: bool = False) -> Tensor:
        """Runs the block: [B, L, dim], and `lateness`'s last rows [B, rows, L] → [B, rows, dim]."""
        known, rows, length = unit(x), late.shape[1], x.shape[1]
        query = tf.reshape(self.reader(known[:, -rows:]), [-1, rows * self.heads, self.dim])
        asked = tf.matmul(query, known, transpose_b=True)
        asked = tf.reshape(asked, [-1, rows, self.heads, length]) - tf.expand_dims(late, 2)
        weights = self.drop_attention(tf.nn.softmax(asked), training=training)
        mixed = tf.matmul(tf.reshape(weights, [-1, rows * self.heads, length]), known)
        read = self.writer(tf.reshape(mixed, [-1, rows, self.heads * self.dim]))
        return self._onward(x[:, -rows:], read, training)


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class MobileSASRec(Retriever):
    """A sequential recommender for phones; its item table is both input and output layer.

    >>> model = MobileSASRec(MobileConfig(150, length=4, dim=8, heads=2, feedforward=(16, 16)))
    >>> answer = model.recommend(tf.constant([[0, 0, 5, 7]]))
    >>> answer["items"].shape.as_list(), answer["scores"].shape.as_list()
    ([1, 100], [1, 100])
    """

    def __init__(self, config: MobileConfig, name: str = "mobile", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.config = config
        self.item_table = table(config.n_items + 1, config.dim, "item_table")
        self.position_table = table(config.length + 1, config.dim, "position_table")
        *mixing, reading = config.feedforward
        sizes = config.dim, config.heads
        self.mixing = [
            MixingBlock(*sizes, width, config.dropout, name=f"mixing_{i}")
            for i, width in enumerate(mixing)
        ]
        self.reading = ReadingBlock(*sizes, reading, config.dropout, name="reading")
        self.drop = dropout(config.dropout, "drop")
        asked = self.asked_width
        self.scale = self.add_weight("scale", [asked], initializer="ones")
        self.shift = self.add_weight("shift", [asked], initializer="zeros")

    @property
    def asked_width(self) -> int:
        """How many columns of the trunk ask items."""
        return self.config.dim

    def hidden(self, history: Tensor, rows: int | None = None, training: bool = False) -> Tensor:
        """See `Retriever.hidden`."""
        return self.read(self.item_table(history), history, rows, training)

    def read(
        self, vectors: Tensor, history: Tensor, rows: int | None = None, training: bool = False
    ) -> Tensor:
        """`hidden` of events whose items have these vectors, float32 [B, length, dim]."""
        place = places(history)
        x = vectors + self.position_table(place)
        # The mean of an item's row is its bias, and none of the trunk's concern.
        x = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        x = self.mixed(x, lateness(place), rows, training)
        return unit(x) * self.scale + self.shift

    def mixed(self, x: Tensor, late: Tensor, rows: int | None, training: bool) -> Tensor:
        """What the blocks make of rows: [B, L, dim], and `lateness` → [B, rows or L, dim]."""
        x = self.drop(x, training=training)
        for block in self.mixing:
            x = block(x, late, training=training)
        return self.reading(x, late[:, -(rows or x.shape[1]) :], training=training)

    def get_config(self) -> dict[str, Any]:
        """The fields of `MobileConfig`, and the model's name."""
        return {"name": self.name, **asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MobileSASRec:
        """Makes a model of these sizes, with new weights."""
        fields = dict(config)
        name = fields.pop("name", "mobile")
        return cls(MobileConfig(**fields), name=name)
