"""What the factors of a rank make the smallest: the error of weights, or of outputs."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.calibration import Inputs
from tfcompress.errors import SpecError
from tfcompress.measure import LayerForm
from tfcompress.techniques.factorize.decompose import projected, spectrum, truncated_svd
from tfcompress.value import Value

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Error(Value):
    """What the factors of a rank make the smallest."""

    @abstractmethod
    def spectrum(self, matrix: Array, inputs: Inputs | None) -> tuple[Array, Array]:
        """Directions `[columns, n]` to project on, and how much each is worth `[n]`, rooted."""

    @abstractmethod
    def factors(self, matrix: Array, rank: int, inputs: Inputs | None) -> tuple[Array, Array]:
        """The best `[rows, rank]` and `[rank, columns]`."""

    def why_not(self, form: LayerForm) -> str | None:
        """Why the error cannot be told for this layer, or None."""
        return None


@dataclass(frozen=True)
class WeightError(Error):
    """The squared error of the weights: a truncated SVD (Eckart and Young, 1936).

    Example:
        >>> from tfcompress import Factorize
        >>> Factorize(rank=16).error
        WeightError()
    """

    def spectrum(self, matrix: Array, inputs: Inputs | None) -> tuple[Array, Array]:
        """The singular value decomposition."""
        return spectrum(matrix)

    def factors(self, matrix: Array, rank: int, inputs: Inputs | None) -> tuple[Array, Array]:
        """The truncated SVD."""
        return truncated_svd(matrix, rank)


@dataclass(frozen=True)
class OutputError(Error):
    """The squared error of a layer's outputs on the inputs that were recorded with `calibrate`.

    Chen et al., "DRONE: Data-aware Low-rank Compression for Large NLP Models" (2021); for tables,
    whose rows weigh as much as they are looked up, Chen et al., "GroupReduce" (2018). The weights
    are projected on the principal directions of the outputs, which is the best of its rank and
    needs no inverse, so that directions and ids that were never seen are approximated as well.

    Args:
        smoothing: weight that every direction of the inputs, or every id, gets besides what was
            seen of it, as a multiple of the mean; not below 0.

    Raises:
        SpecError: a smoothing below 0; and in `plan`, where no calibration is given.

    Example:
        >>> OutputError(smoothing=0.0).smoothing
        0.0
    """

    smoothing: float = 0.001

    def __post_init__(self) -> None:
        if self.smoothing < 0:
            raise SpecError(f"OutputError received smoothing={self.smoothing}; expected 0 or more.")

    def spectrum(self, matrix: Array, inputs: Inputs | None) -> tuple[Array, Array]:
        """Principal directions and root energies of the outputs."""
        if inputs is None:
            raise SpecError("OutputError received no inputs; expected what the layer saw.")
        return spectrum(inputs.weighed(matrix, self.smoothing))

    def factors(self, matrix: Array, rank: int, inputs: Inputs | None) -> tuple[Array, Array]:
        """The weights projected on the principal directions of the outputs."""
        return projected(matrix, self.spectrum(matrix, inputs)[0][:, :rank])

    def why_not(self, form: LayerForm) -> str | None:
        """Nothing was seen of it.

        Raises:
            SpecError: it was not even looked at.
        """
        if form.inputs is None:
            raise SpecError(
                f"Factorize received {self!r} for the layer {form.path!r}, and no calibration of "
                "it; expected what the layer sees. Call plan and apply with "
                "calibration=tfcompress.calibrate(model, batches)."
            )
        if form.inputs.count == 0:
            return "it was not called in the calibration, so that its outputs are not known"
        return None
