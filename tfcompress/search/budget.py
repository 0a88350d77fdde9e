"""What a search may spend, and what it is after."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.outcomes import Costs
from tfcompress.search.front import added, area, staircase
from tfcompress.search.trial import Figures
from tfcompress.value import Value


@dataclass(frozen=True)
class Budget(Value):
    """Limits that hold, each of them or none.

    Args:
        bytes: of the file, at most.
        latency_us: microseconds of a call of the file, at most.
        parameters: at most, as `plan` counts them.
        multiply_adds: for one example, at most, as `plan` counts them.
        quality: on validation data, at least.

    Raises:
        SpecError: a limit that is no number, or not above 0 where it is one from above.

    Example:
        >>> Budget(bytes=1000, quality=0.9).excess(Figures(0.9, 1500, 3.0, 0, 0))
        {'bytes': 0.5}
    """

    bytes: int | None = None
    latency_us: float | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    quality: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is None:
                continue
            number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
            if not number or not math.isfinite(limit):
                raise SpecError(
                    f"Budget received {field.name}={limit!r}; expected a number or None."
                )
            if field.name != "quality" and limit <= 0:
                raise SpecError(f"Budget received {field.name}={limit}; expected more than 0.")

    def excess(self, figures: Figures) -> dict[str, float]:
        """By how much each limit is missed, as a share of it; a limit that holds is not there."""
        found = {}
        for name in ("bytes", "latency_us", "parameters", "multiply_adds"):
            value = getattr(figures, name)
            if value is not None:
                found[name] = _over(value, getattr(self, name))
        if self.quality is not None:
            found["quality"] = (self.quality - figures.quality) / (abs(self.quality) or 1.0)
        return {name: share for name, share in found.items() if not share <= 0.0}

    def out_of_reach(self, costs: Costs, graph: int) -> dict[str, float]:
        """The same before anything is trained: of what a plan says.

        Args:
            costs: of the plan.
            graph: bytes that the file takes besides weights, at least.
        """
        least = {
            "bytes": costs.least_bytes + graph,
            "parameters": costs.parameters,
            "multiply_adds": costs.multiply_adds,
        }
        found = {name: _over(value, getattr(self, name)) for name, value in least.items()}
        return {name: share for name, share in found.items() if share > 0.0}


def _over(value: float, limit: float | None) -> float:
    return 0.0 if limit is None else (value - limit) / limit


@dataclass(frozen=True)
class Objective(Value):
    """What is optimized inside the budget."""

    @abstractmethod
    def loss(self, figures: Figures, before: Figures) -> float:
        """How far a model is from it, the less the better.

        Args:
            figures: of the model.
            before: of the model as it was; its figure counts as 1, or as -1.
        """

    def gain(
        self, so_far: Sequence[Figures], budget: Budget, before: Figures
    ) -> Callable[[Figures], float]:
        """By how much a model would improve on those so far, as a function of its figures.

        Args:
            so_far: of the models that there are; at least one.
            budget: the limits.
            before: of the model as it was.
        """
        best = min(whole_loss(one, self, budget, before) for one in so_far)
        return lambda figures: max(0.0, best - whole_loss(figures, self, budget, before))


@dataclass(frozen=True)
class MaximizeQuality(Objective):
    """The best quality.

    Example:
        >>> MaximizeQuality().loss(Figures(0.4, 1, 1.0, 1, 1), Figures(0.5, 1, 1.0, 1, 1))
        -0.8
    """

    def loss(self, figures: Figures, before: Figures) -> float:
        """Its share of the quality before."""
        return -figures.quality / (abs(before.quality) or 1.0)


@dataclass(frozen=True)
class MinimizeBytes(Objective):
    """The smallest file; give a budget of quality with it.

    Example:
        >>> MinimizeBytes().loss(Figures(0.4, 250, 1.0, 1, 1), Figures(0.5, 1000, 1.0, 1, 1))
        0.25
    """

    def loss(self, figures: Figures, before: Figures) -> float:
        """Its share of the bytes before."""
        return figures.bytes / before.bytes


@dataclass(frozen=True)
class MinimizeLatency(Objective):
    """The fastest file; give a budget of quality with it.

    Example:
        >>> MinimizeLatency().loss(Figures(0.4, 1, 5.0, 1, 1), Figures(0.5, 1, 20.0, 1, 1))
        0.25
    """

    def loss(self, figures: Figures, before: Figures) -> float:
        """Its share of the time before; of the multiply-adds where there is no file to time."""
        if figures.latency_us is None or before.latency_us is None:
            return figures.multiply_adds / max(before.multiply_adds, 1)
        return figures.latency_us / before.latency_us


@dataclass(frozen=True)
class ImproveFront(Objective):
    """The front of quality and bytes: the area that its files cover together.

    A file covers all that is worse than it, from the quality `least` up and to the bytes of the
    model as it was, in their logarithm: twice as small is worth as much everywhere. It is the
    hypervolume of the front (Zitzler and Thiele, 1998). The best single file is the one that covers
    most by itself.

    Args:
        least: the quality from which on a file is worth something.

    Raises:
        SpecError: it is no number.

    Example:
        >>> before, half = Figures(0.9, 1000, 1.0, 1, 1), Figures(0.9, 500, 1.0, 1, 1)
        >>> gain = ImproveFront(least=0.5).gain([half], Budget(), before)
        >>> gain(half), round(gain(Figures(0.7, 250, 1.0, 1, 1)), 4)
        (0.0, 0.1386)
    """

    least: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.least, (int, float)) or not math.isfinite(self.least):
            raise SpecError(f"ImproveFront received least={self.least!r}; expected a number.")

    def loss(self, figures: Figures, before: Figures) -> float:
        """Less what it covers by itself, as a share of what one byte as good as before would."""
        most = math.log(max(before.bytes, 2)) * max(before.quality - self.least, 1e-9)
        return -area([self.point(figures, before)]) / most

    def point(self, figures: Figures, before: Figures) -> tuple[float, float]:
        """How far it is beyond the area's corner: in the logarithm of bytes, and in quality."""
        return math.log(before.bytes / figures.bytes), figures.quality - self.least

    def gain(
        self, so_far: Sequence[Figures], budget: Budget, before: Figures
    ) -> Callable[[Figures], float]:
        """What it would add to the area; nothing where it misses the budget."""
        known = [self.point(one, before) for one in so_far if not budget.excess(one)]
        covered = staircase(known)
        return lambda figures: (
            0.0 if budget.excess(figures) else added(covered, *self.point(figures, before))
        )


def whole_loss(
    figures: Figures, objective: Objective, budget: Budget, before: Figures, finished: bool = True
) -> float:
    """What an oracle minimizes: the objective, behind whether the budget holds.

    One that misses the budget, or did not finish, is worse by 2 and by how far it is out: worse
    than any that holds it where the objective is between -1 and 1, as it is of models that are no
    better, larger or slower than before (Deb, "An efficient constraint handling method for genetic
    algorithms", 2000).
    """
    excess = sum(budget.excess(figures).values())
    value = objective.loss(figures, before)
    return value + (2.0 + excess if excess > 0.0 or not finished else 0.0)


def limits_text(budget: Budget, missed: dict[str, float]) -> str:
    """Which limits are missed, and by how much, in words."""
    shown: list[Any] = [
        f"{name} of {getattr(budget, name):,} by {share:.0%}" for name, share in missed.items()
    ]
    return ", ".join(shown)
