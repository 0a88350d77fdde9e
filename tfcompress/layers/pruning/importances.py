"""What a weight is worth: its magnitude, or that times what enters it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.value import Value

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Importance(Value):
    """What a weight is worth."""

    looks: ClassVar[bool]  # whether it asks for what was seen of a layer's inputs

    @abstractmethod
    def factors(self, inputs: Any) -> Array | None:
        """By what the magnitudes in each row count, float32 `[rows]`; None: all alike.

        Args:
            inputs: what the layer saw (`calibration.Inputs`), or None.
        """


@dataclass(frozen=True)
class Magnitude(Importance):
    """A weight's magnitude (Han et al., "Learning both Weights and Connections", 2015).

    Example:
        >>> from tfcompress import Prune
        >>> Prune(0.5).importance
        Magnitude()
    """

    looks = False

    def factors(self, inputs: Any) -> None:
        """Every row counts alike."""
        return


@dataclass(frozen=True)
class Activation(Importance):
    """A weight's magnitude times the power of the activation that enters it: `|w| * rms(a)**power`.

    With power 1 it is what Wanda ranks by (Sun et al., "A Simple and Effective Pruning Approach for
    Large Language Models", 2023); there together with `PerOutput()`. For a table, where a row is
    entered by its id or not, the mean square is the share of look-ups that are of the id.
    Activations are those of a calibration: `plan` and `apply` want
    `calibration=calibrate(model, batches)`.

    Args:
        power: of the root mean square; above 0.
        smoothing: mean square that every input counts with besides what was seen, as a multiple
            of the mean; not below 0.

    Raises:
        SpecError: a field out of range; and in `plan`, where no calibration is given.

    Example:
        >>> Activation(power=1.0).power
        1.0
    """

    power: float = 2.0
    smoothing: float = 0.001
    looks = True

    def __post_init__(self) -> None:
        if not (0 < self.power < float("inf") and 0 <= self.smoothing < float("inf")):
            raise SpecError(
                f"Activation received power={self.power} and smoothing={self.smoothing}; expected "
                "power > 0 and smoothing >= 0, both finite."
            )

    def factors(self, inputs: Any) -> Array:
        """`rms ** power` of each input, the largest scaled to 1."""
        squares = inputs.mean_squares()
        squares = squares + self.smoothing * squares.mean()
        largest = max(float(squares.max()), 1e-300)
        return np.asarray((squares / largest) ** (self.power / 2), np.float32)
