"""Settings that change while training: a number for every training step, computed in the graph."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.value import Value


def progress(step: Any, begin: int, steps: int) -> Any:
    """How much of `steps` steps after `begin` is over at a step: a float32 scalar, 0 to 1."""
    done = (tf.cast(step, tf.float32) - float(begin)) / float(steps)
    return tf.clip_by_value(done, 0.0, 1.0)


@dataclass(frozen=True)
class Ramp(Value):
    """A number that depends on the training step; stands where a plain number may stand."""

    @abstractmethod
    def at(self, step: Any) -> Any:
        """The number at a training step (an integer scalar, from 0): a float32 scalar."""

    @property
    @abstractmethod
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest number of all steps."""


Setting = float | Ramp


@dataclass(frozen=True)
class _Between(Ramp):
    """From `start` to `end`, constant before and after."""

    start: float
    end: float
    steps: int
    begin: int = 0

    def __post_init__(self) -> None:
        _check_ends(self)

    @property
    def extremes(self) -> tuple[float, float]:
        """The smaller and the larger end."""
        return min(self.start, self.end), max(self.start, self.end)


@dataclass(frozen=True)
class LinearRamp(_Between):
    """From `start` to `end` in a straight line, constant before and after.

    Args:
        start: the number up to the training step `begin`.
        end: the number from the training step `begin + steps` on.
        steps: training steps from one to the other, at least 1.
        begin: training step at which it starts to move, counted from 0.

    Raises:
        SpecError: a number that is not finite, or steps out of range.

    Example:
        >>> float(LinearRamp(0.0, 1.0, steps=4).at(1))
        0.25
    """

    def at(self, step: Any) -> Any:
        """The number at a training step: a float32 scalar."""
        return self.start + (self.end - self.start) * progress(step, self.begin, self.steps)


@dataclass(frozen=True)
class CosineRamp(_Between):
    """From `start` to `end` along half a wave of the cosine: slow, fast, slow.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017).

    Args:
        start: the number up to the training step `begin`.
        end: the number from the training step `begin + steps` on.
        steps: training steps from one to the other, at least 1.
        begin: training step at which it starts to move, counted from 0.

    Raises:
        SpecError: a number that is not finite, or steps out of range.

    Example:
        >>> round(float(CosineRamp(4.0, 1.0, steps=100).at(50)), 3)
        2.5
    """

    def at(self, step: Any) -> Any:
        """The number at a training step: a float32 scalar."""
        share = (1.0 - tf.cos(math.pi * progress(step, self.begin, self.steps))) / 2.0
        return self.start + (self.end - self.start) * share


@dataclass(frozen=True)
class PiecewiseConstant(Ramp):
    """`values[0]` first, and `values[i]` from the training step `boundaries[i - 1]` on.

    Args:
        boundaries: training steps at which the number changes, from 1, each above the one before.
        values: the numbers, one more than there are boundaries.

    Raises:
        SpecError: boundaries out of order, a wrong count of values, a number that is not finite.

    Example:
        >>> ramp = PiecewiseConstant(boundaries=(100,), values=(1.0, 0.5))
        >>> [float(ramp.at(step)) for step in (99, 100)]
        [1.0, 0.5]
    """

    boundaries: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "boundaries", tuple(self.boundaries))
        object.__setattr__(self, "values", tuple(self.values))
        if not self.boundaries or len(self.values) != len(self.boundaries) + 1:
            raise SpecError(
                f"PiecewiseConstant received {len(self.boundaries)} boundaries and "
                f"{len(self.values)} values; expected at least one boundary, and one value more."
            )
        steps = (0, *self.boundaries)
        if not all(_is_count(a) and _is_count(b) and a < b for a, b in zip(steps, steps[1:])):  # noqa: RUF007, B905
            raise SpecError(
                f"PiecewiseConstant received boundaries={self.boundaries}; expected whole training "
                "steps from 1, each above the one before."
            )
        for value in self.values:
            _check_finite(self, "values", value)

    def at(self, step: Any) -> Any:
        """The number at a training step: a float32 scalar."""
        passed = tf.constant(self.boundaries, tf.int64) <= tf.cast(step, tf.int64)
        place = tf.reduce_sum(tf.cast(passed, tf.int32))
        return tf.gather(tf.constant(self.values, tf.float32), place)

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest of the values."""
        return min(self.values), max(self.values)


def at(setting: Setting, step: Any) -> Any:
    """The number that a setting is at a training step."""
    return setting.at(step) if isinstance(setting, Ramp) else setting


def check_temperature(owner: str, setting: Any) -> None:
    """Raises SpecError unless a temperature is above 0 at every step."""
    if not (_extremes(owner, "temperature", setting)[0] > 0.0):
        raise SpecError(f"{owner} received temperature={setting}; expected above 0.")


def check_weight(owner: str, setting: Any) -> None:
    """Raises SpecError unless a weight is from 0 to 1 at every step."""
    lowest, highest = _extremes(owner, "weight", setting)
    if not (lowest >= 0.0 and highest <= 1.0):
        raise SpecError(f"{owner} received weight={setting}; expected 0 <= weight <= 1.")


def _extremes(owner: str, name: str, setting: Any) -> tuple[float, float]:
    if isinstance(setting, Ramp):
        return setting.extremes
    if isinstance(setting, bool) or not isinstance(setting, (int, float)):
        raise SpecError(
            f"{owner} received {name}={setting!r}; expected a number, or a number for every "
            "training step: LinearRamp(...), CosineRamp(...) or PiecewiseConstant(...)."
        )
    return setting, setting


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_ends(ramp: _Between) -> None:
    for name in ("start", "end"):
        _check_finite(ramp, name, getattr(ramp, name))
    counts = _is_count(ramp.steps) and _is_count(ramp.begin)
    if not counts or ramp.steps < 1 or ramp.begin < 0:
        raise SpecError(
            f"{type(ramp).__name__} received steps={ramp.steps} and begin={ramp.begin}; expected "
            "whole training steps, steps >= 1 and begin >= 0."
        )


def _check_finite(ramp: Ramp, name: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise SpecError(f"{type(ramp).__name__} received {name}={value!r}; expected a number.")
