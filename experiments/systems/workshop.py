"""Making a compressed model from the events before a moment, and updating it period by period."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from experiments.data.timed import IntArray
from experiments.models import files, store, tf
from experiments.models.mobile import MobileConfig
from experiments.systems.stream import Period, Stream, drawn, periods
from experiments.systems.updating import Held, Learner, Shape
from experiments.training import Trainer, TrainingConfig, Validation


@dataclass(frozen=True)
class Settings:
    """What is run.

    Attributes:
      start, days, weeks: when the first period begins, how long each is, and how many there are.
      sizes: fields of MobileConfig other than n_items.
      held: how the network is compressed.
      learning: of the float32 network. compressing: of the compressed one, on the same events.
      updating: of the compressed one, on a period's events and as many windows of older ones.
      positions: see `Learner`.
      retrained: before which periods all is trained and compressed from scratch; every time would
        take most of an hour.
      tested: events of a period that are foretold, at most.
    """

    start: str
    days: int
    weeks: int
    sizes: dict[str, Any]
    held: Held
    learning: TrainingConfig
    compressing: TrainingConfig
    updating: TrainingConfig
    positions: int
    retrained: tuple[int, ...]
    tested: int


@dataclass(frozen=True)
class Made:
    """A compressed model at a moment.

    Attributes:
      student: the model. shape: what its updates keep.
      exported: its folder. seconds: of trainings and export.
    """

    student: Any
    shape: Shape
    exported: tfc.Exported
    seconds: dict[str, float]

    @property
    def file(self) -> Path:
        """The exported file."""
        return self.exported.model


@dataclass(frozen=True)
class Workshop:
    """Trains, compresses, updates and exports, from where an earlier run stopped.

    Attributes:
      stream: the events. settings: what is run. seed: of all that is drawn.
      work: a folder; its checkpoints are what an earlier run has done.
      stop: asked between two steps.
    """

    stream: Stream
    settings: Settings
    seed: int
    work: Path
    stop: Callable[[], bool]

    def network(self, last: int) -> tuple[Any, float]:
        """A float32 network trained on the events before a place, and how many seconds it took.

        Raises:
          Stopped: when stopped; the state is saved.
          ValueError: if the checkpoint belongs to other settings.
        """
        tf.keras.utils.set_random_seed(self.seed)
        config = MobileConfig(n_items=self.stream.data.n_items, **self.settings.sizes)
        network = store.build(config)
        rows = self._known(last)
        return network, self._train(network, rows, self.settings.learning, f"float-{last}")

    def compressed(self, last: int) -> Made:
        """A model made from nothing but the events before a place; raises as `network`."""
        network, learning = self.network(last)
        spec = self.settings.held.spec(network)
        student = tfc.apply(network, spec)
        name = f"compressed-{last}"
        compressing = self._train(student, self._known(last), self.settings.compressing, name)
        spent = {"learning": learning, "compressing": compressing}
        return self._shipped(student, Shape.of(student, spec), name, spent)

    def updated(self, made: Made, period: Period) -> Made:
        """The same model after a period's events and as many older windows; raises as `network`."""
        new = self.stream.lessons(period.first, period.last, made.student.config.length)
        old = drawn(self._known(period.first), len(new), [self.seed, period.first])
        name = f"updated-{period.last}"
        rows = np.vstack([new, old])
        spent = {"updating": self._train(made.student, rows, self.settings.updating, name)}
        return self._shipped(made.student, made.shape, name, spent)

    def _known(self, last: int) -> IntArray:
        return self.stream.lessons(0, last, self.settings.sizes["length"])

    def _train(self, network: Any, rows: IntArray, config: TrainingConfig, name: str) -> float:
        learner = Learner(network, self.settings.positions)
        trainer = Trainer(
            learner,
            rows,
            replace(config, seed=self.seed),
            self.work / f"{name}.npz",
            Validation(dict, "epoch"),  # the last one counts: nothing newer is there to choose by
            {"settings": asdict(self.settings), "model": name},
        )
        trainer.run(self.stop)
        learner.set_weights(trainer.progress.best)
        return trainer.progress.seconds

    def _shipped(self, student: Any, shape: Shape, name: str, spent: dict[str, float]) -> Made:
        begun = time.monotonic()
        exported = self.exported(student, name)
        return Made(student, shape, exported, {**spent, "export": time.monotonic() - begun})

    def exported(self, network: Any, name: str) -> tfc.Exported:
        """The verified file of a network, in the folder `name`."""
        return tfc.export(
            network,
            self.work / name,
            signatures=files.signatures(network.config),
            verify_with=self._calls(network.config),
        )

    def _calls(self, config: MobileConfig) -> dict[str, list[dict[str, IntArray]]]:
        """Calls about some histories as they were before the first period."""
        first = self.periods[0].first
        some = self.stream.cases(Period("", first // 2, first), config.length, 8, self.seed)
        candidates = np.arange(1, config.n_items + 1, dtype=np.int32)
        recommend = [{"history": row[None]} for row in some.histories]
        return {
            "recommend": recommend,
            "score": [{**call, "candidates": candidates} for call in recommend],
        }

    @property
    def periods(self) -> list[Period]:
        """Those of the settings."""
        times, asked = self.stream.data.times, self.settings
        return periods(times, asked.start, asked.days, asked.weeks)
