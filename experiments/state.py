"""Where a training run stands, and the file that keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.files import save_arrays
from experiments.models import tf

Array = npt.NDArray[Any]


def generator_states(model: Any) -> list[Any]:
    """The variables that dropout draws from; Keras keeps them out of a model's weights."""
    layers = [part for part in model.submodules if isinstance(part, tf.keras.layers.Dropout)]
    generators = [layer._random_generator._generator for layer in layers]
    return [generator.state for generator in generators if generator is not None]


@dataclass
class Progress:
    """Where training stands.

    Attributes:
      epoch: epochs completed.
      step: steps completed of the current epoch.
      curve: a dict for each completed epoch: epoch, loss (nats), what was validated, seconds.
      best: the weights of the epoch that validated best.
      loss_sum: of the losses of the current epoch's steps.
      epoch_seconds: spent on the current epoch by earlier runs.
      deciding: the name of the validated metric that says which epoch is best; more is better.
    """

    epoch: int = 0
    step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    best: list[Array] = field(default_factory=list)
    loss_sum: float = 0.0
    epoch_seconds: float = 0.0
    deciding: str = "ndcg"

    @property
    def seconds(self) -> float:
        """Spent on all completed epochs, validation included."""
        return sum(row["seconds"] for row in self.curve)

    @property
    def best_epoch(self) -> int:
        """The epoch, counted from 1, that validated best; the first of equals."""
        return 1 + int(np.argmax([row[self.deciding] for row in self.curve]))


class Checkpoint:
    """Saves and restores everything a run depends on, in one file.

    Args:
      path: the .npz file.
      variables: what training changes: weights, the optimizer's variables, dropout's generators.
      identity: what the run was made from; a checkpoint of another run is refused.
    """

    def __init__(self, path: Path, variables: list[Any], identity: dict[str, Any]) -> None:
        self.path, self.variables = path, variables
        self.identity = json.loads(json.dumps(identity))

    def save(self, progress: Progress) -> None:
        """Writes the file, atomically."""
        scalars = {**vars(progress), "identity": self.identity}
        del scalars["best"]
        arrays = {f"variable/{i}": variable.numpy() for i, variable in enumerate(self.variables)}
        arrays |= {f"best/{i}": weight for i, weight in enumerate(progress.best)}
        arrays["progress"] = np.frombuffer(json.dumps(scalars).encode(), np.uint8)
        save_arrays(self.path, arrays)

    def restore(self) -> Progress:
        """Brings the variables back; a new Progress where there is no file.

        Raises:
          ValueError: if the file belongs to a run with other settings.
        """
        if not self.path.exists():
            return Progress()
        with np.load(self.path) as arrays:
            scalars = json.loads(arrays["progress"].tobytes())
            found = scalars.pop("identity")
            if found != self.identity:
                raise ValueError(
                    f"{self.path} belongs to a run with {found}, expected {self.identity}. "
                    "Choose another --out, or delete the file to start anew."
                )
            for index, variable in enumerate(self.variables):
                variable.assign(arrays[f"variable/{index}"])
            n_best = sum(key.startswith("best/") for key in arrays.files)
            best = [arrays[f"best/{index}"] for index in range(n_best)]
        return Progress(best=best, **scalars)
