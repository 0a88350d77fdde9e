"""What a student is to learn from its teacher: one value for each kind of loss."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from tfcompress.distillation.mathematics import listed_cross_entropy, mean_squared_error
from tfcompress.distillation.ramps import Setting, at, check_temperature
from tfcompress.distillation.taught import Answers, Pair, Taught
from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.value import Value


@dataclass(frozen=True)
class DistillationLoss(Value):
    """Base of every kind of loss between a student and its teachers."""

    @abstractmethod
    def value(self, answers: Answers, step: Any) -> Any:
        """The loss of a batch, a scalar; `step` counts training steps from 0."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Layers of student and teacher whose outputs it compares."""
        return ()

    @property
    def scheduled(self) -> bool:
        """Whether it depends on the training step."""
        return False

    @property
    def compares_logits(self) -> bool:
        """Whether student and teachers must have logits of the same classes."""
        return True

    def check_classes(self, classes: int) -> None:
        """Raises SpecError where it says nothing about logits of so many classes."""


@dataclass(frozen=True)
class _Distributions(DistillationLoss):
    """Compares distributions, of which one over a single class is always 1."""

    def check_classes(self, classes: int) -> None:
        """Raises SpecError for a single class."""
        if classes == 1:
            name = type(self).__name__
            raise SpecError(
                f"{name} received logits of 1 class, whose softmax is always 1; expected at least "
                "2 classes. Compare the numbers themselves with Logits()."
            )

    def _compared(self, answers: Answers) -> tuple[Any, Taught]:
        student, taught = answers.logits()
        self.check_classes(student.shape[-1])
        return student, taught


@dataclass(frozen=True)
class SoftLabels(_Distributions):
    """Kullback-Leibler divergence from the teacher's softened distribution, times T squared.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015). Several
    teachers are heard as the mean of their softened distributions. Of stored answers that hold the
    largest logits alone, the distribution is over these, and the student's over all classes.

    Args:
        temperature: T, above 0, or a ramp.

    Raises:
        SpecError: a temperature not above 0; in training, logits of one class.

    Example:
        >>> SoftLabels(temperature=4.0)
        SoftLabels(temperature=4.0)
    """

    temperature: Setting = 1.0

    def __post_init__(self) -> None:
        check_temperature("SoftLabels", self.temperature)

    @property
    def scheduled(self) -> bool:
        """Whether the temperature is a ramp."""
        return isinstance(self.temperature, Value)

    def value(self, answers: Answers, step: Any) -> Any:
        """The mean divergence of a batch, in nats, times T squared."""
        student, taught = self._compared(answers)
        temperature = tf.cast(at(self.temperature, step), student.dtype)
        crossed, entropy = taught.entropies(student / temperature, temperature)
        return tf.reduce_mean(crossed - entropy) * temperature**2


@dataclass(frozen=True)
class TeacherLabels(_Distributions):
    """Cross-entropy with the softmax of the teacher's output as the label.

    Its gradient is that of `SoftLabels(1.0)`; its value is larger by the teacher's entropy, which
    makes it one scale with a cross-entropy to labels.

    Raises:
        SpecError: in training, logits of one class.

    Example:
        >>> TeacherLabels()
        TeacherLabels()
    """

    def value(self, answers: Answers, step: Any) -> Any:
        """The mean cross-entropy of a batch, in nats."""
        student, taught = self._compared(answers)
        crossed, _ = taught.entropies(student, 1.0)
        return tf.reduce_mean(crossed)


@dataclass(frozen=True)
class Logits(DistillationLoss):
    """Mean squared difference of the logits themselves.

    Ba and Caruana, "Do Deep Nets Really Need to be Deep?" (2014). Several teachers are heard as
    the mean of their logits. Of stored answers that hold the largest logits alone, only these are
    compared. It is the loss for models with a single output, such as a rating.

    Example:
        >>> Logits()
        Logits()
    """

    def value(self, answers: Answers, step: Any) -> Any:
        """The mean squared difference of a batch."""
        student, taught = answers.logits()
        return mean_squared_error(*taught.paired(student))


