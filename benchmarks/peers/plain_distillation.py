"""Distillation as Keras's own example writes it, for recommenders: no part of tfcompress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfcompress.keras import keras, tf

Tensor = Any


@dataclass(frozen=True)
class Distillation:
    """How much a student listens to its teacher.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.

    Attributes:
        alpha: share of the loss on what users did next, 0 … 1; the rest is the teacher's.
        temperature: of both softmaxes, above 0.
        positions: how many places of a batch are scored, at least 1, drawn anew at each step.

    Raises:
        ValueError: if a field is out of range.
    """

    alpha: float
    temperature: float
    positions: int

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"Received alpha={self.alpha}, expected 0 to 1.")
        if self.temperature <= 0:
            raise ValueError(f"Received temperature={self.temperature}, expected more than 0.")
        if self.positions < 1:
            raise ValueError(f"Received positions={self.positions}, expected at least 1.")


def divergence(taught: Tensor, said: Tensor, temperature: float) -> Tensor:
    """The Kullback-Leibler divergence of two softmaxes, times the temperature's square.

    Args:
        taught, said: scores of teacher and student, float32 [n, items].
        temperature: above 0.

    Returns:
        float32 [n], in nats.
    """
    taught, said = taught / temperature, said / temperature
    shares = tf.nn.softmax(taught)
    gap = tf.nn.log_softmax(taught) - tf.nn.log_softmax(said)
    return tf.reduce_sum(shares * gap, -1) * temperature**2


class PlainDistiller(keras.Model):  # type: ignore[misc]
    """Trains a retriever on windows beside a trained one; its weights are the student's alone."""

    def __init__(self, student: Any, teacher: Any, how: Distillation) -> None:
        super().__init__()
        self.student, self.how = student, how
        self._teach: Callable[[], Any] = lambda: (
            teacher
        )  # Keras would count the weights of an attribute as its own

    def train_step(self, windows: Tensor) -> dict[str, Tensor]:
        """One step on int32 [B, length + 1]; its loss."""
        with tf.GradientTape() as tape:
            loss = self.loss_of(windows)
        variables = self.student.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"loss": loss}

    def loss_of(self, windows: Tensor) -> Tensor:
        """The mean over some places of a batch that have a target: float32 [], in nats."""
        teacher = self._teach()
        history, wanted = windows[:, :-1], tf.reshape(windows[:, 1:], [-1])
        places = tf.random.shuffle(tf.where(wanted != 0)[:, 0])[: self.how.positions]
        said = self.student.item_logits(_rows(self.student.hidden(history, training=True), places))
        taught = teacher.item_logits(_rows(teacher.hidden(history), places))
        labelled = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(wanted, places), said)
        soft = divergence(tf.stop_gradient(taught), said, self.how.temperature)
        return tf.reduce_mean(self.how.alpha * labelled + (1 - self.how.alpha) * soft)


def _rows(hidden: Tensor, places: Tensor) -> Tensor:
    return tf.gather(tf.reshape(hidden, [-1, hidden.shape[-1]]), places)
