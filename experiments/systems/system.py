"""What a system is: its data, its teacher, and the specs that compress it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

import tfcompress as tfc
from experiments.training import TrainingConfig
from tfcompress.distillation import Forward

Array = npt.NDArray[Any]
Quality = npt.NDArray[np.float64]


class Subject(Protocol):
    """What a system learns and is asked, with its data at hand.

    Attributes:
      rows: int32 [n] or [n, width], numbers of what there is to train on, or what `forward` of the
        system reads; a training's batch is some of them.
      deciding: the figure of `validated` that says which epoch is best; more is better.
      metric: what `quality` is.
      signature: the name of what a file is asked.
      described: of the data, for the record; says under `synthetic` whether they are made.
    """

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        """See above."""

    @property
    def deciding(self) -> str:
        """See above."""

    @property
    def metric(self) -> str:
        """See above."""

    @property
    def signature(self) -> str:
        """See above."""

    @property
    def described(self) -> Mapping[str, Any]:
        """See above."""

    def network(self) -> Any:
        """A new teacher, whose outputs are logits."""

    def batch(self, rows: Any) -> tuple[Any, Any]:
        """What a network learns at these rows, int32 [batch]: its inputs, and what is wanted."""

    def loss(self, wanted: Any, logits: Any) -> Any:
        """The loss of a batch, a scalar (nats)."""

    def validated(self, network: Any) -> dict[str, float]:
        """Figures of a network on the validation split, by name."""

    def signatures(self) -> Mapping[str, tfc.Signature]:
        """What a file can be asked."""

    def calls(self) -> Sequence[Mapping[str, Array]]:
        """Inputs of a few calls, none of which are from the test split."""

    def quality(self, file: Path) -> Quality:
        """Of each example of the test split, by the file alone: float [n]; its mean counts."""


@dataclass(frozen=True)
class Goal:
    """What the exported file must reach, against the float32 file of its teacher.

    Attributes:
      size_reduction: share of the bytes that is saved.
      speedup: how many times as fast on one thread.
      quality_loss: how much lower the quality may be.
      multiply_adds_reduction: share of the multiply-adds that is saved; None: any.
      relative: whether `quality_loss` is a share of the teacher's quality.
    """

    size_reduction: float
    speedup: float
    quality_loss: float
    multiply_adds_reduction: float | None = None
    relative: bool = False


@dataclass(frozen=True)
class Way:
    """One way to compress a teacher.

    Attributes:
      name: of its row.
      specs: applied one after another; techniques that look at weights want those to be there.
      training: how the student is trained then; the seed is the run's.
      temperature: of the distillation. weight: the teacher's share of the loss.
      begin: from (a teacher, `sizes`) to the float32 student that the specs are for; None: that is
        the teacher itself. sizes: JSON data that say which.
      tolerance: how far the file's answers may be from the student's, see `tfcompress.export`.
      teachers: how many the student learns from, as the mean of their distributions: the one that
        it is measured against, and others that differ from it by their seeds.
      deciding: the figure of the student's curve that says which epoch is best, "epoch" for the
        last one; None: that of the subject.

    Raises:
      ValueError: if there is no teacher.
    """

    name: str
    specs: tuple[tfc.Spec, ...]
    training: TrainingConfig
    temperature: float
    weight: float
    begin: Callable[[Any, dict[str, Any]], Any] | None = None
    sizes: dict[str, Any] = field(default_factory=dict)
    tolerance: float | None = None
    teachers: int = 1
    deciding: str | None = None

    def __post_init__(self) -> None:
        if self.teachers < 1:
            raise ValueError(f"Received teachers={self.teachers}, expected at least 1.")

    def student(self, teacher: Any) -> Any:
        """What the specs make of a teacher, before it is trained.

        Raises:
          SpecError: if one of them cannot be carried out.
        """
        student = teacher if self.begin is None else self.begin(teacher, self.sizes)
        for spec in self.specs:
            student = tfc.apply(student, spec)
        return student

    def to_data(self) -> dict[str, Any]:
        """The specs, the distillation and what else is not the default, as JSON has them."""
        return {
            **({"sizes": self.sizes} if self.sizes else {}),
            **({"teachers": self.teachers} if self.teachers > 1 else {}),
            **({"deciding": self.deciding} if self.deciding else {}),
            "specs": [json.loads(spec.to_json()) for spec in self.specs],
            "temperature": self.temperature,
            "weight": self.weight,
        }


@dataclass(frozen=True)
class System:
    """A system and how it is compressed.

    Attributes:
      name: what the command calls it.
      published: the techniques that it was published with, as a text.
      load: from a folder, or None for what can be fetched, to its subject.
      goal: what must be reached.
      teaching: how the teacher is trained; the seed is the run's. None: the subject's network is a
        trained one.
      ways: how it is compressed; the last is what is shipped.
      forward: how student and teacher are asked, see `tfc.distill`; None: see `learning.taught_on`.
    """

    name: str
    published: str
    load: Callable[[Path | None], Subject]
    goal: Goal
    teaching: TrainingConfig | None
    ways: tuple[Way, ...]
    forward: Forward | None = None
