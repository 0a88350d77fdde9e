"""When a mask moves: TF-MOT's schedules, their settings checked before they can do harm.

TF-MOT accepts a PolynomialDecay that ends where it begins, and then divides by zero; one whose last
move comes before its end, and then never reaches the sparsity asked for; and a ConstantSparsity
that ends before it begins, and never prunes. All are refused here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from tfcompress.errors import SpecError
from tfcompress.keras import tfmot
from tfcompress.value import Value

Decider = Callable[[Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Schedule(Value):
    """When and how far to prune."""

    follows: ClassVar[bool] = False  # whether it is told from outside when to move

    @abstractmethod
    def decider(self, sparsity: float) -> Decider | None:
        """From a step to (whether the mask moves now, sparsity now); None: it never moves again."""


@dataclass(frozen=True)
class Once(Schedule):
    """Prune where the spec is applied, and keep that mask.

    Example:
        >>> Once().decider(0.5) is None
        True
    """

    def decider(self, sparsity: float) -> Decider | None:
        """None: the mask never moves again."""
        return None


@dataclass(frozen=True)
class ConstantSparsity(Schedule):
    """The full sparsity from `begin_step` on; the mask moves every `frequency` training steps.

    Args:
        begin_step: first training step at which to prune, counted from 0.
        end_step: last one; -1 for no end.
        frequency: training steps between two moves of the mask.

    Raises:
        SpecError: steps out of order, or a frequency below 1.

    Example:
        >>> ConstantSparsity(begin_step=0, frequency=100).end_step
        -1
    """

    begin_step: int = 0
    end_step: int = -1
    frequency: int = 100

    def __post_init__(self) -> None:
        _check_steps(self, ends=self.end_step != -1)

    def decider(self, sparsity: float) -> Decider:
        """TF-MOT's schedule of the same name."""
        sparsity_schedule = tfmot.sparsity.keras.ConstantSparsity(
            sparsity, self.begin_step, self.end_step, self.frequency
        )
        return lambda step: sparsity_schedule(step)


@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """Sparsity grows from `initial_sparsity` to the technique's own between two training steps.

    Zhu and Gupta, "To prune, or not to prune" (2017): power 3.

    Args:
        end_step: training step at which the full sparsity is reached.
        begin_step: first training step at which to prune, counted from 0.
        initial_sparsity: share of zeros at `begin_step`.
        power: exponent of the decay.
        frequency: training steps between two moves of the mask.

    Raises:
        SpecError: steps out of order or equal, a number of steps that `frequency` does not divide,
            a sparsity outside [0, 1), a power not above 0.

    Example:
        >>> PolynomialDecay(end_step=1000).power
        3.0
    """

    end_step: int
    begin_step: int = 0
    initial_sparsity: float = 0.0
    power: float = 3.0
    frequency: int = 100

    def __post_init__(self) -> None:
        _check_steps(self, ends=True)
        if not 0.0 <= self.initial_sparsity < 1.0:
            raise SpecError(
                f"PolynomialDecay received initial_sparsity={self.initial_sparsity}; "
                "expected 0 <= initial_sparsity < 1."
            )
        if (self.end_step - self.begin_step) % self.frequency:
            raise SpecError(
                f"PolynomialDecay received frequency={self.frequency} for the steps from "
                f"{self.begin_step} to {self.end_step}; expected a divisor of their number, or the "
                "last move of the mask comes before end_step, and the full sparsity is never "
                "reached."
            )
        if self.power <= 0:
            raise SpecError(f"PolynomialDecay received power={self.power}; expected power > 0.")

    def decider(self, sparsity: float) -> Decider:
        """TF-MOT's schedule of the same name."""
        sparsity_schedule = tfmot.sparsity.keras.PolynomialDecay(
            self.initial_sparsity, sparsity, self.begin_step, self.end_step, self.power,
            self.frequency,
        )  # fmt: skip
        return lambda step: sparsity_schedule(step)


@dataclass(frozen=True)
class Followed(Schedule):
    """Sparsity follows a validation metric: `DynamicPruning`, a callback of `fit`, moves the mask.

    The layer starts dense; the technique's own sparsity is the most that it gets. Training without
    the callback, while nothing is pruned yet, is an error.

    Example:
        >>> from tfcompress import Prune
        >>> Prune(0.95, schedule=Followed()).schedule
        Followed()
    """

    follows = True

    def decider(self, sparsity: float) -> Decider:
        """Never by itself."""
        return lambda step: (step < 0, 0.0)


def _check_steps(schedule: ConstantSparsity | PolynomialDecay, ends: bool) -> None:
    name = type(schedule).__name__
    if schedule.begin_step < 0 or schedule.frequency < 1:
        raise SpecError(
            f"{name} received begin_step={schedule.begin_step}, frequency={schedule.frequency}; "
            "expected begin_step >= 0 and frequency >= 1."
        )
    if ends and schedule.end_step <= schedule.begin_step:
        raise SpecError(
            f"{name} received end_step={schedule.end_step} and begin_step={schedule.begin_step}; "
            "expected end_step > begin_step."
        )
