"""Open numbers."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from tfcompress.errors import SpecError
from tfcompress.tune.kind import Kind, given_for
from tfcompress.tune.names import Chooser, Names


@dataclass(frozen=True)
class _Number(Kind):
    """A number between bounds; see `Int` and `Float`, which say what kind of number."""

    low: Any
    high: Any
    step: Any = None
    log: bool = False
    default: Any = None
    name: str | None = None

    _kinds: ClassVar[tuple[type, ...]]
    _called: ClassVar[str]

    def __post_init__(self) -> None:
        step, log, default = self.step, self.log, self.default
        given = [v for v in (self.low, self.high, step, default) if v is not None]
        if any(isinstance(v, bool) or not isinstance(v, self._kinds) for v in given):
            raise SpecError(f"{self!r}: expected {self._called} for its bounds, step and default.")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise SpecError(f"{self!r}: expected low < high; a single value is written as it is.")
        if log and (self.low <= 0 or step is not None):
            raise SpecError(f"{self!r}: expected low above 0 and no step with log=True.")
        if step is not None and not 0 < step <= self.high - self.low:
            raise SpecError(f"{self!r}: expected a step above 0 that fits between the bounds.")
        if default is not None and not self.low <= default <= self.high:
            raise SpecError(f"{self!r}: expected a default between the bounds.")

    def keys(self) -> tuple[Any, ...]:
        """The bounds."""
        return self.ends()

    def ends(self) -> tuple[Any, ...]:
        """The bounds; with a step, the last value that it reaches."""
        if self.step is None:
            return (self.low, self.high)
        count = math.floor((self.high - self.low) / self.step + 1e-9)
        return (self.low, self._read(self.low + count * self.step))

    def tries(self) -> tuple[Any, ...]:
        """The bounds and their neighbours, and some between: costs may jump (4 bits, odd ranks)."""
        low, high = self.ends()
        step = self.step or (1 if isinstance(low, int) else (high - low) / 8)
        count = math.floor((high - low) / step + 1e-9)
        places = {0, 1, count - 1, count} | {round(count * k / 4) for k in range(5)}
        inner = (self._read(low + step * place) for place in sorted(places) if 0 <= place <= count)
        return tuple(dict.fromkeys([low, *inner, high]))

    def default_value(self) -> Any:
        """The default, or the lower bound."""
        return self.low if self.default is None else self.default

    @abstractmethod
    def _read(self, value: Any) -> Any:
        """A number that was given by name, as one of these."""

    def chooser(self, name: str, names: Names) -> Chooser:
        """Reads the number under its name, and holds it to the bounds."""
        known = names.add(name, self)

        def choose(values: Any) -> Any:
            given = given_for(values, known)
            slack = 1e-6 * (abs(self.low) + abs(self.high))  # what 32 bits round
            if not self.low - slack <= given <= self.high + slack:
                raise SpecError(f"Received {known} = {given!r}; expected a value of {self!r}.")
            return self._read(given)

        return choose

    def draw(self, random: Any) -> Any:
        """Evenly between the bounds, or between their logarithms."""
        step, low, high = self.step, self.low, self.ends()[1]
        if step is not None:
            return self._read(low + step * random.randint(0, round((high - low) / step)))
        if self.log:
            return self._read(low * (high / low) ** random.random())
        return self._read(random.uniform(low, high))

    def _declared(self) -> dict[str, Any]:
        bounds = {"min_value": self.low, "max_value": self.high, "default": self.default_value()}
        step = {} if self.step is None else {"step": self.step}
        return {**bounds, "sampling": "log" if self.log else "linear", **step}


@dataclass(frozen=True)
class Int(_Number):
    """A whole number, both bounds included.

    Args:
        low, high: the bounds.
        step: the distance between two values.
        log: drawn evenly in its logarithm.
        default: by default `low`.
        name: what it is known by; under one name it is the same wherever it stands.

    Raises:
        SpecError: bounds, step or default that do not fit each other.

    Example:
        >>> import tfcompress as tfc
        >>> tfc.Factorize(rank=tfc.tune.Int(8, 64, log=True))
        Template(Factorize, rank=Int(low=8, high=64, step=None, log=True, default=None, name=None))
    """

    low: int
    high: int
    step: int | None = None
    default: int | None = None

    _kinds: ClassVar[tuple[type, ...]] = (int,)
    _called: ClassVar[str] = "whole numbers"

    def _read(self, value: Any) -> int:
        return round(value)

    def declare(self, hp: Any, name: str) -> None:
        """As `hp.Int`."""
        hp.Int(name, **self._declared())


@dataclass(frozen=True)
class Float(_Number):
    """A number, both bounds included, in six digits.

    Args:
        low, high: the bounds.
        step: the distance between two values.
        log: drawn evenly in its logarithm.
        default: by default `low`.
        name: what it is known by; under one name it is the same wherever it stands.

    Raises:
        SpecError: bounds, step or default that do not fit each other.

    Example:
        >>> import tfcompress as tfc
        >>> tfc.Prune(sparsity=tfc.tune.Float(0.5, 1.0))
        Traceback (most recent call last):
        tfcompress.errors.SpecError: Prune received sparsity=1.0; expected 0 <= sparsity < 1, or \
        Absolute(theta), OfMax(alpha) or OfMean(k). A layer without any weights is better removed.
    """

    low: float
    high: float
    step: float | None = None
    default: float | None = None

    _kinds: ClassVar[tuple[type, ...]] = (int, float)
    _called: ClassVar[str] = "numbers"

    def _read(self, value: Any) -> float:
        # KerasTuner's workers get numbers in 32 bits: in six digits they are those of the chief.
        return min(max(float(f"{value:.6g}"), self.low), self.high)

    def declare(self, hp: Any, name: str) -> None:
        """As `hp.Float`."""
        hp.Float(name, **self._declared())
