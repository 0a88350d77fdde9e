"""Who chooses what is tried next: KerasTuner's oracles, as values."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from tfcompress.errors import SpecError
from tfcompress.value import Value


@dataclass(frozen=True)
class OracleChoice(Value):
    """Base of what chooses.

    Attributes:
        continues: whether it gives a student more parts of training later, so that its weights
            have to be kept.
    """

    continues: ClassVar[bool] = False

    @abstractmethod
    def build(self, known: Any, trials: int, parts: int, seed: int) -> Any:
        """KerasTuner's oracle, which draws only what `known` allows."""


@dataclass(frozen=True)
class RandomDraws(OracleChoice):
    """Every value at random.

    Example:
        >>> RandomDraws()
        RandomDraws()
    """

    def build(self, known: Any, trials: int, parts: int, seed: int) -> Any:
        """KerasTuner's random search."""
        from tfcompress.search import oracles

        return oracles.RandomOracle(known, trials, seed)


@dataclass(frozen=True)
class Bayesian(OracleChoice):
    """A Gaussian process over the trials so far.

    Args:
        initial: how many are drawn at random first; by default three for each open value.
        alpha: noise that is expected, as KerasTuner has it.
        beta: how much the unknown is worth, as KerasTuner has it.

    Raises:
        SpecError: a number out of range.

    Example:
        >>> Bayesian(initial=10).initial
        10
    """

    initial: int | None = None
    alpha: float = 1e-4
    beta: float = 2.6

    def __post_init__(self) -> None:
        if (self.initial is not None and self.initial < 1) or self.alpha <= 0 or self.beta < 0:
            raise SpecError(f"Received {self!r}; expected initial from 1, alpha > 0, beta >= 0.")

    def build(self, known: Any, trials: int, parts: int, seed: int) -> Any:
        """KerasTuner's Bayesian optimization."""
        from tfcompress.search import oracles

        return oracles.BayesianOracle(known, trials, seed, self)


@dataclass(frozen=True)
class Hyperband(OracleChoice):
    """Many students for one part of training, the best of them for more (Li et al., 2018).

    Args:
        factor: one of so many goes on, for so many times as long.
        iterations: how often the whole is done.

    Raises:
        SpecError: a factor below 2, or iterations below 1.

    Example:
        >>> Hyperband(factor=3).continues
        True
    """

    continues: ClassVar[bool] = True

    factor: int = 3
    iterations: int = 1

    def __post_init__(self) -> None:
        if self.factor < 2 or self.iterations < 1:
            raise SpecError(f"Received {self!r}; expected factor from 2 and iterations from 1.")

    def build(self, known: Any, trials: int, parts: int, seed: int) -> Any:
        """KerasTuner's Hyperband, over parts of training."""
        from tfcompress.search import oracles

        return oracles.HyperbandOracle(known, trials, seed, self, parts)
