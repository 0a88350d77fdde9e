"""Who teaches: a model, several models, or answers that were stored before."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from tfcompress.distillation.losses import DistillationLoss
from tfcompress.distillation.taught import Taught, Whole, check_widths
from tfcompress.errors import SpecError
from tfcompress.keras import keras, tf
from tfcompress.surgery.walk import is_network


class Teacher(ABC):
    """What a `Distiller` learns from."""

    @property
    @abstractmethod
    def given(self) -> Any:
        """What a user knows it by."""

    @property
    @abstractmethod
    def models(self) -> tuple[Any, ...]:
        """The models that answer in training; none where the answers are stored."""

    @abstractmethod
    def opened(self, data: Any) -> tuple[Any, Any]:
        """A batch of `fit` as the student's own batch, and what a `forward` gets as its teacher."""

    @abstractmethod
    def answers(self, speaker: Any, x: Any) -> Any:
        """What a `forward` would return as the teacher's logits (`speaker`: second of `opened`)."""

    @abstractmethod
    def taught(self, said: Any) -> Taught:
        """What a `forward` returned as the teacher's logits."""

    @property
    @abstractmethod
    def classes(self) -> int | None:
        """How many classes its logits have, where that is known before it is asked."""

    @abstractmethod
    def check(self, loss: DistillationLoss) -> None:
        """Raises SpecError where the loss asks for what this teacher does not have."""

    def own_batch(self, data: Any) -> Any:
        """The student's own batch, of a batch of training or of plain data."""
        return data


class Teachers(Teacher):
    """One model or several, heard as the mean of their distributions.

    You, Xu, Xu and Tao, "Learning from Multiple Teacher Networks" (KDD 2017).

    Args:
        models: their outputs are logits of the same classes.
        weights: how much each counts, above 0; only the ratios matter. By default equally.

    Raises:
        SpecError: no models, another number of weights, a weight not above 0, models that give
            probabilities, or logits whose widths are known to differ.

    Example:
        >>> import tf_keras as keras
        >>> models = [keras.Sequential([keras.layers.Dense(3, input_shape=(4,))]) for _ in "ab"]
        >>> Teachers(models, weights=(2.0, 1.0)).weights
        (2.0, 1.0)
    """

    def __init__(self, models: Sequence[Any], weights: Sequence[float] | None = None) -> None:
        self._models = tuple(models)
        self.weights = None if weights is None else tuple(float(w) for w in weights)
        if not self._models or not all(isinstance(m, keras.layers.Layer) for m in self._models):
            raise SpecError(
                f"Teachers received {models!r}; expected at least one Keras model, and models "
                "alone (stored answers, see Precomputed, teach on their own)."
            )
        if self.weights is not None:
            _check_weights(self.weights, len(self._models))
        for model in self._models:
            refuse_probabilities(model)
        for model in self._models[1:]:
            _check_same(logits_width(self._models[0]), logits_width(model))

    @property
    def given(self) -> Any:
        """The model where it is one, these teachers where they are several."""
        return self._models[0] if len(self._models) == 1 else self

    @property
    def models(self) -> tuple[Any, ...]:
        """The models."""
        return self._models

    def opened(self, data: Any) -> tuple[Any, Any]:
        """The batch as it is, and the model, or all of them in a tuple."""
        return data, self._models[0] if len(self._models) == 1 else self._models

    def answers(self, speaker: Any, x: Any) -> Any:
        """The logits of each on these features."""
        del speaker
        return [model(x, training=False) for model in self._models]

    def taught(self, said: Any) -> Taught:
        """Logits `[..., classes]` of one, `[teachers, ..., classes]`, or a sequence of the former.

        Raises:
            SpecError: logits of different widths, or of another number of teachers.
        """
        if not isinstance(said, (list, tuple)):
            return Whole(said, self.weights)
        for logits in said[1:]:
            _check_same(said[0].shape[-1], logits.shape[-1])
        if self.weights is not None and len(said) != len(self.weights):
            raise SpecError(
                f"A forward returned the logits of {len(said)} teachers; expected "
                f"{len(self.weights)}, as many as there are weights."
            )
        if len(said) == 1:
            return Whole(said[0])
        return Whole(tf.stack([tf.cast(one, said[0].dtype) for one in said]), self.weights)

    @property
    def classes(self) -> int | None:
        """The width of the first one's output, where Keras knows it."""
        return logits_width(self._models[0])

    def check(self, loss: DistillationLoss) -> None:
        """Raises SpecError for features of several teachers."""
        if loss.pairs and len(self._models) > 1:
            raise SpecError(
                f"Hidden received {len(self._models)} teachers; expected one, whose layers it "
                "names. Distil from their logits, or from the features of one of them."
            )


def check_classes(student: Any, loss: DistillationLoss, classes: int | None) -> None:
    """Raises SpecError where the known classes of student and teacher do not fit this loss."""
    own = logits_width(student)
    if loss.compares_logits:
        check_widths(own, classes)
        if own is not None:
            loss.check_classes(own)


def logits_width(model: Any) -> int | None:
    """The width of a model's only output, where Keras knows it before it is called."""
    shape = model.output_shape if is_network(model) and model.built else None
    return shape[-1] if isinstance(shape, tuple) and shape else None


def refuse_probabilities(model: Any) -> None:
    """Raises SpecError where the last layer of a model gives probabilities."""
    layers = getattr(model, "layers", None) or []
    activation = getattr(layers[-1], "activation", None) if layers else None
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        raise SpecError(
            f"The last layer of {model.name!r} gives probabilities ({activation.__name__}); "
            "expected logits, which a temperature can soften. Remove the activation and use a loss "
            "with from_logits=True."
        )


def _check_same(first: int | None, other: int | None) -> None:
    if None not in (first, other) and first != other:
        raise SpecError(
            f"Received teachers with logits of {first} and of {other} classes; expected the same "
            "classes in the same order from each."
        )


def _check_weights(weights: tuple[float, ...], count: int) -> None:
    if len(weights) != count or not all(math.isfinite(w) and w > 0.0 for w in weights):
        raise SpecError(
            f"Teachers received weights={weights} for {count} models; expected a number above 0 "
            "for each."
        )


def as_teacher(teacher: Any) -> Teacher:
    """A model or a sequence of models as `Teachers`; what is a `Teacher` already as it is."""
    if isinstance(teacher, Teacher):
        return teacher
    return Teachers(teacher if isinstance(teacher, (list, tuple)) else [teacher])
