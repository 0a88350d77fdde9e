"""The training loop of the reference models: stops at any step, resumes at the same one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import progress as bars

from experiments.models import tf
from experiments.replicas import Replicas
from experiments.state import Array, Checkpoint, generator_states


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
      seed: of the weights, the order of windows, and dropout.
      batch: windows in a step.
      epochs: passes over the windows; the learning rate reaches zero at the end of the last.
      peak_learning_rate: Adam's, reached after the warm-up.
      warmup_steps: steps of linear warm-up.
      settling_epochs: how many of the epochs come behind the end of that decay, and have a lower
        one: weights that are rounded in training then stop to jump from level to level.
      settling_rate: the learning rate that these begin with.
      xla: whether XLA compiles the step. It is for a distillation, whose work is passes over
        scores of fixed shape; a step with a varying number of positions gains nothing.

    Raises:
      ValueError: if a field is out of range.
    """

    seed: int
    batch: int
    epochs: int
    peak_learning_rate: float
    warmup_steps: int
    settling_epochs: int = 0
    settling_rate: float = 0.0
    xla: bool = False

    def __post_init__(self) -> None:
        for name in ("batch", "epochs", "peak_learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"Received {name}={getattr(self, name)}, expected more than 0.")
        for name in ("warmup_steps", "settling_epochs", "settling_rate"):
            if getattr(self, name) < 0:
                raise ValueError(f"Received {name}={getattr(self, name)}, expected at least 0.")
        if self.settling_epochs >= self.epochs:
            raise ValueError(
                f"Received settling_epochs={self.settling_epochs} of {self.epochs} epochs, "
                "expected fewer than all."
            )


class Stopped(Exception):
    """Training was asked to stop, and has saved its state."""


def batches(windows: Array, config: TrainingConfig, epoch: int, first: int) -> Iterator[Array]:
    """The batches of an epoch from the step `first` on, in an order that seed and epoch decide.

    The last, incomplete batch is left out; shuffled anew, it is another one in every epoch.

    Raises:
      ValueError: if there are fewer windows than a batch needs.
    """
    if len(windows) < config.batch:
        raise ValueError(f"Received {len(windows)} windows, expected at least {config.batch}.")
    order = np.random.default_rng([config.seed, epoch]).permutation(len(windows))
    for step in range(first, len(windows) // config.batch):
        yield windows[order[step * config.batch : (step + 1) * config.batch]]


def make_optimizer(config: TrainingConfig, n_windows: int) -> Any:
    """Adam with a linear warm-up and a cosine decay to zero; a second, lower decay to settle."""
    in_epoch = n_windows // config.batch
    steps = (config.epochs - config.settling_epochs) * in_epoch
    schedule = tf.keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - config.warmup_steps),
        warmup_target=config.peak_learning_rate,
        warmup_steps=config.warmup_steps,
    )
    if config.settling_epochs:
        schedule = Settled(schedule, steps, config.settling_rate, config.settling_epochs * in_epoch)
    return tf.keras.optimizers.Adam(schedule)


