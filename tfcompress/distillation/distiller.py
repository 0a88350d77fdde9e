"""Training a student with its teacher: the model that takes the training step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from tfcompress.distillation.hidden import Hints, hints_between
from tfcompress.distillation.losses import DistillationLoss, SoftLabels, check_loss
from tfcompress.distillation.ramps import Ramp, Setting, at, check_temperature, check_weight
from tfcompress.distillation.recorder import Recorder
from tfcompress.distillation.taught import Answers
from tfcompress.distillation.teachers import as_teacher, check_classes, refuse_probabilities
from tfcompress.errors import SpecError
from tfcompress.keras import keras, tf, tfrs
from tfcompress.value import from_data, to_data


class Outputs(NamedTuple):
    """What one forward pass of student and teacher gives.

    Attributes:
        loss: the student's own loss, a scalar.
        student: its logits `[..., classes]`.
        teacher: the teacher's logits of the same shape; of several teachers a sequence of them,
            or `[teachers, ..., classes]`.
    """

    loss: Any
    student: Any
    teacher: Any


Forward = Callable[[Any, Any, Any], Outputs]


def check_settings(
    owner: str, temperature: Any, weight: Any, loss: DistillationLoss | None
) -> None:
    """Raises SpecError where these settings are out of range, or contradict each other."""
    check_temperature(owner, temperature)
    check_weight(owner, weight)
    if loss is None:
        return
    check_loss(owner, loss)
    if temperature != 1.0:
        raise SpecError(
            f"{owner} received temperature={temperature} and loss={loss!r}; expected one of them. "
            "The temperature belongs to the loss: SoftLabels(temperature=...)."
        )


@keras.utils.register_keras_serializable("tfcompress")
class Distiller(keras.Model):  # type: ignore[misc]
    """Trains `student` on `(1 - weight) * its own loss + weight * loss to its teacher`.

    It is called, exported and saved as its student; the teacher is never saved or trained. Where a
    setting is a ramp it counts its training steps; they are saved with it, as are the projections
    of `Hidden`.

    Args:
        student: the model to train; its outputs are logits.
        teacher: a model, a sequence of models, `Teachers(...)` or `Precomputed(...)`; None after
            loading, until `learn_from` or `distill` is called.
        temperature: above 0, or a ramp.
        weight: from 0 to 1, or a ramp.
        forward: from (student, teacher, batch) to `Outputs`; by default both models are called on
            the features, and the student's loss is its `compute_loss` (TFRS) or the compiled one.
            Several teachers come as a tuple of models, and in the place of a precomputed one what
            is stored for the batch.
        loss: of student to teacher; by default `SoftLabels(temperature)`.

    Raises:
        SpecError: a setting out of range, or a teacher that this loss cannot compare; in training,
            where no teacher is there, or the outputs do not fit each other.
    """

    def __init__(
        self,
        student: Any,
        teacher: Any = None,
        temperature: Setting = 1.0,
        weight: Setting = 0.5,
        forward: Forward | None = None,
        loss: DistillationLoss | None = None,
        **kwargs: Any,
    ) -> None:
        check_settings("Distiller", temperature, weight, loss)
        refuse_probabilities(student)
        kwargs.setdefault("name", student.name)
        super().__init__(**kwargs)
        self.student = student
        self.built = student.built  # training calls the student; Keras loads the optimizer's state
        self.temperature, self.weight = temperature, weight
        self._own_loss = loss
        self._means = [keras.metrics.Mean(n) for n in ("loss", "student_loss", "distillation_loss")]
        self._steps = _counter(self) if self._scheduled else None
        self.hints: Hints | None = None
        self._teaching = _Untracked()
        if teacher is not None:
            self.learn_from(teacher, forward)

    def learn_from(self, teacher: Any, forward: Forward | None = None) -> Distiller:
        """Gives it a teacher, after loading or in the place of another; all else goes on.

        Args:
            teacher: as for the class.
            forward: as for the class.

        Returns:
            Itself.

        Raises:
            SpecError: a teacher that the loss cannot compare, or whose layers have other widths
                than those that its projections were made for.
        """
        voice = as_teacher(teacher)
        voice.check(self.objective)
        if forward is None:
            check_classes(self.student, self.objective, voice.classes)
        teaching = _Untracked(voice, forward)
        pairs = self.objective.pairs
        if pairs:
            (model,) = voice.models
            hints = hints_between(self.student, model, pairs)
            self._take(hints)
            teaching.recorders = (
                Recorder("student", self.student, [own for own, _ in pairs]),
                Recorder("teacher", model, [taught for _, taught in pairs]),
            )
        self._teaching = teaching
        self.train_function = None  # traced with the teacher before
        return self

    def _take(self, hints: Hints) -> None:
        if self.hints is None:
            self.hints = hints
        elif self.hints.widths != hints.widths:
            raise SpecError(
                f"The layers of this teacher have the widths {hints.widths} (student's, "
                f"teacher's); expected {self.hints.widths}, which the projections were made for."
            )

    @property
    def teacher(self) -> Any:
        """What it learns from: the model, or what was given in its place; None after loading."""
        return self._teaching.voice and self._teaching.voice.given

    def __dir__(self) -> list[str]:
        """Without the teacher: Keras saves whatever layers it finds among these names."""
        return [name for name in super().__dir__() if name != "teacher"]

    @property
    def objective(self) -> DistillationLoss:
        """The loss of student to teacher."""
        return self._own_loss or SoftLabels(self.temperature)

    @property
    def _scheduled(self) -> bool:
        return self.objective.scheduled or isinstance(self.weight, Ramp)

    @property
    def steps(self) -> int | None:
        """Training steps taken; None where no setting depends on them."""
        return None if self._steps is None else int(self._steps.numpy())

    def call(self, inputs: Any, training: Any = None) -> Any:
        """What the student computes."""
        return self.student(inputs, training=training)

    def make_train_function(self, force: bool = False) -> Any:
        """Keras asks for it before the first step."""
        if self.teacher is None:
            raise SpecError(
                "The Distiller has no teacher (it is not saved with the student). Call "
                "model.learn_from(teacher) to go on where it stopped, or "
                "tfcompress.distill(model.student, teacher=...) and compile again."
            )
        return super().make_train_function(force)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on a batch."""
        with tf.GradientTape() as tape:
            total, parts = self._total(data)
            scaled = self.optimizer.get_scaled_loss(total) if _scales(self.optimizer) else total
        hints = self.hints.trainable_variables if self.hints is not None else []
        variables = [*self.student.trainable_variables, *hints]
        gradients = tape.gradient(scaled, variables)
        if _scales(self.optimizer):
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        if self._steps is not None:
            self._steps.assign_add(1)
        for mean, value in zip(self._means, (total, *parts), strict=True):
            mean.update_state(value)
        return {metric.name: metric.result() for metric in self.metrics}

    def _total(self, data: Any) -> tuple[Any, tuple[Any, Any]]:
        outputs, answers = self._answered(data)
        soft = self.objective.value(answers, self._steps)
        weight = tf.cast(at(self.weight, self._steps), soft.dtype)
        own = tf.cast(outputs.loss, soft.dtype)
        total = (1.0 - weight) * own + weight * _share(soft)
        if self.student.losses:
            penalty = tf.cast(tf.add_n(self.student.losses), soft.dtype)
            # TFRS adds regularization as it is, Keras a replica's share of it.
            total += penalty if isinstance(self.student, tfrs.Model) else _share(penalty)
        return total, (own, soft)

    def _answered(self, data: Any) -> tuple[Outputs, Answers]:
        voice = self._teaching.voice
        batch, speaker = voice.opened(data)
        with ExitStack() as stack:
            heard = [stack.enter_context(r.listening()) for r in self._teaching.recorders]
            outputs = (self._teaching.forward or self._plain_outputs)(self.student, speaker, batch)
        hidden = self.hints.compared(*heard) if self.hints is not None else {}
        return outputs, Answers(outputs.student, voice.taught(outputs.teacher), hidden)

    def _plain_outputs(self, student: Any, teacher: Any, data: Any) -> Outputs:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(student, tfrs.Model):
            loss = student.compute_loss(data, training=True)
            logits = student(x, training=True)
        else:
            logits = student(x, training=True)
            loss = self.compiled_loss(y, logits, sample_weight)
            self.compiled_metrics.update_state(y, logits, sample_weight)
        return Outputs(loss, logits, self._teaching.voice.answers(teacher, x))

    def test_step(self, data: Any) -> dict[str, Any]:
        """The student's own evaluation."""
        if self._teaching.voice is not None:
            data = self._teaching.voice.own_batch(data)
        if isinstance(self.student, tfrs.Model):
            return dict(self.student.test_step(data))
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        logits = self(x, training=False)
        self.compute_loss(x, y, logits, sample_weight)
        self.compute_metrics(x, y, logits, sample_weight)
        of_training = {id(mean) for mean in self._means}  # one of them is named "loss" as well
        return {m.name: m.result() for m in self.metrics if id(m) not in of_training}

    def get_config(self) -> dict[str, Any]:
        """The student and the settings; not the teacher."""
        return {
            "name": self.name,
            "student": keras.saving.serialize_keras_object(self.student),
            "temperature": to_data(self.temperature),
            "weight": to_data(self.weight),
            "loss": to_data(self._own_loss),
            "widths": None if self.hints is None else [list(w) for w in self.hints.widths],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Distiller:
        """A Distiller without a teacher."""
        config = dict(config)
        widths = config.pop("widths", None)
        with keras.utils.custom_object_scope(custom_objects or {}):
            student = keras.saving.deserialize_keras_object(config.pop("student"))
        for name in {"temperature", "weight", "loss"} & set(config):
            config[name] = from_data(config[name])
        made = cls(student, **config)
        if widths is not None:
            made.hints = Hints(made.objective.pairs, widths)
        return made


class _Untracked:
    """Keeps teachers out of the Distiller's weights and checkpoints."""

    def __init__(self, voice: Any = None, forward: Forward | None = None) -> None:
        self.voice, self.forward = voice, forward
        self.recorders: tuple[Recorder, ...] = ()


def _counter(model: Any) -> Any:
    # Each replica of a distribution strategy counts its own steps, and the first one's is saved.
    return model.add_weight(
        name="steps",
        shape=(),
        dtype="int64",
        initializer="zeros",
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


def _share(loss: Any) -> Any:
    # Gradients of replicas are added up; Keras's compiled losses are divided among them already.
    return loss / tf.distribute.get_strategy().num_replicas_in_sync


def _scales(optimizer: Any) -> bool:
    return isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)
