"""Who chooses what is tried next: KerasTuner's oracles, as values."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from tfcompress.errors import SpecError
from tfcompress.search.harms import Harms
from tfcompress.sensitivity import Sensitivity
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
class ExpectedImprovement(OracleChoice):
    """What is expected to improve most on the trials so far, by the objective.

    Bytes are known before, quality is guessed: by what a sensitivity says that the techniques of a
    spec harm, corrected by a Gaussian process over the trials so far. With `ImproveFront()` it is
    the expected improvement of the hypervolume (Emmerich et al., 2006) where one figure is known
    (Olofsson et al., "Bayesian Multi-Objective Optimisation With Mixed Analytical and Black-Box
    Functions", 2019). The first trials are spread over the front that the sensitivity foretells, or
    drawn at random where there is none.

    Args:
        prior: a sensitivity of the model, with every technique of the space in every layer that it
            is for; strengths between those measured are interpolated.
        initial: how many trials are made before the process is asked.
        drawn: how many specs are drawn to choose among, all planned before the first trial.

    Raises:
        SpecError: a number out of range, or a prior that is no sensitivity.

    Example:
        >>> ExpectedImprovement(initial=8)
        ExpectedImprovement(prior=None, initial=8, drawn=128)
    """

    prior: Sensitivity | None = None
    initial: int = 6
    drawn: int = 128

    def __post_init__(self) -> None:
        for name in ("initial", "drawn"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 2:
                raise SpecError(
                    f"ExpectedImprovement received {name}={value!r}; expected a whole number from "
                    "2."
                )
        if self.prior is not None and not isinstance(self.prior, Sensitivity):
            raise SpecError(
                f"ExpectedImprovement received prior={self.prior!r}; expected what "
                "tfcompress.sensitivity(model, data) returned, or None."
            )

    def build(self, known: Any, trials: int, parts: int, seed: int) -> Any:
        """An oracle of our own, on KerasTuner's.

        Raises:
            SearchError: the prior does not know a technique of the space in a layer it is for.
        """
        from tfcompress.search import improving

        known.prior = None if self.prior is None else Harms(self.prior)
        known.prospect(known.space.default())
        return improving.ImprovementOracle(known, trials, seed, self)


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
