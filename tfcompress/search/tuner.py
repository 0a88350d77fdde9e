"""KerasTuner's tuner over specs. It builds no model of Keras 3: trials are ours."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from keras_tuner.engine import base_tuner

from tfcompress.errors import SearchError
from tfcompress.search.carry import Place, Task, carry_out
from tfcompress.search.chief import address_of
from tfcompress.search.keeping import LOSS, QUALITY, RECORD
from tfcompress.search.reaching import Reached
from tfcompress.search.settings import SearchSettings
from tfcompress.search.trial import Trial

_PAUSE = 0.2  # seconds between two questions to a chief that has nothing yet
_SIGNS = 4  # signs of life within a lease


class SpecTuner(base_tuner.BaseTuner):  # type: ignore[misc]
    """Runs an oracle's trials: alone, or as a chief's worker.

    Where KerasTuner's environment names a chief, its oracle is asked over the network.

    Args:
        oracle: one of ours.
        directory: of the search.
        settings: of the search; its lease and a worker's patience.
    """

    def __init__(self, oracle: Any, directory: Path, settings: SearchSettings) -> None:
        self._lease = settings.lease
        self.place: Place | None = None
        self.asked = False
        self.ended: list[Trial] = []
        super().__init__(oracle, directory=str(directory.parent), project_name=directory.name)
        if self._is_worker():
            self.oracle.stub = Reached(address_of(), settings.patience)

    def reach(self) -> None:
        """Waits for the chief.

        Raises:
            SearchError: it does not answer.
        """
        self.oracle.get_space()

    def pre_create_trial(self) -> None:
        """Does not ask a chief without a pause."""
        if self.asked and self._is_worker():
            time.sleep(_PAUSE)
        self.asked = True

    def on_trial_begin(self, trial: Any) -> None:
        """The next question need not wait."""
        self.asked = False

    def run_trial(self, trial: Any) -> dict[str, float]:
        """Carries it out; what came of it goes to the oracle with the trial's values."""
        if self.place is None:
            raise RuntimeError("run_trial was called before there was a place to run it in.")
        values = trial.hyperparameters.values
        last = values.get("tuner/epochs", self.place.work.parts)
        first = values.get("tuner/initial_epoch", 0)
        before = values.get("tuner/trial_id")
        further = None if before is None else int(before)
        task = Task(int(trial.trial_id), values, range(first, last), further)
        with _SignsOfLife(self, trial.trial_id):
            ended = carry_out(self.place, task, self._goes_on(trial.trial_id))
        self.ended.append(ended)
        values[RECORD] = json.dumps(ended.to_data())
        return {LOSS: 0.0}  # the oracle makes its own of the record, a failure as well

    def _goes_on(self, trial_id: str) -> Any:
        def goes_on(part: int, quality: float) -> bool:
            found = self.oracle.update_trial(trial_id, {QUALITY: quality}, step=part)
            return bool(found.status != "STOPPED")

        return goes_on

    def save(self) -> None:
        """Nothing: the oracle saves itself after every event."""

    def _get_tuner_fname(self) -> str:
        return str(Path(self.project_dir) / "no such file")


class _SignsOfLife:
    """Lets a chief hear of a trial while it runs."""

    def __init__(self, tuner: SpecTuner, trial_id: str) -> None:
        self._tuner, self._trial_id = tuner, trial_id
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def _tell(self) -> None:
        with suppress(SearchError):  # the trial's end will say that nobody is there
            while not self._over.wait(self._tuner._lease / _SIGNS):
                self._tuner.oracle.get_trial(self._trial_id)

    def __enter__(self) -> None:
        if self._tuner._is_worker():
            self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
