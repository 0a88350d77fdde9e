"""One trial: what was tried, and what came of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tfcompress.apply import apply
from tfcompress.outcomes import Costs
from tfcompress.spec import Spec


class Ending(StrEnum):
    """How a trial ended."""

    FINISHED = "finished"
    ENDED_EARLY = "ended early"
    FAILED = "failed"


@dataclass(frozen=True)
class Figures:
    """What is known of a model and its file.

    Attributes:
        quality: on validation data, by the file; of a trial that ended early, by the Keras model.
        bytes: of the file; of a trial that ended early, as its plan says.
        latency_us: microseconds of a call of the file; None where there is no file.
        parameters, multiply_adds: as the plan says.

    Example:
        >>> Figures(0.9, 1000, 12.5, 900, 800).bytes
        1000
    """

    quality: float
    bytes: int
    latency_us: float | None
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Trial:
    """A spec that was tried.

    Attributes:
        number: of the trial, from 0.
        values: of the open values that mattered.
        spec: what was done to the model.
        ending: how it ended.
        costs: what its plan said.
        figures: what came of it; None where it failed.
        qualities: on validation data after each part of the training, by the Keras model.
        seconds: that it took; `training_seconds` of them training.
        folder: of the exported file; None where there is none.
        worker: who carried it out.
        error: what went wrong, with its traceback.

    Example:
        >>> import tfcompress as tfc
        >>> spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))])
        >>> trial = Trial(0, {}, spec, Ending.FAILED, error="ValueError")
        >>> Trial.from_data(trial.to_data()) == trial
        True
    """

    number: int
    values: dict[str, Any]
    spec: Spec
    ending: Ending
    costs: Costs | None = None
    figures: Figures | None = None
    qualities: tuple[float, ...] = ()
    seconds: float = 0.0
    training_seconds: float = 0.0
    folder: str | None = None
    worker: str = ""
    error: str | None = None

    def apply(self, model: Any) -> Any:
        """The model with this trial's spec, untrained: `tfcompress.apply(model, spec)`."""
        return apply(model, self.spec)

    @property
    def file(self) -> Path | None:
        """The exported file."""
        return None if self.folder is None else Path(self.folder) / "model.tflite"

    def to_data(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "spec": json.loads(self.spec.to_json()),
            "ending": str(self.ending),
            "costs": None if self.costs is None else self.costs.to_data(),
            "figures": None if self.figures is None else asdict(self.figures),
            "qualities": list(self.qualities),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Trial:
        """The trial that `to_data` made `data` of."""
        return cls(
            **{name: data[name] for name in _PLAIN},
            spec=Spec.from_json(json.dumps(data["spec"])),
            ending=Ending(data["ending"]),
            costs=None if data["costs"] is None else Costs(**data["costs"]),
            figures=None if data["figures"] is None else Figures(**data["figures"]),
            qualities=tuple(data["qualities"]),
        )


_PLAIN = ("number", "values", "seconds", "training_seconds", "folder", "worker", "error")
