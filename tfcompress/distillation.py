"""Training a student with its teacher: the loss, and the model that takes the training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tfcompress.errors import SpecError
from tfcompress.keras import keras, tf, tfrs


class Outputs(NamedTuple):
    """What one forward pass of student and teacher gives.

    Attributes:
        loss: the student's own loss, a scalar.
        student: its logits `[n, classes]`.
        teacher: the teacher's logits of the same shape.
    """

    loss: Any
    student: Any
    teacher: Any


Forward = Callable[[Any, Any, Any], Outputs]


def softened_divergence(student: Any, teacher: Any, temperature: float) -> Any:
    """Mean Kullback-Leibler divergence from the teacher's softened distribution, times T squared.

    Hinton, Vinyals and Dean (2015): the factor keeps gradients of the same size at any temperature,
    and several teachers are heard as the mean of their distributions.

    Args:
        student: logits `[n, classes]`.
        teacher: logits `[n, classes]`, or `[teachers, n, classes]`; no gradient flows into them.
        temperature: T, above 0.

    Returns:
        A scalar, in nats, at least 0.

    Example:
        >>> import tensorflow as tf
        >>> logits = tf.constant([[1.0, 2.0, 3.0]])
        >>> float(softened_divergence(logits, logits, temperature=2.0))
        0.0
    """
    softened = tf.stop_gradient(teacher) / temperature
    if softened.shape.rank > student.shape.rank:
        # As logits again: the logarithm of the summed probabilities, up to a constant.
        softened = tf.reduce_logsumexp(tf.nn.log_softmax(softened), axis=0)
    taught = tf.nn.softmax(softened)
    # Cross-entropies are fused: the classes of a catalogue are passed over as rarely as can be.
    crossed = tf.nn.softmax_cross_entropy_with_logits(taught, student / temperature)
    entropy = tf.nn.softmax_cross_entropy_with_logits(taught, softened)
    return tf.reduce_mean(crossed - entropy) * temperature**2


@keras.utils.register_keras_serializable("tfcompress")
class Distiller(keras.Model):  # type: ignore[misc]
    """Trains `student` on `(1 - weight) * its own loss + weight * softened divergence`.

    It is called, exported and saved as its student; the teacher is never saved or trained.

    Args:
        student: the model to train; its outputs are logits.
        teacher: the model to learn from; None after loading, until `distill` is called again.
        temperature: above 0.
        weight: from 0 to 1.
        forward: from (student, teacher, batch) to `Outputs`; by default both models are called on
            the features, and the student's loss is its `compute_loss` (TFRS) or the compiled one.

    Raises:
        SpecError: in training, where no teacher is there, or the outputs are no logits.
    """

    def __init__(
        self,
        student: Any,
        teacher: Any = None,
        temperature: float = 1.0,
        weight: float = 0.5,
        forward: Forward | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("name", student.name)
        super().__init__(**kwargs)
        _refuse_probabilities(student)
        self.student = student
        self._teacher = [_Untracked(teacher)]
        self.temperature = temperature
        self.weight = weight
        self._forward = forward
        self._means = [keras.metrics.Mean(n) for n in ("loss", "student_loss", "distillation_loss")]

    @property
    def teacher(self) -> Any:
        """The model to learn from."""
        return self._teacher[0].model

    def call(self, inputs: Any, training: Any = None) -> Any:
        """What the student computes."""
        return self.student(inputs, training=training)

    def make_train_function(self, force: bool = False) -> Any:
        """Keras asks for it before the first step, where an error is still an error as raised."""
        if self.teacher is None:
            raise SpecError(
                "The Distiller has no teacher (it is not saved with the student). "
                "Call tfcompress.distill(model.student, teacher=...) and compile again."
            )
        return super().make_train_function(force)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on a batch."""
        with tf.GradientTape() as tape:
            total, parts = self._total(data)
            scaled = self.optimizer.get_scaled_loss(total) if _scales(self.optimizer) else total
        variables = self.student.trainable_variables
        gradients = tape.gradient(scaled, variables)
        if _scales(self.optimizer):
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        for mean, value in zip(self._means, (total, *parts), strict=True):
            mean.update_state(value)
        return {metric.name: metric.result() for metric in self.metrics}

    def _total(self, data: Any) -> tuple[Any, tuple[Any, Any]]:
        outputs = self._outputs(data)
        soft = softened_divergence(outputs.student, outputs.teacher, self.temperature)
        total = (1.0 - self.weight) * outputs.loss + self.weight * _share(soft)
        if self.student.losses:
            penalty = tf.add_n(self.student.losses)
            # TFRS adds regularization as it is, Keras a replica's share of it.
            total += penalty if isinstance(self.student, tfrs.Model) else _share(penalty)
        return total, (outputs.loss, soft)

    def _outputs(self, data: Any) -> Outputs:
        if self._forward is not None:
            return self._forward(self.student, self.teacher, data)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(self.student, tfrs.Model):
            loss = self.student.compute_loss(data, training=True)
            logits = self.student(x, training=True)
            return Outputs(loss, logits, self.teacher(x, training=False))
        logits = self.student(x, training=True)
        loss = self.compiled_loss(y, logits, sample_weight)
        self.compiled_metrics.update_state(y, logits, sample_weight)
        return Outputs(loss, logits, self.teacher(x, training=False))

    def test_step(self, data: Any) -> dict[str, Any]:
        """The student's own evaluation."""
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
            "temperature": self.temperature,
            "weight": self.weight,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Distiller:
        """A Distiller without a teacher."""
        config = dict(config)
        with keras.utils.custom_object_scope(custom_objects or {}):
            student = keras.saving.deserialize_keras_object(config.pop("student"))
        return cls(student, **config)


class _Untracked:
    """Keeps a model out of the Distiller's weights and checkpoints."""

    def __init__(self, model: Any) -> None:
        self.model = model


def _share(loss: Any) -> Any:
    # Gradients of replicas are added up; Keras's compiled losses are divided among them already.
    return loss / tf.distribute.get_strategy().num_replicas_in_sync


def _scales(optimizer: Any) -> bool:
    return isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)


def _refuse_probabilities(student: Any) -> None:
    layers = getattr(student, "layers", None) or []
    activation = getattr(layers[-1], "activation", None) if layers else None
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        raise SpecError(
            f"The last layer of {student.name!r} gives probabilities ({activation.__name__}); "
            "expected logits, which a temperature can soften. Remove the activation and use a loss "
            "with from_logits=True."
        )