class Settled(tf.keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A schedule, and a cosine decay to zero behind its end.

    Args:
      before: the schedule. steps: how many it is for.
      rate: what the decay begins with. settling: its steps.
    """

    def __init__(self, before: Any, steps: int, rate: float, settling: int) -> None:
        super().__init__()
        self.before, self.steps, self.rate, self.settling = before, steps, rate, settling
        self._decay = tf.keras.optimizers.schedules.CosineDecay(rate, max(1, settling))

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step."""
        behind = tf.cast(step, tf.int64) - self.steps
        settling = self._decay(tf.maximum(behind, 0))
        return tf.where(behind < 0, self.before(step), settling)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("before", "steps", "rate", "settling")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Validation:
    """What is measured after each epoch.

    Attributes:
      measure: returns metrics of the model as it is, by name.
      deciding: the name of the one that says which epoch is best; more is better.
    """

    measure: Callable[[], dict[str, float]]
    deciding: str


class Trainer:
    """Trains a model on windows, validates after each epoch, and saves its state.

    Args:
      model: a built Keras model with a `train_step` whose logs have "loss".
      windows: int32 [n, length + 1], or other rows that `train_step` takes batches of.
      config: how to train.
      checkpoint: the file to resume from and to save to.
      validation: what to measure after each epoch.
      made: what the model was made from, as JSON has it; kept in the checkpoint to compare.
      replicas: that share each batch; the model was made in their scope.

    Raises:
      ValueError: if the checkpoint belongs to a run with other settings, other processes found
        another one, or the replicas cannot share a batch.
    """

    def __init__(
        self,
        model: Any,
        windows: Array,
        config: TrainingConfig,
        checkpoint: Path,
        validation: Validation,
        made: dict[str, Any],
        replicas: Replicas | None = None,
    ) -> None:
        self.model, self.windows, self.config = model, windows, config
        self.validation, self.replicas = validation, replicas or Replicas()
        self.replicas.check(config.batch)
        self.steps = len(windows) // config.batch
        with self.replicas.scope():
            optimizer = make_optimizer(config, len(windows))
            optimizer.build(model.trainable_variables)
            model.compile(optimizer)
        variables = [*model.weights, *optimizer.variables, *generator_states(model)]
        identity: dict[str, Any] = {
            "model": made,
            "training": asdict(config),
            "windows": list(windows.shape),
        }
        if self.replicas.count > 1:
            identity["replicas"] = self.replicas.count
        self.checkpoint = Checkpoint(checkpoint, variables, identity)
        self.progress = self.checkpoint.restore()
        self.progress.deciding = validation.deciding
        self._check_together()
        self._step = self.replicas.step(model, config.xla)

    def _check_together(self) -> None:
        done = self.progress.epoch * self.steps + self.progress.step
        found = self.replicas.of_all(done)
        if len(set(found)) > 1:
            raise ValueError(
                f"Replicas go on from the steps {found}, expected the same one. All processes have "
                f"to see {self.checkpoint.path}: choose a folder that they share."
            )

    def run(self, stop: Callable[[], bool]) -> None:
        """Trains to the end of the last epoch.

        Args:
          stop: asked between two steps whether to stop.

        Raises:
          Stopped: when stopped; the state is saved.
        """
        columns = bars.Progress.get_default_columns()
        with bars.Progress(*columns, disable=not self.replicas.is_chief) as shown:
            bar = shown.add_task("training", total=self.config.epochs * self.steps)
            while self.progress.epoch < self.config.epochs:
                started = time.monotonic()
                for loss in self._epoch(stop, started):
                    done = self.progress.epoch * self.steps + self.progress.step
                    text = f"epoch {self.progress.epoch + 1} loss {loss:.3f}"
                    shown.update(bar, description=text, completed=done)
                self._end_epoch(started)
                if self.replicas.is_chief:
                    shown.print(_line(self.progress.curve[-1]))

    def _epoch(self, stop: Callable[[], bool], started: float) -> Iterator[float]:
        """The remaining steps of an epoch; yields the mean loss so far after each."""
        progress = self.progress
        for batch in batches(self.windows, self.config, progress.epoch, progress.step):
            if any(self.replicas.of_all(stop())):  # asked of one process, all stop here
                progress.epoch_seconds += time.monotonic() - started
                self._save()
                raise Stopped(
                    f"Stopped after {progress.step} of {self.steps} steps of epoch "
                    f"{progress.epoch + 1}; saved in {self.checkpoint.path}. Run the same command "
                    "to go on."
                )
            self.model.reset_metrics()  # a Distiller's loss is a mean over steps: of this one only
            progress.loss_sum += self._step(batch)
            progress.step += 1
            yield progress.loss_sum / progress.step

    def _end_epoch(self, started: float) -> None:
        progress = self.progress
        measured = self.validation.measure()
        seconds = progress.epoch_seconds + time.monotonic() - started
        row = {"epoch": progress.epoch + 1, "loss": progress.loss_sum / self.steps}
        progress.curve.append({**row, **measured, "seconds": round(seconds, 2)})
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.loss_sum, progress.epoch_seconds = 0.0, 0.0
        if progress.best_epoch == progress.epoch:
            progress.best = self.model.get_weights()
        self._save()

    def _save(self) -> None:
        if self.replicas.is_chief:
            self.checkpoint.save(self.progress)


def _line(row: dict[str, float]) -> str:
    """A row of the curve as text."""
    metrics = {name: value for name, value in row.items() if name not in ("epoch", "seconds")}
    text = " ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    return f"epoch {row['epoch']} {text} {row['seconds']:.0f} s"
