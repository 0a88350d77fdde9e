"""Searches that are replayed: each says in which order it would have tried the recorded specs.

What an oracle proposes is taken for the nearest recorded spec that it has not tried yet; ours
chooses among these from the start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras_tuner as kt
import numpy as np

import tfcompress as tfc
from benchmarks.search_replay.table import Recorded
from tfcompress.search.harms import Harms
from tfcompress.search.improving import ImprovementOracle
from tfcompress.search.keeping import RECORD
from tfcompress.search.known import Known
from tfcompress.search.trial import Ending

TUNER = "replay"
Array = np.ndarray[Any, Any]
Order = Iterator[int]


@dataclass(frozen=True)
class Subject:
    """What is searched.

    Attributes:
        recorded: the trials that there are.
        known: model and space, with what plans and the sensitivity say of specs.
        uninformed: the same without the sensitivity.
    """

    recorded: Recorded
    known: Known
    uninformed: Known

    @classmethod
    def of(cls, recorded: Recorded, model: Any, space: tfc.Space) -> Subject:
        """The search of a model's recorded specs."""
        known, uninformed = (Known(model, space, tfc.Budget()) for _ in range(2))
        known.prior = Harms(recorded.sensitivity)
        return cls(recorded, known, uninformed)


Player = Callable[[Subject, int], Order]


def at_random(subject: Subject, seed: int) -> Order:
    """All rows in random order."""
    yield from np.random.default_rng(seed).permutation(len(subject.recorded.rows)).tolist()


def keras_tuner_sum(subject: Subject, seed: int) -> Order:
    """KerasTuner's Bayesian oracle as its documents have it for two objectives: it adds them up.

    Both are shares of what they were before, so that they are of one size.
    """
    objective = [kt.Objective("quality", "max"), kt.Objective("bytes", "min")]
    before = subject.recorded.before

    def said(figures: tfc.Figures) -> dict[str, float]:
        return {
            "quality": figures.quality / before.quality,
            "bytes": figures.bytes / before.bytes,
        }

    return _keras_tuner(subject, seed, objective, said)


def keras_tuner_area(subject: Subject, seed: int) -> Order:
    """KerasTuner's Bayesian oracle on the area that each spec covers by itself."""
    recorded = subject.recorded

    def said(figures: tfc.Figures) -> dict[str, float]:
        return {"loss": recorded.objective.loss(figures, recorded.before)}

    return _keras_tuner(subject, seed, kt.Objective("loss", "min"), said)


def _keras_tuner(
    subject: Subject, seed: int, asked: Any, said: Callable[[tfc.Figures], dict[str, float]]
) -> Order:
    hp = kt.HyperParameters()
    subject.known.space.declare(hp)
    rows = subject.recorded.rows
    oracle = kt.oracles.BayesianOptimizationOracle(
        asked, max_trials=len(rows), seed=seed, hyperparameters=hp
    )
    _silent(oracle)
    points = _points(hp, [row.values for row in rows])
    left = list(range(len(rows)))
    while left:
        trial = oracle.create_trial(TUNER)
        wanted = _points(hp, [trial.hyperparameters.values])[0]
        place = left.pop(int(np.argmin(np.square(points[left] - wanted).sum(axis=1))))
        yield place
        trial.hyperparameters.values = dict(rows[place].values)
        found, objective = said(rows[place].figures), oracle.objective
        oracle.update_trial(trial.trial_id, found | {objective.name: objective.get_value(found)})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)


def _points(hp: Any, some: list[Mapping[str, Any]]) -> Array:
    """Values in 0 to 1, as KerasTuner's oracle sees them: float [n, values]."""
    return np.array(
        [[one.value_to_prob(values.get(one.name, one.default)) for one in hp.space]
         for values in some]
    )  # fmt: skip


class _Among(ImprovementOracle):
    """Ours. Where it would draw specs it draws as many of those recorded and not tried yet."""

    rows: list[dict[str, Any]]

    def drawn(self) -> list[dict[str, Any]]:
        left = [values for values in self.rows if not self._duplicate(values)]
        chosen = self._random_state.permutation(len(left))[: self.how.drawn]
        return [left[place] for place in chosen]

    def _neighbours(self) -> list[dict[str, Any]]:
        return []


def with_sensitivity(subject: Subject, seed: int) -> Order:
    """Ours, with the sensitivity as its prior."""
    how = tfc.ExpectedImprovement(subject.recorded.sensitivity)
    return _ours(subject, subject.known, how, seed)


def without_sensitivity(subject: Subject, seed: int) -> Order:
    """Ours, with nothing known but bytes."""
    return _ours(subject, subject.uninformed, tfc.ExpectedImprovement(), seed)


def _ours(subject: Subject, known: Known, how: tfc.ExpectedImprovement, seed: int) -> Order:
    recorded = subject.recorded
    rows = [dict(row.values) for row in recorded.rows]
    places = {_key(values): place for place, values in enumerate(rows)}
    oracle = _Among(known, len(rows), seed, how)
    settings = tfc.SearchSettings("nowhere", how, len(rows), seed=seed)
    oracle.start(known, recorded.objective, settings, recorded.before)
    oracle.rows = rows
    _silent(oracle)
    for _ in rows:
        trial = oracle.create_trial(TUNER)
        values = known.active(trial.hyperparameters.values)
        place = places[_key(values)]
        yield place
        ended = _ended(int(trial.trial_id), values, known, recorded.rows[place].figures)
        trial.hyperparameters.values[RECORD] = json.dumps(ended.to_data())
        oracle.end_trial(trial)


def _ended(number: int, values: dict[str, Any], known: Known, figures: tfc.Figures) -> tfc.Trial:
    spec = known.spec(values)
    return tfc.Trial(number, values, spec, Ending.FINISHED, known.costs(spec), figures)


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


def _silent(oracle: Any) -> None:
    """Without a word and without a file."""
    oracle.verbose = 0
    oracle.save = lambda: None
    oracle._save_trial = lambda trial: None


PLAYERS: dict[str, Player] = {
    "random": at_random,
    "KerasTuner, Bayesian, sum": keras_tuner_sum,
    "KerasTuner, Bayesian, area": keras_tuner_area,
    "tfcompress, no sensitivity": without_sensitivity,
    "tfcompress, sensitivity": with_sensitivity,
}
