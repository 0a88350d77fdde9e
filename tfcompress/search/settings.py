"""How a search is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.search.choosers import Bayesian, OracleChoice
from tfcompress.search.early import EarlyEnd, MedianRule
from tfcompress.search.trial import Trial


@dataclass(frozen=True)
class SearchSettings:
    """How a search is run.

    Args:
        directory: where everything is kept; the same call with the same directory goes on there.
        oracle: who chooses: `RandomDraws()`, `Bayesian(...)`, `ExpectedImprovement(...)` or
            `Hyperband(...)`.
        trials: how many, at most.
        hours: spent on trials, by all workers together, at most.
        seed: of the choice, and of each trial's training.
        early: when trials are ended early: `MedianRule(...)`, or `ToTheEnd()`.
        start: values by name to try first.
        redraws: how many specs are drawn anew for one trial, where they cannot meet the budget.
        lease: seconds without a sign of a worker, after which its trial is given to another one.
        patience: seconds that a worker waits for a chief that does not answer, before it gives up.
        on_trial: is told of each trial that ended.

    Raises:
        SpecError: a number out of range, or an oracle or early end that is none.

    Example:
        >>> SearchSettings("somewhere", trials=40).oracle
        Bayesian(initial=None, alpha=0.0001, beta=2.6)
    """

    directory: str | Path
    oracle: OracleChoice = field(default_factory=Bayesian)
    trials: int = 20
    hours: float | None = None
    seed: int = 1
    early: EarlyEnd = field(default_factory=MedianRule)
    start: Sequence[Mapping[str, Any]] = ()
    redraws: int = 500
    lease: float = 60.0
    patience: float = 300.0
    on_trial: Callable[[Trial], None] = lambda trial: None

    def __post_init__(self) -> None:
        for name in ("trials", "seed", "redraws"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SpecError(
                    f"SearchSettings received {name}={value!r}; expected a whole number from 1."
                )
        for name in ("hours", "lease", "patience"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SpecError(f"SearchSettings received {name}={value!r}; expected more than 0.")
        for name, kind in (("oracle", OracleChoice), ("early", EarlyEnd)):
            if not isinstance(getattr(self, name), kind):
                raise SpecError(
                    f"SearchSettings received {name}={getattr(self, name)!r}; expected a "
                    f"{kind.__name__}, see its help."
                )
