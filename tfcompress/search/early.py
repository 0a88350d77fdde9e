"""When a trial is ended before its training is."""

from __future__ import annotations

import statistics
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from tfcompress.errors import SpecError
from tfcompress.value import Value


@dataclass(frozen=True)
class Standing:
    """How a trial stands after a part of its training.

    Attributes:
        loss: what the oracle would minimize; the less the better.
        quality: on validation data.
        bytes: as its plan says.
    """

    loss: float
    quality: float
    bytes: int


@dataclass(frozen=True)
class EarlyEnd(Value):
    """Whether a trial goes on."""

    @abstractmethod
    def ends(self, part: int, own: Standing, others: Sequence[Standing]) -> bool:
        """Whether to end it behind this part (from 1), where the others stood as said."""


@dataclass(frozen=True)
class ToTheEnd(EarlyEnd):
    """No trial is ended early.

    Example:
        >>> ToTheEnd().ends(1, Standing(9.0, 0.0, 1), [Standing(0.0, 1.0, 1)] * 9)
        False
    """

    def ends(self, part: int, own: Standing, others: Sequence[Standing]) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class MedianRule(EarlyEnd):
    """Ends a trial that stands worse than the median of the others did behind the same part.

    Golovin et al., "Google Vizier: A Service for Black-Box Optimization" (2017). One that is on the
    front of quality and bytes so far goes on all the same.

    Args:
        least: how many others there have to be.
        after: from which part on.

    Raises:
        SpecError: one of them is not a whole number from 1.

    Example:
        >>> others = [Standing(-0.9, 0.9, 100), Standing(-0.8, 0.8, 50), Standing(-0.7, 0.7, 90)]
        >>> rule = MedianRule(least=3)
        >>> [rule.ends(1, Standing(-0.7, 0.7, size), others) for size in (60, 40)]
        [True, False]
    """

    least: int = 5
    after: int = 1

    def __post_init__(self) -> None:
        for name in ("least", "after"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SpecError(
                    f"MedianRule received {name}={value!r}; expected a whole number from 1."
                )

    def ends(self, part: int, own: Standing, others: Sequence[Standing]) -> bool:
        """Whether it is worse than the median, and beaten by one of the others."""
        if part < self.after or len(others) < self.least:
            return False
        beaten = any(other.quality >= own.quality and other.bytes <= own.bytes for other in others)
        return beaten and own.loss > statistics.median(other.loss for other in others)
