"""KerasTuner's oracles over a space; see `keeping` for what is added to them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras_tuner as kt
import numpy as np

from tfcompress.search.choosers import Bayesian, Hyperband
from tfcompress.search.keeping import LOSS, Keeping
from tfcompress.search.known import Known

_DRAWN, _BEST, _NEAR = 384, 8, 16  # candidates: at random, and neighbours of the best trials


def common(known: Known, trials: int, seed: int) -> dict[str, Any]:
    """What each of KerasTuner's oracles takes."""
    hp = kt.HyperParameters()
    known.space.declare(hp)
    return {
        "objective": kt.Objective(LOSS, "min"),
        "hyperparameters": hp,
        "seed": seed,
        "max_consecutive_failed_trials": trials + 1,  # however many fail, the search goes on
    }


class RandomOracle(Keeping, kt.oracles.RandomSearchOracle):  # type: ignore[misc]
    """Random search."""

    def __init__(self, known: Known, trials: int, seed: int) -> None:
        super().__init__(max_trials=trials, **common(known, trials, seed))


class HyperbandOracle(Keeping, kt.oracles.HyperbandOracle):  # type: ignore[misc]
    """Hyperband over parts of training."""

    def __init__(self, known: Known, trials: int, seed: int, how: Hyperband, parts: int) -> None:
        super().__init__(
            max_epochs=parts,
            factor=how.factor,
            hyperband_iterations=how.iterations,
            **common(known, trials, seed),
        )
        self.max_trials = trials


class _Gaussian(kt.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    """KerasTuner's Gaussian process, asked about candidates that can be taken.

    KerasTuner looks for the best point of a continuous space, which is then rounded to one that may
    have been tried, or that cannot meet the budget. Here it chooses among many that are drawn, and
    among neighbours of the best trials.
    """

    known: Known
    rejected: int
    fits: Callable[[dict[str, Any]], bool]

    def populate_space(self, trial_id: str) -> Any:
        """The best candidate that can meet the budget and is new."""
        done = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        initial = self.num_initial_points or max(3 * len(self.hyperparameters.space), 3)
        if len(done) < initial:
            return self._random_populate_space()
        points, losses = self._vectorize_trials()
        with warnings.catch_warnings():
            # A length at its bound is what a value without influence looks like.
            warnings.simplefilter("ignore")
            self.gpr.fit(points, losses)
        for values in self._candidates(points[np.argsort(losses)[:_BEST]]):
            if self._duplicate(values):
                continue
            if not self.known.allows(values):
                self.rejected += 1
            elif self.fits(values):
                return {"status": "RUNNING", "values": values}
        return self._random_populate_space()

    def _candidates(self, best: Any) -> list[dict[str, Any]]:
        """Values, the most promising first."""
        random = self._random_state
        points = random.uniform(size=(_DRAWN, best.shape[1]))
        near = np.repeat(best, _NEAR, axis=0)
        where = random.randint(best.shape[1], size=len(near))
        near[np.arange(len(near)), where] = random.uniform(size=len(near))
        drawn = [self._vector_to_values(point) for point in np.vstack([points, near])]
        seen = np.array([self._vector(values) for values in drawn])
        mean, deviation = self.gpr.predict(seen, return_std=True)
        order = np.argsort(mean - self.beta * deviation, kind="stable")
        return [drawn[place] for place in order]

    def _vector(self, values: dict[str, Any]) -> list[float]:
        """Values in [0, 1], as the Gaussian process saw those of the trials."""
        return [hp.value_to_prob(values.get(hp.name, hp.default)) for hp in self._nonfixed_space()]


class BayesianOracle(Keeping, _Gaussian):
    """Bayesian optimization."""

    def __init__(self, known: Known, trials: int, seed: int, how: Bayesian) -> None:
        super().__init__(
            max_trials=trials,
            num_initial_points=how.initial,
            alpha=how.alpha,
            beta=how.beta,
            **common(known, trials, seed),
        )
