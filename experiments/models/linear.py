"""A linear model beside a trained one: together they teach better than either.

The linear one is EASE (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019):
what items say about one another, in closed form from who saw what. It is far too large for a phone,
a number for each pair of items, and knows nothing of order, so that here the events of a history
count less the older they are. As a teacher it costs one inversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.models import tf
from experiments.models.retriever import Retriever, Tensor

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Linear:
    """What a linear model adds to a teacher's scores.

    Attributes:
      penalty: on squared weights (λ of the paper), above 0.
      decay: how much an event counts beside the one after it, 0 < decay <= 1.
      factor: what its scores are multiplied with, from 0.

    Raises:
      ValueError: if a field is out of range.
    """

    penalty: float
    decay: float
    factor: float

    def __post_init__(self) -> None:
        if self.penalty <= 0:
            raise ValueError(f"Received penalty={self.penalty}, expected more than 0.")
        if not 0 < self.decay <= 1:
            raise ValueError(f"Received decay={self.decay}, expected 0 < decay <= 1.")
        if self.factor < 0:
            raise ValueError(f"Received factor={self.factor}, expected at least 0.")


def item_weights(histories: Sequence[npt.NDArray[np.int32]], n_items: int, penalty: float) -> Array:
    """The matrix `W` of zero diagonal that minimizes `|X - X W|² + penalty |W|²` (EASE, eq. 8).

    Args:
      histories: each user's item ids, 1 … n_items; `X` has a 1 where a user has an item.
      n_items: how many items there are.
      penalty: above 0.

    Returns:
      float32 [n_items + 1, n_items + 1]; row i is what item i says about the others, row and
      column 0 (padding) say nothing.

    >>> item_weights([np.array([1, 2]), np.array([1, 2]), np.array([3])], 3, 1.0)[1, 1:3].round(2)
    array([0.  , 0.67], dtype=float32)
    """
    seen = np.zeros((len(histories), n_items + 1), np.float32)
    for user, items in enumerate(histories):
        seen[user, items] = 1.0
    gram = (seen.T @ seen).astype(np.float64)
    inverse = np.linalg.inv(gram + penalty * np.eye(n_items + 1))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    weights[0] = weights[:, 0] = 0.0
    return weights.astype(np.float32)


class Assisted(Retriever):
    """A teacher whose scores have a linear model's added; it only answers.

    Args:
      teacher: a trained retriever.
      weights: float32 [n_items + 1, n_items + 1], see `item_weights`.
      linear: how they are used.
    """

    def __init__(self, teacher: Retriever, weights: Array, linear: Linear) -> None:
        super().__init__(name="assisted")
        self.config, self.teacher, self.linear = teacher.config, teacher, linear
        # A variable: a constant of this size would be looked at by every pass of a compiler.
        self.weights_between = tf.Variable(linear.factor * weights, trainable=False)

    def hidden(self, history: Tensor, rows: int | None = None, training: bool = False) -> Tensor:
        """The teacher's rows, and behind each what the linear model adds to the scores there.

        Returns:
          float32 [B, rows, dim + n_items + 1].
        """
        rows = rows or history.shape[1]
        taught = self.teacher.hidden(history, rows=rows, training=training)
        return tf.concat([taught, self._added(history, rows)], -1)

    def last(self, history: Tensor) -> Tensor:
        """`hidden`'s last row alone."""
        return self.hidden(history, rows=1)[:, 0]

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores all items: float32 [..., dim + n_items + 1] → float32 [..., n_items + 1]."""
        dim = self.config.dim
        return self.teacher.logits(hidden[..., :dim]) + hidden[..., dim:]

    def item_logits(self, hidden: Tensor) -> Tensor:
        """`logits` with padding's far below all others."""
        dim = self.config.dim
        return self.teacher.item_logits(hidden[..., :dim]) + hidden[..., dim:]

    def _added(self, history: Tensor, rows: int) -> Tensor:
        """float32 [B, rows, n_items + 1], one row from the next: older events count less."""
        first = history.shape[1] - rows + 1
        ages = np.arange(first, dtype=np.float32)[::-1]
        users = tf.repeat(tf.range(tf.shape(history)[0])[:, None], first, axis=1)
        counts = tf.scatter_nd(
            tf.stack([users, history[:, :first]], -1),
            tf.ones_like(users, tf.float32) * self.linear.decay**ages,
            [tf.shape(history)[0], self.config.n_items + 1],
        )
        added = [tf.matmul(counts, self.weights_between)]
        for place in range(first, history.shape[1]):
            said = tf.gather(self.weights_between, history[:, place])
            added.append(self.linear.decay * added[-1] + said)
        return tf.stack(added, 1)


def assisted(teacher: Retriever, histories: Sequence[Any], linear: Linear | None) -> Retriever:
    """The teacher with a linear model of these histories beside it; without one, as it is."""
    if linear is None:
        return teacher
    return Assisted(
        teacher, item_weights(histories, teacher.config.n_items, linear.penalty), linear
    )
