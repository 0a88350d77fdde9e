"""What a kind of model is for: its data, what it learns from, and how it and its files are judged.

The scripts know no kind; `tasks` says which task a config or a file belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from rich.table import Table

from experiments.compression import Place
from experiments.state import Array
from tfcompress import Exported, Probe, Shipping, Training

Split = Literal["validation", "test"]


@dataclass(frozen=True)
class Judge:
    """Measures a model as it is when asked.

    Attributes:
      validation: metrics on the validation split, by name, for the curve of a training.
      test: those on the test split, as results.json has them.
    """

    validation: Callable[[], dict[str, float]]
    test: Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Subject:
    """What is compressed without a recipe's spec, and what is needed for it.

    Attributes:
      model: as it starts, in float32.
      probe: what it is asked while it is measured.
      training: how it is trained; None: it is not.
      shipping: how its files are exported.
    """

    model: Any
    probe: Probe
    training: Training | None
    shipping: Shipping


class Task(Protocol):
    """What the scripts ask of a task; `data` is what its `load` gave.

    Attributes:
      deciding: the validation metric that decides which epoch is best.
      judged: what is the quality of a file, of all that `quality` measures.
      smallest: fields of a config that the data decide, at values that any config is valid with.
    """

    deciding: str
    judged: str
    smallest: Mapping[str, Any]

    def load(self, folder: Path | None) -> Any:
        """The data, from a folder or fetched."""

    def sizes(self, data: Any) -> dict[str, Any]:
        """Fields of a config that the data decide."""

    def rows(self, config: Any, data: Any) -> Array:
        """What a model of this config is trained on, one example a row."""

    def judge(self, model: Any, data: Any) -> Judge:
        """What measures the model, now and as training goes on."""

    def publish(self, run: Path, out: Path, data: Any) -> Exported:
        """Exports the model of a training run to `out`, with what made it."""

    def quality(self, path: Path, data: Any, split: Split, against: Path | None) -> dict[str, Any]:
        """How good a file is by itself, and beside another one."""

    def recipe(self, path: Path) -> Any:
        """Reads what to make of a teacher."""

    def subject(self, recipe: Any, folder: Path, data: Any, epochs: int) -> Subject:
        """What auto compresses of a teacher's folder, trained for so many epochs, or not for 0."""

    def compress(
        self, recipe: Any, place: Place, data: Any, split: Split, stop: Callable[[], bool]
    ) -> Exported:
        """Makes a student's folder."""

    def table(self, made: Exported, teacher: Path) -> Table:
        """Teacher and compressed file side by side."""
