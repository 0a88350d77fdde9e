"""How much is done for a compressed model's quality, from nothing to distillation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tfcompress.apply import distill
from tfcompress.auto.data import Training
from tfcompress.keras import keras, tf
from tfcompress.value import Value

Note = Callable[[str], None]


@dataclass(frozen=True)
class Effort(Value):
    """What is done for the quality of a compressed model before it is exported.

    Attributes:
        trains: whether it changes weights.
    """

    trains: ClassVar[bool] = True

    @abstractmethod
    def why_not(self, training: Training | None) -> str | None:
        """Why it cannot be made; None where it can."""

    @abstractmethod
    def carry_out(self, student: Any, model: Any, training: Training | None, run: Run) -> None:
        """Trains the student, which was made of the model."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What it is called in a sentence."""


@dataclass(frozen=True)
class Run:
    """Where a training keeps what it needs to go on, and whom it tells how far it is."""

    folder: Path
    note: Note


@dataclass(frozen=True)
class AsIs(Effort):
    """Nothing: the choice that calibration data made has to do.

    Example:
        >>> AsIs().why_not(None) is None
        True
    """

    trains: ClassVar[bool] = False

    def why_not(self, training: Training | None) -> str | None:
        """It always can."""
        del training
        return None

    def carry_out(self, student: Any, model: Any, training: Training | None, run: Run) -> None:
        """Leaves the student as it is."""

    @property
    def words(self) -> str:
        """Its name."""
        return "no training"


@dataclass(frozen=True)
class FineTune(Effort):
    """Training on the model's own loss.

    Example:
        >>> FineTune().why_not(None)
        'there is no Training to fine-tune with'
    """

    def why_not(self, training: Training | None) -> str | None:
        """It needs a training."""
        return "there is no Training to fine-tune with" if training is None else None

    def carry_out(self, student: Any, model: Any, training: Training | None, run: Run) -> None:
        """Fits the student."""
        if training is None:
            return
        forward = training.teaching.forward
        if forward is not None:
            student = distill(student, _teacher(model, training), weight=0.0, forward=forward)
        _fit(student, training, run)

    @property
    def words(self) -> str:
        """Its name."""
        return "fine-tuning"


@dataclass(frozen=True)
class Taught(Effort):
    """Training with a teacher, see `Distill`.

    Example:
        >>> Taught().why_not(None)
        'there is no Training to distill with'
    """

    def why_not(self, training: Training | None) -> str | None:
        """It needs a training that says how to teach."""
        if training is None:
            return "there is no Training to distill with"
        return "its Teaching has no distill" if training.teaching.distill is None else None

    def carry_out(self, student: Any, model: Any, training: Training | None, run: Run) -> None:
        """Fits the student with its teacher."""
        if training is None or training.teaching.distill is None:
            return
        teaching, teacher = training.teaching, _teacher(model, training)
        _fit(training.teaching.distill.apply(student, teacher, teaching.forward), training, run)

    @property
    def words(self) -> str:
        """Its name."""
        return "distillation"


EFFORTS: tuple[Effort, ...] = (AsIs(), FineTune(), Taught())  # cheapest first


def _teacher(model: Any, training: Training) -> Any:
    teacher = training.teaching.teacher
    return model if teacher is None else teacher


def _fit(model: Any, training: Training, run: Run) -> None:
    optimizer = keras.optimizers.Adam(_rate(training))
    model.compile(optimizer=optimizer, loss=training.loss, jit_compile=training.xla or None)
    run.folder.mkdir(parents=True, exist_ok=True)
    kept = keras.callbacks.BackupAndRestore(str(run.folder / "training"))
    callbacks = [kept, _Telling(run.note)]
    model.fit(training.batches, epochs=training.epochs, verbose=0, callbacks=callbacks)


def _rate(training: Training) -> Any:
    """A cosine to zero where the number of steps is known."""
    steps = _steps(training.batches)
    if steps is None:
        return training.learning_rate
    schedule = keras.optimizers.schedules.CosineDecay
    return schedule(training.learning_rate, max(1, steps * training.epochs))


def _steps(batches: Any) -> int | None:
    if isinstance(batches, tf.data.Dataset):
        count = int(batches.cardinality())
        return count if count > 0 else None
    return len(batches) if isinstance(batches, keras.utils.Sequence) else None


class _Telling(keras.callbacks.Callback):  # type: ignore[misc]
    """Says how far a training is."""

    def __init__(self, note: Note) -> None:
        super().__init__()
        self._note, self._epoch = note, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keeps the number."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Says epoch, step and loss."""
        loss = float((logs or {}).get("loss", float("nan")))
        self._note(
            f"epoch {self._epoch + 1} of {self.params['epochs']}, step {batch + 1}, {loss:.4f}"
        )
