"""Observers: which range an activation is held in, given what was seen of it so far."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.layers.ranges import percentiles
from tfcompress.value import Value

Ends = tuple[Any, Any]


@dataclass(frozen=True)
class Observer(Value):
    """How the ends of a range follow from batches of values."""

    def ends(self, values: Any) -> Ends:
        """Both ends `[]` of one batch of float32 values; by default the least and the largest."""
        return tf.reduce_min(values), tf.reduce_max(values)

    @abstractmethod
    def moved(self, before: Ends, new: Ends) -> Ends:
        """Both ends after a further batch; the first batch's ends are taken as they are."""


@dataclass(frozen=True)
class MovingAverage(Observer):
    """The ends are exponential moving averages of each batch's least and largest value.

    Jacob et al. (2018), section 3.1; TF-MOT's default.

    Args:
        momentum: what remains of the average at each batch, from 0 to below 1.

    Raises:
        SpecError: a momentum out of range.

    Example:
        >>> MovingAverage(momentum=0.75).moved((0.0, 4.0), (-4.0, 8.0))
        (-1.0, 5.0)
    """

    momentum: float = 0.99

    def __post_init__(self) -> None:
        _check_momentum(self)

    def moved(self, before: Ends, new: Ends) -> Ends:
        """The average of what was and what is new."""
        return _averaged(self.momentum, before, new)


@dataclass(frozen=True)
class MinMax(Observer):
    """The ends are the least and the largest value that was ever seen.

    Example:
        >>> import tensorflow as tf
        >>> low, high = MinMax().moved((0.0, 4.0), (-4.0, 3.0))
        >>> float(low), float(high)
        (-4.0, 4.0)
    """

    def moved(self, before: Ends, new: Ends) -> Ends:
        """The wider end on either side."""
        return tf.minimum(before[0], new[0]), tf.maximum(before[1], new[1])


@dataclass(frozen=True)
class Percentile(Observer):
    """The ends leave out the outermost values; what lies beyond is clipped.

    They are moving averages of two percentiles of each batch. Each batch is sorted for it.

    Args:
        percent: share of the values, in per cent, up to each end; above 50, at most 100.
        momentum: what remains of the average at each batch, from 0 to below 1.

    Raises:
        SpecError: a field out of range.

    Example:
        >>> import tensorflow as tf
        >>> low, high = Percentile(99.0).ends(tf.range(101.0))
        >>> float(low), float(high)
        (1.0, 99.0)
    """

    percent: float = 99.9
    momentum: float = 0.99

    def __post_init__(self) -> None:
        if not 50.0 < self.percent <= 100.0:
            raise SpecError(
                f"Percentile received percent={self.percent!r}; expected above 50, at most 100."
            )
        _check_momentum(self)

    def ends(self, values: Any) -> Ends:
        """The two percentiles of a batch."""
        return percentiles(values, self.percent)

    def moved(self, before: Ends, new: Ends) -> Ends:
        """The average of what was and what is new."""
        return _averaged(self.momentum, before, new)


def _check_momentum(observer: Any) -> None:
    if not 0.0 <= observer.momentum < 1.0:
        raise SpecError(
            f"{type(observer).__name__} received momentum={observer.momentum!r}; expected at "
            "least 0 and below 1."
        )


def _averaged(momentum: float, before: Ends, new: Ends) -> Ends:
    low, high = (momentum * b + (1.0 - momentum) * n for b, n in zip(before, new, strict=True))
    return low, high
