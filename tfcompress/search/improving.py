"""The oracle that asks what is expected to improve most."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras_tuner as kt
import numpy as np

from tfcompress.search.budget import Objective
from tfcompress.search.choosers import ExpectedImprovement
from tfcompress.search.front import pareto_front
from tfcompress.search.keeping import Keeping
from tfcompress.search.known import Known, Prospect
from tfcompress.search.oracles import common
from tfcompress.search.surrogate import Surrogate
from tfcompress.search.trial import Ending, Figures, Trial

Array = np.ndarray[Any, Any]
Values = dict[str, Any]
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)  # of a normal distribution
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_ROUNDS = 3  # of looking about the front that is foretold
_NEAR = 32  # neighbours, in each round and before each trial


@dataclass(frozen=True)
class Candidate:
    """A spec that may be tried next.

    Attributes:
        values: by name.
        prospect: what is known of it.
        bytes: of its file, as far as is known.
    """

    values: Values
    prospect: Prospect
    bytes: int

    @property
    def harm(self) -> float:
        """Of all its techniques."""
        return sum(self.prospect.harms.values())


class _Improving(kt.oracles.RandomSearchOracle):  # type: ignore[misc]
    """What is behind `Keeping`, which seeds and keeps the journal."""

    known: Known
    how: ExpectedImprovement
    aim: Objective
    figures_before: Figures
    records: dict[str, Trial]
    rejected: int
    seed: int
    trials: dict[str, Any]
    hyperparameters: Any
    ongoing_trials: dict[str, Any]
    _seed_state: int
    _random_state: Any
    _drawn: list[Values]
    may_try: Callable[[], bool]
    fits: Callable[[Values], bool]

    def populate_space(self, trial_id: str) -> Any:
        """The values of the next trial."""
        measured = [one for one in self.records.values() if one.figures is not None]
        finished = sum(one.ending is Ending.FINISHED for one in measured)
        first = int(trial_id) < self.how.initial or finished < 2
        drawn, near = self.drawn(), [] if first else self._neighbours()
        self.rejected += sum(not self.known.allows(one) for one in (near if self.trials else drawn))
        found = [one for one in self._allowed([*drawn, *near]) if not self._duplicate(one.values)]
        while found and self.may_try():
            if not first:
                chosen = self._most_promising(found, measured)
            elif self.known.prior is not None:
                chosen = self._apart(found)
            else:
                chosen = found[self._random_state.randint(len(found))]
            if self.fits(chosen.values):
                return {"status": "RUNNING", "values": chosen.values}
            found.remove(chosen)
        return super().populate_space(trial_id)

    # What there is to choose among.

    def drawn(self) -> list[Values]:
        """Specs to choose among, the same for all trials: drawn, and about the foretold front."""
        if not self._drawn:
            generator = random.Random(self.seed)
            space = self.known.space
            self._drawn = [space.draw(generator) for _ in range(self.how.drawn)]
            for _ in range(_ROUNDS if self.known.prior else 0):
                front = _foretold(self._allowed(self._drawn))
                self._drawn += self._about([one.values for one in front], generator)
        return self._drawn

    def _neighbours(self) -> list[Values]:
        """Of the trials on the front so far."""
        ended = [one for one in self.records.values() if one.ending is Ending.FINISHED]
        points = [(-one.figures.quality, one.figures.bytes) for one in ended if one.figures]
        front = [one for one, on in zip(ended, pareto_front(points), strict=True) if on]
        return self._about([one.values for one in front], random.Random(self._seed_state))

    def _about(self, some: Sequence[Values], generator: random.Random) -> list[Values]:
        """Neighbours of some values: one value of each is drawn anew."""
        near = []
        for _ in range(_NEAR if some else 0):
            values = generator.choice(some)
            changed = generator.choice(list(values))
            kept = {name: value for name, value in values.items() if name != changed}
            near.append(self.known.space.draw(generator, kept))
        return near

    def _allowed(self, some: Sequence[Values]) -> list[Candidate]:
        """Those that can be carried out and may meet the budget."""
        return [self._candidate(values) for values in some if self.known.allows(values)]

    # Which of them.

    def _apart(self, found: Sequence[Candidate]) -> Candidate:
        """Of the foretold front the one farthest in bytes from what was tried (Gonzalez, 1985)."""
        front = _foretold(found)
        sizes = np.log([one.bytes for one in front])
        tried = [self._candidate(one.hyperparameters.values) for one in self.trials.values()]
        if not tried:
            return front[int(np.argmin(np.abs(sizes - (sizes[0] + sizes[-1]) / 2)))]
        known = np.log([one.bytes for one in tried])
        return front[int(np.argmax(np.abs(sizes[:, None] - known).min(axis=1)))]

    def _most_promising(self, found: Sequence[Candidate], measured: Sequence[Trial]) -> Candidate:
        busy = [self._candidate(one.hyperparameters.values) for one in self.ongoing_trials.values()]
        mean, deviation = self._guessed([*found, *busy], measured)
        n = len(found)
        believed = [_figures(one, q) for one, q in zip(busy, mean[n:], strict=True)]
        done = [one.figures for one in measured if one.ending is Ending.FINISHED and one.figures]
        gain = self.aim.gain([*done, *believed], self.known.budget, self.figures_before)
        expected = [
            _expected(gain, one, *guess)
            for one, *guess in zip(found, mean[:n], deviation[:n], strict=True)
        ]
        # Where nothing is expected of any, the one that might be best.
        return found[int(np.lexsort(((mean + deviation)[:n], np.array(expected)))[-1])]

    def _guessed(
        self, found: Sequence[Candidate], measured: Sequence[Trial]
    ) -> tuple[Array, Array]:
        """Mean and deviation of the quality of each candidate."""
        tried = [self._candidate(trial.values) for trial in measured]
        both = [*tried, *found]
        names = sorted({name for one in both for name in one.prospect.harms})
        harms = np.array([[one.prospect.harms.get(name, 0.0) for name in names] for one in both])
        points = np.array([self._vector(one.values) for one in both])
        qualities = np.array(_as_if_finished(measured))
        n = len(tried)
        guess = Surrogate(self.seed).fit(points[:n], harms[:n], qualities)
        return guess.predict(points[n:], harms[n:])

    def _candidate(self, values: Mapping[str, Any]) -> Candidate:
        own = self.known.active(values)
        spec = self.known.spec(own)
        return Candidate(own, self.known.prospect(spec), self.known.bytes(spec))

    def _vector(self, values: Values) -> list[float]:
        """Values in 0 to 1, those that do not matter at their default."""
        space = self.hyperparameters.space
        return [hp.value_to_prob(values.get(hp.name, hp.default)) for hp in space]


def _as_if_finished(measured: Sequence[Trial]) -> list[float]:
    """Qualities of trials; one that ended early gets what others gained from there to the end."""
    finished = [one for one in measured if one.ending is Ending.FINISHED]

    def gained(parts: int) -> float:
        gains = [
            one.figures.quality - one.qualities[parts - 1]
            for one in finished
            if one.figures and len(one.qualities) >= parts
        ]
        return float(np.mean(gains)) if gains else 0.0

    return [
        one.figures.quality + (0.0 if one in finished else gained(len(one.qualities)))
        for one in measured
        if one.figures
    ]


def _foretold(found: Sequence[Candidate]) -> list[Candidate]:
    """The front of harm and bytes, the smallest first; nothing is trained for it."""
    on_front = pareto_front([(one.harm, one.bytes) for one in found])
    front = [one for one, on in zip(found, on_front, strict=True) if on]
    return sorted(front, key=lambda one: one.bytes)


def _figures(candidate: Candidate, quality: float) -> Figures:
    costs = candidate.prospect.costs
    return Figures(quality, candidate.bytes, None, costs.parameters, costs.multiply_adds)


def _expected(
    gain: Callable[[Figures], float], candidate: Candidate, mean: float, deviation: float
) -> float:
    """What a candidate gains in the mean over the qualities that it may have."""
    gains = [gain(_figures(candidate, mean + deviation * node)) for node in _NODES]
    return float(_WEIGHTS @ gains)


class ImprovementOracle(Keeping, _Improving):
    """Expected improvement; see `ExpectedImprovement`."""

    def __init__(self, known: Known, trials: int, seed: int, how: ExpectedImprovement) -> None:
        super().__init__(max_trials=trials, **common(known, trials, seed))
        self.how = how
        self._drawn = []
