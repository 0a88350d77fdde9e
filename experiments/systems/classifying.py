"""A subject whose examples are labelled images or sounds, each of which has one class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tfcompress as tfc
from experiments.data.labelled import Labelled, Splits
from experiments.models import tf
from experiments.systems.system import Array, Quality

N_CALLS = 8
_BATCH = 256


@dataclass(frozen=True)
class Classified:
    """Recognizing what is on an image or said in a sound, see `system.Subject`.

    Args:
      data: the examples.
      made: from (shape of an example, number of classes) to a new teacher, which takes float32
        [batch, *shape], see `inputs`, and gives logits [batch, classes].
      distorted: from (examples as the teacher takes them, a seed int32 [2]) to others, in graph
        mode; only training sees them.
      asked: what a file calls an example.
    """

    data: Splits
    made: Callable[[tuple[int, ...], int], Any]
    distorted: Callable[[Any, Any], Any]
    asked: str = "image"
    deciding: str = field(default="log_likelihood", init=False)  # finer than accuracy
    metric: str = field(default="accuracy", init=False)
    signature: str = field(default="classify", init=False)

    @property
    def described(self) -> Mapping[str, Any]:
        """The name and the sizes of the data."""
        return self.data.described()

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        """The numbers of the examples to train on."""
        return np.arange(len(self.data.train), dtype=np.int32)

    def network(self) -> Any:
        """A new teacher."""
        return self.made(self.data.shape, self.data.n_classes)

    def batch(self, rows: Any) -> tuple[Any, Any]:
        """Distorted examples float32 [batch, *shape] and their classes int32 [batch].

        A batch decides how it is distorted, so that a run that goes on sees what it would have
        seen; shuffled anew, batches are others in every epoch.
        """
        values, labels = self._train
        seed = tf.stack([tf.reduce_sum(rows), rows[0]])
        taken = tf.cast(tf.gather(values, rows), tf.float32) / scale(self.data.train)
        return self.distorted(taken, seed), tf.gather(labels, rows)

    @cached_property
    def _train(self) -> tuple[Any, Any]:
        with tf.init_scope():  # tensors that every graph reads, and none holds a copy of
            return tf.constant(self.data.train.values), tf.constant(self.data.train.labels)

    def loss(self, wanted: Any, logits: Any) -> Any:
        """The mean cross-entropy."""
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=wanted, logits=logits)
        return tf.reduce_mean(losses)

    def validated(self, network: Any) -> dict[str, float]:
        """Accuracy, and the mean logarithm of what the right class is given."""
        values, labels = inputs(self.data.validation), self.data.validation.labels
        logits = network.predict(values, batch_size=_BATCH, verbose=0)
        likelihoods = log_softmax(logits)[np.arange(len(labels)), labels]
        accuracy = float(np.mean(logits.argmax(axis=1) == labels))
        return {self.metric: accuracy, self.deciding: float(likelihoods.mean())}

    def signatures(self) -> Mapping[str, tfc.Signature]:
        """`classify`: from an example, float32 [1, *shape], to its logits."""

        def classify(model: Any, **example: Any) -> dict[str, Any]:
            return {"logits": model(example[self.asked], training=False)}

        taken = {self.asked: tf.TensorSpec([1, *self.data.shape], tf.float32)}
        return {self.signature: tfc.Signature(classify, taken)}

    def calls(self) -> Sequence[Mapping[str, Array]]:
        """The first examples of the validation split, one a call."""
        values = inputs(self.data.validation.take(np.arange(N_CALLS)))
        return [{self.asked: one[None]} for one in values]

    def quality(self, file: Path) -> Quality:
        """1 for each test example whose class the file finds, else 0."""
        model = tfc.LiteModel(file)
        found = [
            int(model.run(self.signature, {self.asked: one[None]})["logits"].argmax())
            for one in inputs(self.data.test)
        ]
        return (np.array(found) == self.data.test.labels).astype(np.float64)


def inputs(labelled: Labelled) -> npt.NDArray[np.float32]:
    """What a network takes: float32 [n, *shape], images from 0 to 1 and waves from -1 to 1."""
    return labelled.values.astype(np.float32) / scale(labelled)


def scale(labelled: Labelled) -> np.float32:
    """What stands for 1: the largest value that its integers could hold.

    >>> float(scale(Labelled(np.zeros((1, 2, 2, 1), np.uint8), np.zeros(1, np.int32))))
    255.0
    """
    return np.float32(np.iinfo(labelled.values.dtype).max)


def log_softmax(logits: Array) -> npt.NDArray[np.float64]:
    """The logarithms of the softmax over the last axis, float64 of the same shape.

    >>> np.exp(log_softmax(np.array([[1e4, 0.0], [0.0, 0.0]]))).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
