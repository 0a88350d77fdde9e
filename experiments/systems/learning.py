"""Training teachers and students of a system, from where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tfcompress as tfc
from experiments.models import tf
from experiments.systems.measuring import TEACHER
from experiments.systems.system import Subject, System, Way
from experiments.training import Trainer, TrainingConfig, Validation

SEEDS_APART = 1000  # from a teacher to the next of the same run: no run has the seed of another's


def teacher_name(number: int) -> str:
    """What a run calls a teacher of it; see `Run.teacher`.

    >>> teacher_name(0), teacher_name(2)
    ('teacher', 'teacher-2')
    """
    return f"{TEACHER}-{number}" if number else TEACHER


class Learner(tf.keras.Model):  # type: ignore[misc]
    """Trains a network on what its subject has at the rows of a batch.

    Args:
      network: a built model. subject: what it learns.
    """

    def __init__(self, network: Any, subject: Subject) -> None:
        super().__init__(name=network.name)
        self.network = network
        self._subject = subject

    def train_step(self, rows: Any) -> dict[str, Any]:
        """One step on the rows int32 [batch]."""
        inputs, wanted = self._subject.batch(rows)
        with tf.GradientTape() as tape:
            loss = self._subject.loss(wanted, self.network(inputs, training=True))
        variables = self.network.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss}


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
      network: with the weights of its best epoch.
      record: how it was trained, and its curve.
    """

    network: Any
    record: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One seed's run of a system.

    Attributes:
      system, subject: what is run.
      seed: of weights, order and what is drawn.
      work: a folder; its checkpoints are what an earlier run has done.
      stop: asked between two steps.
    """

    system: System
    subject: Subject
    seed: int
    work: Path
    stop: Callable[[], bool]

    def teacher(self, number: int = 0) -> Trained:
        """A teacher, trained to the end, here or before.

        Args:
          number: 0 is the one that students are measured against; others differ by their seeds.

        Raises:
          Stopped: when stopped; the state is saved.
          ValueError: if the checkpoint belongs to other settings.
        """
        seed = self.seed + SEEDS_APART * number
        tf.keras.utils.set_random_seed(seed)
        network = self.subject.network()
        if self.system.teaching is None:
            return Trained(network, {"training": None, "seconds": 0.0})
        teaching = replace(self.system.teaching, seed=seed)
        learner = Learner(network, self.subject)
        return self._trained(learner, network, teaching, teacher_name(number))

    def student(self, teachers: Sequence[Any], way: Way) -> Trained:
        """What one way makes of the first teacher, taught by as many as it says.

        Args:
          teachers: networks; those of `teacher`, in its order.
          way: how.

        Raises: as `teacher`.
        """
        tf.keras.utils.set_random_seed(self.seed)
        network = way.student(teachers[0])
        forward = self.system.forward or taught_on(self.subject)
        heard = list(teachers[: way.teachers])
        taught = tfc.distill(network, heard, way.temperature, way.weight, forward)
        training = replace(way.training, seed=self.seed)
        return self._trained(taught, network, training, way.name, way)

    def _trained(
        self,
        learner: Any,
        network: Any,
        config: TrainingConfig,
        name: str,
        way: Way | None = None,
    ) -> Trained:
        deciding = (way and way.deciding) or self.subject.deciding
        made = {
            "system": self.system.name,
            "data": dict(self.subject.described),
            "way": None if way is None else way.to_data(),
        }
        trainer = Trainer(
            learner,
            self.subject.rows,
            config,
            self.work / f"{name}.npz",
            Validation(lambda: self.subject.validated(network), deciding),
            made,
        )
        return finished(trainer, network, self.stop)


def finished(trainer: Trainer, network: Any, stop: Callable[[], bool]) -> Trained:
    """Trains a network to the end; it has the weights of its best epoch then.

    Args:
      trainer: of a learner that holds the network. stop: asked between two steps.

    Raises:
      Stopped: when stopped; the state is saved.
    """
    trainer.run(stop)
    progress = trainer.progress
    trainer.model.set_weights(progress.best)
    record = {
        "training": asdict(trainer.config),
        "best_epoch": progress.best_epoch,
        "seconds": round(progress.seconds, 1),
        "validation": progress.curve,
    }
    return Trained(network, record)


def taught_on(subject: Subject) -> Any:
    """For `tfc.distill`: student and teachers see the same examples, distorted alike."""

    def forward(student: Any, teacher: Any, rows: Any) -> tfc.Outputs:
        inputs, wanted = subject.batch(rows)
        logits = student(inputs, training=True)
        asked = teacher if isinstance(teacher, tuple) else (teacher,)
        taught = [one(inputs, training=False) for one in asked]
        return tfc.Outputs(subject.loss(wanted, logits), logits, taught)

    return forward
