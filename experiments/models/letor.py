"""A search ranker: how well each document of a list matches its query.

The features go through a deep network, as Qin et al., "Are Neural Rankers still Outperformed by
Gradient Boosted Decision Trees?" (ICLR 2021), found it as good as trees: their logarithms, wide
layers with BatchNormalization, a list-wise loss, and noise on what it learns from. Beside it stands
the inner product of the query's and the document's own vectors, looked up in tables by their ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from experiments.models import tf, tfrs

_PACKAGE = "experiments"
NOWHERE = -1e9  # the score of what stands behind the end of a list
PADDING = -1.0  # its relevance
Tensor = Any


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class ListwiseSoftmax(tf.keras.losses.Loss):  # type: ignore[misc]
    """The cross-entropy from the documents' gains to the softmax of their scores, over each list.

    ListNet's loss (Cao et al., 2007) with the gains of NDCG, `2 ** relevance - 1`, shared out over
    the list; so it bounds NDCG (Bruch et al., "An Analysis of the Softmax Cost Function for
    Learning to Rank", 2019). A list without a relevant document has the loss 0.

    >>> loss = ListwiseSoftmax()([[1.0, 0.0, PADDING]], [[2.0, 2.0, NOWHERE]])
    >>> round(float(loss), 4)  # of two documents with equal scores: log 2
    0.6931
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Relevance and scores float `[lists, documents]` to the losses `[lists]` (nats)."""
        y_true, y_pred = (tf.cast(values, tf.float32) for values in (y_true, y_pred))
        gains = tf.where(y_true > 0.0, 2.0**y_true - 1.0, 0.0)
        shares = tf.math.divide_no_nan(gains, tf.reduce_sum(gains, axis=1, keepdims=True))
        return -tf.reduce_sum(shares * tf.nn.log_softmax(y_pred), axis=1)


TASK = tfrs.tasks.Ranking(loss=ListwiseSoftmax())


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class SearchRanker(tfrs.Model):  # type: ignore[misc]
    """A deep network over features, and the match of two vectors that are looked up.

    The tables stay in their files and are not trained; how much their match counts is.

    Args:
      tower: from logarithms of features float `[n, features]` to scores `[n, 1]`; see `tower`.
      documents, queries: `.npy` files of tables float32 `[rows, width]`, see `MappedEmbedding`.
    """

    def __init__(self, tower: Any, documents: Path, queries: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tower = tower
        self.documents = tfc.MappedEmbedding(documents, name="documents")
        self.queries = tfc.MappedEmbedding(queries, name="queries")
        self.match = tf.keras.layers.Dense(1, use_bias=False, name="match")

    def call(self, lists: Mapping[str, Tensor], training: bool = False) -> Tensor:
        """Scores of lists, side by side and padded with `NOWHERE`: float32 `[lists, longest]`.

        Args:
          lists: all their documents one behind the other: `features` float32 `[n, features]`,
            `documents` and `queries` int32 `[n]`; and where those of each list are among them,
            `places` int32 `[lists, longest]`, -1 behind its end.
          training: whether dropout and the batch's own statistics are used.
        """
        scores = self.score(lists["features"], lists["documents"], lists["queries"], training)
        return padded(scores, lists["places"], NOWHERE)

    def score(
        self, features: Tensor, documents: Tensor, queries: Tensor, training: bool = False
    ) -> Tensor:
        """Scores float32 `[n]` of documents, each for its query, or all for the same one.

        Args:
          features: float32 `[n, features]`.
          documents: rows of their table, int32 `[n]`. queries: of theirs, int32 `[n]` or `[1]`.
          training: see `call`.
        """
        product = tf.reduce_sum(self.documents(documents) * self.queries(queries), axis=1)
        deep = self.tower(logarithms(features), training=training)
        return (deep + self.match(product[:, None]))[:, 0]

    def compute_loss(self, inputs: tuple[Any, Tensor], training: bool = False) -> Tensor:
        """The list-wise loss of lists and their documents' relevance `[lists, longest]`."""
        lists, relevance = inputs
        return TASK(labels=relevance, predictions=self(lists, training=training))


def logarithms(features: Tensor) -> Tensor:
    """`sign(x) log(1 + |x|)`, which brings counts, lengths and scores to one range."""
    return tf.sign(features) * tf.math.log(1.0 + tf.abs(features))


def noisy(features: Tensor, deviations: Tensor, seed: Tensor) -> Tensor:
    """Features whose logarithms are moved at random.

    Args:
      features: float32 `[n, features]`.
      deviations: of what is added to the logarithms, `[features]`.
      seed: int32 `[2]`, decides how.

    >>> same = noisy(tf.constant([[3.0, -5.0]]), tf.zeros(2), tf.constant([1, 2]))
    >>> same.numpy().round(4).tolist()
    [[3.0, -5.0]]
    """
    drawn = tf.random.stateless_normal(tf.shape(features), seed)
    moved = logarithms(features) + deviations * drawn
    return tf.sign(moved) * (tf.exp(tf.abs(moved)) - 1.0)


def moments(features: Any) -> tuple[Any, Any]:
    """Means and deviations of the logarithms of float `[n, features]`, float64 `[features]`.

    The deviation of a feature that is always the same is taken for 1.

    >>> [value.tolist() for value in moments(np.array([[1.0, 0.0], [1.0, -0.0]]))]
    [[0.6931471805599453, 0.0], [1.0, 1.0]]
    """
    known = np.sign(features) * np.log1p(np.abs(features))
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    return mean, np.where(deviation > 0, deviation, 1.0)


def padded(values: Tensor, places: Tensor, filler: float) -> Tensor:
    """The values `[n]` at places int32 `[lists, longest]`; the filler where those are negative.

    >>> padded(tf.constant([1.0, 2.0, 3.0]), tf.constant([[0, -1], [1, 2]]), PADDING).numpy()
    array([[ 1., -1.],
           [ 2.,  3.]], dtype=float32)
    """
    return tf.where(places < 0, filler, tf.gather(values, tf.maximum(places, 0)))


def tower(features: Any, widths: Sequence[int], dropout: float) -> Any:
    """Standardized features, and blocks of Dense, BatchNormalization, ReLU and Dropout.

    Args:
      features: those to train on, as they are, float `[n, features]`: their logarithms are what is
        standardized.
      widths: of the hidden layers.
      dropout: the rate behind each.

    >>> tower(np.eye(4), (8, 2), dropout=0.3).count_params()
    91
    """
    layers = tf.keras.layers
    mean, deviation = (values.tolist() for values in moments(features))
    variance = np.square(deviation).tolist()
    taken = tf.keras.Input((len(mean),), name="logarithms")
    values = layers.Normalization(mean=mean, variance=variance, name="standard")(taken)
    for number, width in enumerate(widths, 1):
        values = layers.Dense(width, use_bias=False, name=f"deep{number}")(values)
        values = layers.BatchNormalization(name=f"norm{number}")(values)
        values = layers.ReLU(name=f"relu{number}")(values)
        values = layers.Dropout(dropout, name=f"drop{number}")(values)
    return tf.keras.Model(taken, layers.Dense(1, name="head")(values), name="tower")
