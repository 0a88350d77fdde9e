"""What sequential recommenders share: a tied item table that scores, and what a file can be asked.

Klenitskiy and Vasilev, "Turning Dross Into Gold Loss", RecSys 2023, is the source of the loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.models import tf, tfrs
from experiments.models.replicated import mean_of_all
from tfcompress import scores

Tensor = Any  # TensorFlow has no types that mypy could check
TOP = 100
MASKED = -1e4  # below any score by far, and still finite in float16


class Retriever(tfrs.Model):  # type: ignore[misc]
    """A model of histories; a subclass has `config`, `item_table`, `item_bias` and `hidden`."""

    config: Any
    item_table: Any
    item_bias: Any = None

    def call(self, history: Tensor, training: bool = False) -> Tensor:
        """The same as `hidden`."""
        return self.hidden(history, training=training)

    def hidden(self, history: Tensor, rows: int | None = None, training: bool = False) -> Tensor:
        """Reads a history.

        Args:
          history: int32 [B, length], 0 is padding.
          rows: how many of the last places are wanted, by default all; fewer are cheaper.
          training: whether to drop.

        Returns:
          float32 [B, rows, dim].
        """
        raise NotImplementedError

    def last(self, history: Tensor) -> Tensor:
        """`hidden`'s last row alone: int32 [B, length] → float32 [B, dim]."""
        return tf.reshape(self.hidden(history, rows=1), [-1, self.config.dim])

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
        return mean_of_all(losses)

    def recommend(self, history: Tensor) -> dict[str, Tensor]:
        """The best items for one history.

        Args:
          history: int32 [1, length], oldest first, padded with 0 on the left.

        Returns:
          items: int32 [1, 100], best first, never item 0. scores: float32 [1, 100].
        """
        # Padding is cut off, not masked: a mask would be one more number for every item.
        logits = self.logits(self.last(history))[:, 1:]
        best, found = tf.math.top_k(logits, TOP)
        return {"items": found + 1, "scores": best}

    def score(self, history: Tensor, candidates: Tensor) -> dict[str, Tensor]:
        """Scores of chosen items, equal to `recommend`'s.

        Args:
          history: int32 [1, length]. candidates: int32 [n], item ids.

        Returns:
          scores: float32 [1, n].
        """
        logits = self.logits(self.last(history))
        return {"scores": tf.gather(logits, candidates, axis=1)}


def dropout(rate: float, name: str) -> Tensor:
    """A dropout layer whose generator a trainer can save and bring back: the stateful kind."""
    return tf.keras.layers.Dropout(rate, rng_type="stateful", name=name)


def table(rows: int, dim: int, name: str) -> Tensor:
    """An embedding layer with small normal weights."""
    # An initializer of its own: one that two tables share fills both with the same numbers.
    small = tf.keras.initializers.RandomNormal(stddev=0.02)
    return tf.keras.layers.Embedding(rows, dim, small, name=name)
