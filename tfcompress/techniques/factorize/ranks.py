"""How a rank is chosen for a matrix."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.techniques.factorize.decompose import spectrum
from tfcompress.value import Value

Array = np.ndarray[Any, Any]
Spectrum = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Rank(Value):
    """How a rank is chosen for a matrix."""

    @abstractmethod
    def of(self, matrix: Array, spectrum: Spectrum = spectrum) -> int:
        """The rank for this matrix, whose singular values `spectrum` gives."""


@dataclass(frozen=True)
class Fraction(Rank):
    """A share of the full rank, rounded up.

    Raises:
        SpecError: not in (0, 1].

    Example:
        >>> import numpy as np
        >>> Fraction(0.25).of(np.ones((16, 8)))
        2
    """

    share: float

    def __post_init__(self) -> None:
        check_share("Fraction", self.share)

    def of(self, matrix: Array, spectrum: Spectrum = spectrum) -> int:
        """That share of the smaller side."""
        return math.ceil(self.share * min(matrix.shape))


@dataclass(frozen=True)
class KeptEnergy(Rank):
    """The smallest rank that keeps this share of the sum of squared singular values.

    Raises:
        SpecError: not in (0, 1].

    Example:
        >>> import numpy as np
        >>> KeptEnergy(0.8).of(np.diag([3.0, 1.0, 0.1]))
        1
    """

    share: float

    def __post_init__(self) -> None:
        check_share("KeptEnergy", self.share)

    def of(self, matrix: Array, spectrum: Spectrum = spectrum) -> int:
        """The rank at which the cumulated energy reaches the share."""
        kept = kept_energy(spectrum(matrix)[1])
        # A share of 1 must not be missed for the last bits of a floating-point sum.
        return min(int(np.searchsorted(kept, self.share - 1e-12)) + 1, len(kept))


def kept_energy(singular: Array) -> Array:
    """For each rank from 1, the share of the squared singular values that it keeps."""
    energy = np.square(singular)
    return np.cumsum(energy) / max(float(energy.sum()), 1e-300)


def check_share(name: str, share: float) -> None:
    """Refuses what is no share."""
    if not 0 < share <= 1:
        raise SpecError(f"{name} received {share}; expected a share in (0, 1].")