@dataclass(frozen=True)
class ListWise(_Distributions):
    """Cross-entropy to the items that the teacher ranks first, for recommenders.

    The label is the teacher's softmax over its `top` items; so the student learns what a list
    shows, and nothing of how the teacher orders the rest. Tang and Wang, "Ranking Distillation"
    (KDD 2018) learn from the teacher's first items as here, each with a loss of its own; Reddi et
    al., "RankDistil: Knowledge Distillation for Ranking" (AISTATS 2021) keep the others below them,
    or a sample of them, which is what the student's softmax does here.

    Args:
        top: how many of the teacher's items, at least 1.
        sampled: None for the student's softmax over all items. A number for one over the teacher's
            items and so many others, drawn at every step and weighted to stand for the rest. It
            spares the softmax, not the student's logits: to score a sample alone, write a `forward`
            that gives both models' logits of it.
        temperature: softens both, above 0, or a ramp; the loss is multiplied by its square.

    Raises:
        SpecError: a number out of range; in training, more than there are items.

    Example:
        >>> ListWise(top=100, sampled=1000).temperature
        1.0
    """

    top: int
    sampled: int | None = None
    temperature: Setting = 1.0

    def __post_init__(self) -> None:
        check_temperature("ListWise", self.temperature)
        _check_count("top", self.top)
        if self.sampled is not None:
            _check_count("sampled", self.sampled)

    @property
    def scheduled(self) -> bool:
        """Whether the temperature is a ramp."""
        return isinstance(self.temperature, Value)

    def value(self, answers: Answers, step: Any) -> Any:
        """The mean cross-entropy of a batch, in nats, times T squared."""
        student, taught = self._compared(answers)
        temperature = tf.cast(at(self.temperature, step), student.dtype)
        labels, items = taught.best(self.top, temperature)
        negatives = None
        if self.sampled is not None:
            classes = tf.shape(student)[-1]
            negatives = tf.random.uniform((self.sampled,), maxval=classes, dtype=tf.int32)
        crossed, _ = listed_cross_entropy(student / temperature, labels, items, negatives)
        return tf.reduce_mean(crossed) * temperature**2


@dataclass(frozen=True)
class Combined(DistillationLoss):
    """Several losses, each with its share.

    Args:
        losses: at least one.
        shares: for each its share, above 0; together 1.

    Raises:
        SpecError: no losses, another number of shares, or shares that are not together 1.

    Example:
        >>> loss = Combined((SoftLabels(4.0), Logits()), shares=(0.75, 0.25))
        >>> loss.shares
        (0.75, 0.25)
    """

    losses: tuple[DistillationLoss, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "losses", tuple(self.losses))
        object.__setattr__(self, "shares", tuple(self.shares))
        for loss in self.losses:
            check_loss("Combined", loss)
        together = math.isclose(sum(self.shares), 1.0, abs_tol=1e-6)
        fits = self.losses and len(self.shares) == len(self.losses)
        if not fits or not together or min(self.shares) <= 0:
            raise SpecError(
                f"Combined received shares={self.shares} for {len(self.losses)} losses; expected "
                "a share above 0 for each, together 1."
            )

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Those of all its losses, each once."""
        return tuple(dict.fromkeys(pair for loss in self.losses for pair in loss.pairs))

    @property
    def scheduled(self) -> bool:
        """Whether one of its losses is."""
        return any(loss.scheduled for loss in self.losses)

    @property
    def compares_logits(self) -> bool:
        """Whether one of its losses does."""
        return any(loss.compares_logits for loss in self.losses)

    def check_classes(self, classes: int) -> None:
        """Raises SpecError where one of its losses does."""
        for loss in self.losses:
            loss.check_classes(classes)

    def value(self, answers: Answers, step: Any) -> Any:
        """The weighted sum of its losses."""
        parts = zip(self.shares, self.losses, strict=True)
        return tf.add_n([share * loss.value(answers, step) for share, loss in parts])


def _check_count(name: str, count: Any) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise SpecError(f"ListWise received {name}={count!r}; expected a whole number from 1.")


def check_loss(owner: str, loss: Any) -> None:
    """Raises SpecError unless `loss` is one of these values."""
    if not isinstance(loss, DistillationLoss):
        raise SpecError(
            f"{owner} received loss={loss!r}; expected SoftLabels(...), TeacherLabels(), Logits(), "
            "ListWise(...), Hidden(...), or several of them in Combined(...)."
        )
