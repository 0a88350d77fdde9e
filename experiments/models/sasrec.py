"""SASRec: a causal transformer that reads a user's history and scores every item.

Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018; trained with full-softmax
cross-entropy on every position as in Klenitskiy and Vasilev, "Turning Dross Into Gold Loss",
RecSys 2023. Every matrix is a plain Dense or Embedding held as an attribute, so that a compressor
can replace it, and the item table is read again wherever it is used.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.models import tf, tfrs
from tfcompress import scores

Tensor = Any  # TensorFlow has no types that mypy could check
TOP = 100
MASKED = -1e4  # below any score by far, and still finite in float16
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
      inner_feedforward: the same for every block but the last; None: no difference, 0: attention
        alone. These blocks work on all rows of a history, the last one on a single row.
      lean: whether blocks leave out what other weights can express: scale and shift of a norm
        that matrices follow, the bias of values, and that of keys, which softmax cancels.
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
    inner_feedforward: int | None = None
    lean: bool = False

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
        if self.inner_feedforward is not None and self.inner_feedforward < 0:
            raise ValueError(
                f"Received inner_feedforward={self.inner_feedforward}, expected None or at least 0."
            )

    def feedforward_of(self, block: int) -> int:
        """Width of the feed-forward layers of a block; 0: it has none."""
        inner = self.inner_feedforward is not None and block < self.blocks - 1
        return self.inner_feedforward or 0 if inner else self.feedforward


def padding_bias(history: Tensor) -> Tensor:
    """What to add to attention scores so that no row sees padding.

    Args:
      history: int32 [B, L], 0 is padding.

    Returns:
      float32 [B, 1, 1, L]: 0 where there is an event, else `MASKED`.
    """
    return MASKED * tf.cast(tf.equal(history, 0), tf.float32)[:, None, None, :]


def attention_bias(history: Tensor) -> Tensor:
    """What to add to attention scores so that a row of an event sees only events, none after it.

    Rows of padding see padding; nobody sees them.

    Args:
      history: int32 [B, L], 0 is padding.

    Returns:
      float32 [B, 1, L, L]: 0 where row i may see row j, else `MASKED` or less.
    """
    # Computed from the history, and not a constant of 4 bytes for each pair of places.
    place = tf.cast(places(history), tf.float32)
    later = tf.nn.relu(place[:, None, None, :] - place[:, None, :, None])
    return MASKED * later + padding_bias(history)


def places(history: Tensor) -> Tensor:
    """Where each event stands: int32 [B, L] → int32 [B, L]; padding is at 0.

    A plain range would do as well, but what does not depend on the history a converter computes
    beforehand, and then the table of positions is no table any more.
    """
    return tf.where(tf.equal(history, 0), 0, np.arange(history.shape[1], dtype=np.int32))


def _dropout(rate: float, name: str) -> Tensor:
    # A stateful generator is the only kind whose state a trainer can save and bring back.
    return tf.keras.layers.Dropout(rate, rng_type="stateful", name=name)


def _norm(name: str, lean: bool = False) -> Tensor:
    # Below Keras' threshold of 1.001e-5: above it, it would reshape to use a fused batch norm.
    return tf.keras.layers.LayerNormalization(
        epsilon=1e-6, center=not lean, scale=not lean, name=name
    )


def _table(rows: int, dim: int, name: str) -> Tensor:
    # An initializer of its own: one that two tables share fills both with the same numbers.
    small = tf.keras.initializers.RandomNormal(stddev=0.02)
    return tf.keras.layers.Embedding(rows, dim, small, name=name)


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class Block(tf.keras.layers.Layer):  # type: ignore[misc]
    """A pre-norm transformer block: x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(
        self,
        dim: int,
        heads: int,
        feedforward: int,
        dropout: float,
        lean: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dim, self.heads, self.width, self.rate = dim, heads, feedforward, dropout
        self.lean = lean
        self.norm1 = _norm("norm1", lean)
        if feedforward:
            self.norm2 = _norm("norm2", lean)
        self.query = tf.keras.layers.Dense(dim, name="query")
        self.key = tf.keras.layers.Dense(dim, use_bias=not lean, name="key")
        self.value = tf.keras.layers.Dense(dim, use_bias=not lean, name="value")
        self.projection = tf.keras.layers.Dense(dim, name="projection")
        if feedforward:
            self.ff1 = tf.keras.layers.Dense(feedforward, activation="relu", name="ff1")
            self.ff2 = tf.keras.layers.Dense(dim, name="ff2")
        self.drop_attention = _dropout(dropout, "drop_attention")
        self.drop1 = _dropout(dropout, "drop1")
        if feedforward:
            self.drop2 = _dropout(dropout, "drop2")

    def call(
        self, x: Tensor, mask: Tensor, last_only: bool = False, training: bool = False
    ) -> Tensor:
        """Runs the block.

        Args:
          x: float32 [B, L, dim].
          mask: float32 [B, 1, L, L], or [B, 1, 1, L] if last_only; added to attention scores.
          last_only: whether only the last row is wanted; keys and values still come from all.
          training: whether to drop.

        Returns:
          float32 [B, L, dim], or [B, 1, dim] if last_only.
        """
        rows = self.norm1(x)
        wanted = rows
        if last_only:
            x, wanted = x[:, -1:], rows[:, -1:]
        attended = self.projection(self._attend(wanted, rows, mask, training))
        x = x + self.drop1(attended, training=training)
        if not self.width:
            return x
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
        return {**super().get_config(), **sizes, "dropout": self.rate, "lean": self.lean}


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class SASRec(tfrs.Model):  # type: ignore[misc]
    """A sequential recommender whose item table is both its input and its output layer.

    >>> model = SASRec(SASRecConfig(n_items=150, length=4, dim=8))
    >>> answer = model.recommend(tf.constant([[0, 0, 5, 7]]))
    >>> answer["items"].shape.as_list(), answer["scores"].shape.as_list()
    ([1, 100], [1, 100])
    """

    def __init__(self, config: SASRecConfig, name: str = "sasrec", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.config = config
        self.item_table = _table(config.n_items + 1, config.dim, "item_table")
        self.position_table = _table(config.length, config.dim, "position_table")
        self.blocks = [
            Block(
                config.dim,
                config.heads,
                config.feedforward_of(i),
                config.dropout,
                config.lean,
                name=f"block_{i}",
            )
            for i in range(config.blocks)
        ]
        self.norm = _norm("norm")
        self.drop = _dropout(config.dropout, "drop")
        self.item_bias = None
        if config.item_bias:
            self.item_bias = self.add_weight("item_bias", [config.n_items + 1], initializer="zeros")

    def call(self, history: Tensor, training: bool = False) -> Tensor:
        """The same as `hidden`."""
        return self.hidden(history, training=training)

    def hidden(self, history: Tensor, training: bool = False) -> Tensor:
        """Reads a history: int32 [B, length], 0 is padding → float32 [B, length, dim]."""
        x, mask = self._embed(history, training), attention_bias(history)
        for block in self.blocks:
            x = block(x, mask, training=training)
        return self.norm(x)

    def last(self, history: Tensor) -> Tensor:
        """`hidden`'s last row alone, cheaper: int32 [B, length] → float32 [B, dim]."""
        x = self._embed(history, False)
        if len(self.blocks) > 1:
            mask = attention_bias(history)
            for block in self.blocks[:-1]:
                x = block(x, mask)
        x = self.blocks[-1](x, padding_bias(history), last_only=True)
        return tf.reshape(self.norm(x), [-1, self.config.dim])

    def _embed(self, history: Tensor, training: bool) -> Tensor:
        # The table starts small because it scores, too; as an input it is brought to unit size.
        x = self.item_table(history) * self.config.dim**0.5
        x = x + self.position_table(places(history))
        return self.drop(x, training=training)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores all items, padding too: float32 [..., dim] → float32 [..., n_items + 1]."""
        matches = self._matches(hidden)
        return matches if self.item_bias is None else matches + self.item_bias

    def item_logits(self, hidden: Tensor) -> Tensor:
        """`logits` with padding's far below all others, so that it is never chosen."""
        mask = np.zeros(self.config.n_items + 1, np.float32)
        mask[0] = MASKED
        # Added to the bias first: the scores are large, and each pass over them costs.
        return self._matches(hidden) + (mask if self.item_bias is None else self.item_bias + mask)

    def _matches(self, hidden: Tensor) -> Tensor:
        # Asked of the layer at every call: a compressor may have put another in its place.
        return scores(hidden, self.item_table)

    def compute_loss(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Mean full-softmax cross-entropy over every position that has a target.

        Args:
          inputs: windows, int32 [B, length + 1], padded with 0 on the left.
          training: whether to drop.

        Returns:
          float32 [], in nats.
        """
        hidden, targets = self.hidden(inputs[:, :-1], training=training), inputs[:, 1:]
        real = tf.not_equal(targets, 0)
        # Padding is left out before the scores: they are by far the largest part of the work.
        logits = self.item_logits(tf.boolean_mask(hidden, real))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.boolean_mask(targets, real), logits
        )
        return tf.reduce_mean(losses)

    def recommend(self, history: Tensor) -> dict[str, Tensor]:
        """The best items for one history.

        Args:
          history: int32 [1, length], oldest first, padded with 0 on the left.

        Returns:
          items: int32 [1, 100], best first, never item 0. scores: float32 [1, 100].
        """
        # Padding is cut off, not masked: a mask would be one more number for every item.
        logits = self.logits(self.last(history))[:, 1:]
        best, places = tf.math.top_k(logits, TOP)
        return {"items": places + 1, "scores": best}

    def score(self, history: Tensor, candidates: Tensor) -> dict[str, Tensor]:
        """Scores of chosen items, equal to `recommend`'s.

        Args:
          history: int32 [1, length]. candidates: int32 [n], item ids.

        Returns:
          scores: float32 [1, n].
        """
        logits = self.logits(self.last(history))
        return {"scores": tf.gather(logits, candidates, axis=1)}

    def get_config(self) -> dict[str, Any]:
        """The fields of `SASRecConfig`, and the model's name."""
        return {"name": self.name, **asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SASRec:
        """Makes a model of these sizes, with new weights."""
        fields = dict(config)
        name = fields.pop("name", "sasrec")
        return cls(SASRecConfig(**fields), name=name)
