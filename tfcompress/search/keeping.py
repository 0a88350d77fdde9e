"""What every oracle does besides: it draws only what can meet the budget, and forgets nothing.

All draws are made from the seed and the number of the trial, so that a search that was killed draws
what it would have drawn. Trials are kept in one journal, written whole after every event, in place
of KerasTuner's many files.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
from keras_tuner.engine import trial as kt_trial

from tfcompress.search.budget import Budget, Objective, whole_loss
from tfcompress.search.carry import partial_figures
from tfcompress.search.early import Standing
from tfcompress.search.journal import write_journal
from tfcompress.search.known import Known
from tfcompress.search.settings import SearchSettings
from tfcompress.search.trial import Ending, Figures, Trial

LOSS = "loss"
QUALITY = "quality"
RECORD = "tfcompress/trial"
_APART = 100_003  # between the seeds of two trials
_FILES = 25  # that are too large, for one trial


class Keeping:
    """What is added to each of KerasTuner's oracles; it comes before them among the bases.

    Attributes:
        records: the trials that ended, by KerasTuner's number.
        standings: how trials stood behind each part.
        rejected: how many specs were drawn that cannot meet the budget.
    """

    # KerasTuner's own.
    hyperparameters: Any
    seed: int
    trials: dict[str, Any]
    ongoing_trials: dict[str, Any]
    tuner_ids: set[str]
    _retry_queue: list[str]

    def start(
        self, known: Known, objective: Objective, settings: SearchSettings, before: Figures
    ) -> None:
        """Says what the search is about."""
        self.aim, self.settings, self.figures_before = objective, settings, before
        self.known = known
        self.known.graph = before.bytes - known.before.least_bytes
        self.directory = Path(settings.directory)
        self.identity: dict[str, Any] = {}
        self.records: dict[str, Trial] = {}
        self.standings: dict[str, dict[int, Standing]] = {}
        self.rejected = 0
        self.heard: dict[str, float] = {}
        self.leased = False
        self.told_to_stop = False
        self._too_large = 0

    # Drawing.

    def populate_space(self, trial_id: str) -> Any:
        """Values for a trial, from the seed and its number."""
        number = int(trial_id)
        self._seed_state = self.seed + _APART * (number + 1)
        self._random_state = np.random.RandomState(self._seed_state % 2**32)
        self._too_large = 0
        if number < len(self.settings.start):
            values = self.known.active(self.settings.start[number])
            return {"status": "RUNNING", "values": values}
        return super().populate_space(trial_id)  # type: ignore[misc]

    def _random_values(self) -> Any:
        for _ in range(self.settings.redraws):
            values = super()._random_values()  # type: ignore[misc]
            if values is None:
                return None
            if not self.known.allows(values):
                self.rejected += 1
            elif self.fits(values):
                return values
        return None

    def may_try(self) -> bool:
        """Whether another file may be made to see whether it is too large."""
        return self._too_large < _FILES

    def fits(self, values: Mapping[str, Any]) -> bool:
        """Whether the file of an allowed spec is small enough; asked no more than so often."""
        found = self.may_try() and self.known.fits(values)
        self._too_large += not found
        self.rejected += not found
        return found

    # Events.

    @kt.synchronized
    def create_trial(self, tuner_id: str) -> Any:
        """The next trial, one that a lost worker left first of all."""
        self._give_up_lost()
        self.heard[tuner_id] = time.monotonic()
        if self._time_is_up() and tuner_id not in self.ongoing_trials:
            return self._stopped(tuner_id)
        started = time.monotonic()
        trial = super().create_trial(tuner_id)  # type: ignore[misc]
        spent = time.monotonic() - started  # in which nobody could be heard
        self.heard = {name: at + spent for name, at in self.heard.items()}
        self.heard[trial.trial_id] = time.monotonic()
        return self._stopped(tuner_id) if trial.status == "STOPPED" else trial

    def _stopped(self, tuner_id: str) -> Any:
        """An end; or, while another worker may be lost, a wait."""
        waits = bool(self.ongoing_trials or self._retry_queue)
        if waits and not self._time_is_up():
            self.tuner_ids.add(tuner_id)
        else:
            self.tuner_ids.discard(tuner_id)
            self.told_to_stop = True
        status = "IDLE" if tuner_id in self.tuner_ids else "STOPPED"
        return kt_trial.Trial(self.hyperparameters.copy(), "none", status)

    @kt.synchronized
    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> Any:
        """Notes how a trial stands behind a part; the answer's status says whether to end it."""
        trial = copy.copy(self.trials[trial_id])
        self.heard[trial_id] = time.monotonic()
        if QUALITY in metrics:
            step, quality = int(step), float(metrics[QUALITY])
            own = self._standing(trial, quality)
            others = [s[step] for key, s in self.standings.items() if step in s and key != trial_id]
            self.standings.setdefault(trial_id, {})[step] = own
            self.save()
            if self.settings.early.ends(step, own, others):
                trial.status = "STOPPED"
        return trial

    def _standing(self, trial: Any, quality: float) -> Standing:
        spec = self.known.spec(self.known.active(trial.hyperparameters.values))
        figures = partial_figures(self.known.costs(spec), self.known.bytes(spec), quality)
        return Standing(self._loss(figures, True), quality, figures.bytes)

    def _loss(self, figures: Figures, finished: bool) -> float:
        budget: Budget = self.known.budget
        return whole_loss(figures, self.aim, budget, self.figures_before, finished)

    @kt.synchronized
    def get_trial(self, trial_id: str) -> Any:
        """A trial; whoever asks for it is alive."""
        self.heard[trial_id] = time.monotonic()
        return super().get_trial(trial_id)  # type: ignore[misc]

    def end_trial(self, trial: Any) -> None:
        """Takes in what a worker says of a trial; once, however many were lost and found again."""
        ended = self._take_in(trial)
        if ended is not None:  # outside the lock, which an error in there would never give back
            self.settings.on_trial(ended)

    @kt.synchronized
    def _take_in(self, trial: Any) -> Trial | None:
        found = trial.hyperparameters.values.pop(RECORD, None)
        key = trial.trial_id
        if key in self.records or found is None:
            self._forget(key)
            return None
        ended = self._judged(Trial.from_data(json.loads(found)))
        trial = copy.copy(trial)
        trial.hyperparameters = self.trials[key].hyperparameters
        trial.message = ended.error
        trial.status = "COMPLETED" if ended.error is None else "FAILED"
        self._take(key, ended)
        self._retry_queue = [one for one in self._retry_queue if one != key]
        super().end_trial(trial)  # type: ignore[misc]
        return ended

    def _judged(self, ended: Trial) -> Trial:
        """With the size that a file would have had; a worker does not know the files so far."""
        if ended.ending is not Ending.ENDED_EARLY or ended.costs is None:
            return ended
        size = self.known.bytes(ended.spec)
        reached = partial_figures(ended.costs, size, ended.qualities[-1])
        return replace(ended, figures=reached)

    def _take(self, key: str, ended: Trial) -> None:
        self.records[key] = ended
        if ended.figures is None:
            return
        loss = self._loss(ended.figures, ended.ending is Ending.FINISHED)
        super().update_trial(key, {LOSS: loss}, step=0)  # type: ignore[misc]
        if ended.ending is Ending.FINISHED and ended.costs is not None:
            self.known.see(ended.figures.bytes, ended.costs)

    def _forget(self, key: str) -> None:
        for tuner_id in [t for t, one in self.ongoing_trials.items() if one.trial_id == key]:
            self.ongoing_trials.pop(tuner_id)

    # Lost workers.

    @kt.synchronized
    def give_up_lost(self) -> None:
        """Hands trials on whose workers gave no sign within their lease."""
        self._give_up_lost()

    def _give_up_lost(self) -> None:
        if not self.leased:
            return
        limit = time.monotonic() - self.settings.lease
        for tuner_id, trial in list(self.ongoing_trials.items()):
            signs = (self.heard.get(trial.trial_id, 0.0), self.heard.get(tuner_id, 0.0))
            if max(signs) < limit:
                self.ongoing_trials.pop(tuner_id)
                self.tuner_ids.discard(tuner_id)
                self._retry_queue.append(trial.trial_id)
        for tuner_id in list(self.tuner_ids):
            if tuner_id not in self.ongoing_trials and self.heard.get(tuner_id, 0.0) < limit:
                self.tuner_ids.discard(tuner_id)

    @kt.synchronized
    def is_over(self) -> bool:
        """Whether all trials ended, and all workers that live know it."""
        return bool(self.told_to_stop and not self.ongoing_trials and not self.tuner_ids)

    def _time_is_up(self) -> bool:
        hours = self.settings.hours
        spent = sum(trial.seconds for trial in self.records.values())
        return hours is not None and spent >= hours * 3600.0

    # The journal.

    def _save_trial(self, trial: Any) -> None:
        """Nothing: it is in the journal."""

    def save(self) -> None:
        """Writes the journal."""
        content = {
            "identity": self.identity,
            "before": vars(self.figures_before),
            "costs_before": self.known.before.to_data(),
            "rejected": self.rejected,
            "records": {key: trial.to_data() for key, trial in self.records.items()},
            "standings": {
                key: {str(part): list(vars(one).values()) for part, one in parts.items()}
                for key, parts in self.standings.items()
            },
            "oracle": self.get_state(),  # type: ignore[attr-defined]
            "trials": [trial.get_state() for trial in self.trials.values()],
        }
        write_journal(self.directory, content)

    def take_up(self, content: dict[str, Any]) -> None:
        """Goes on from a journal; trials that were under way are run again."""
        states = sorted(content["trials"], key=lambda state: int(state["trial_id"]))
        self.trials = {s["trial_id"]: kt_trial.Trial.from_state(s) for s in states}
        self.set_state(content["oracle"])  # type: ignore[attr-defined]
        self.rejected = content["rejected"]
        self.records = {k: Trial.from_data(one) for k, one in content["records"].items()}
        self.standings = {
            key: {int(part): Standing(*one) for part, one in parts.items()}
            for key, parts in content["standings"].items()
        }
        for ended in self.records.values():
            if ended.ending is Ending.FINISHED and ended.figures and ended.costs:
                self.known.see(ended.figures.bytes, ended.costs)
        waiting = {*self._retry_queue, *(t.trial_id for t in self.ongoing_trials.values())}
        # The last of them is taken first.
        self._retry_queue = sorted(waiting - set(self.records), key=int, reverse=True)
        self.ongoing_trials = {}
