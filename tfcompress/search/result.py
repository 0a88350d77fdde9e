"""What a search found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcompress.errors import SearchError
from tfcompress.search.budget import Budget, Objective, limits_text, whole_loss
from tfcompress.search.journal import read_journal
from tfcompress.search.points import on_front, point_rows
from tfcompress.search.trial import Ending, Figures, Trial
from tfcompress.tune import Space
from tfcompress.value import brief, from_data, to_data


@dataclass(frozen=True)
class SearchResult:
    """What a search found so far.

    Attributes:
        space: what was searched.
        objective, budget: what for.
        before: figures of the model as it was; None of a worker, whose chief knows them.
        trials: all that ended, in their order.
        rejected: how many specs were drawn that could not meet the budget, and cost no trial.
    """

    space: Space
    objective: Objective
    budget: Budget
    before: Figures | None
    trials: tuple[Trial, ...]
    rejected: int

    @classmethod
    def read(cls, directory: str | Path) -> SearchResult:
        """What is known of a search in this directory, also while it goes on.

        Raises:
            SearchError: there is none.
        """
        found = read_journal(Path(directory))
        if found is None:
            raise SearchError(
                f"{directory} holds no search; expected the directory of a SearchSettings."
            )
        identity = found["identity"]
        trials = [Trial.from_data(one) for one in found["records"].values()]
        return cls(
            Space.from_json(json.dumps(identity["space"])),
            from_data(identity["objective"]),
            from_data(identity["budget"]),
            Figures(**found["before"]),
            tuple(sorted(trials, key=lambda trial: trial.number)),
            found["rejected"],
        )

    @property
    def finished(self) -> tuple[Trial, ...]:
        """The trials with a file, within the budget or not."""
        return tuple(trial for trial in self.trials if trial.ending is Ending.FINISHED)

    @property
    def within(self) -> tuple[Trial, ...]:
        """The trials whose file holds the budget."""
        return tuple(
            trial
            for trial in self.finished
            if trial.figures is not None and not self.budget.excess(trial.figures)
        )

    @property
    def front(self) -> tuple[Trial, ...]:
        """Of these, those that no other one beats in quality, bytes and latency together."""
        unbeaten = on_front([_figures(trial) for trial in self.within])
        return tuple(trial for trial, on in zip(self.within, unbeaten, strict=True) if on)

    @property
    def best(self) -> Trial:
        """The trial that is best by the objective, within the budget; the first of equals.

        Raises:
            SearchError: no file holds the budget; it says which came nearest.
        """
        if self.within:
            return min(self.within, key=self._loss)
        if not self.finished:
            raise SearchError(f"None of {len(self.trials)} trials finished. {self._first_error()}")
        nearest = min(self.finished, key=self._loss)
        missed = limits_text(self.budget, self.budget.excess(_figures(nearest)))
        raise SearchError(
            f"No file of {len(self.finished)} holds the budget; trial {nearest.number} comes "
            f"nearest and misses {missed}. Try more trials, or raise the budget."
        )

    def _loss(self, trial: Trial) -> float:
        return whole_loss(_figures(trial), self.objective, self.budget, self.before or _UNIT)

    def _first_error(self) -> str:
        errors = [trial.error for trial in self.trials if trial.error]
        return f"The first error:\n{errors[0]}" if errors else ""

    def to_data(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "space": json.loads(self.space.to_json()),
            "objective": to_data(self.objective),
            "budget": to_data(self.budget),
            "before": None if self.before is None else vars(self.before),
            "trials": [trial.to_data() for trial in self.trials],
            "front": [trial.number for trial in self.front],
            "best": self.best.number if self.within else None,
            "rejected": self.rejected,
        }

    def page_data(self) -> dict[str, Any]:
        """For `page.search_page`: the files as points, and what was searched for."""
        within = {trial.number for trial in self.within}
        files = [(f"trial {t.number}", t.number in within, _figures(t)) for t in self.finished]
        return {
            "points": point_rows(self.before, files),
            "objective": brief(self.objective),
            "budget": brief(self.budget),
            "best": self.best.number if self.within else None,
            "trials": len(self.trials),
            "rejected": self.rejected,
        }

    def draw(self, path: str | Path) -> Path:
        """Draws quality against bytes and against latency, the front marked: a PNG, SVG or PDF.

        Raises:
            SearchError: no trial finished, or matplotlib is not installed.
        """
        from tfcompress.search.pictures import draw

        return draw(self, Path(path))

    def __str__(self) -> str:
        from tfcompress.search.tables import result_text

        return result_text(self)


_UNIT = Figures(1.0, 1, 1.0, 1, 1)  # the order of trials is the same in any unit


def _figures(trial: Trial) -> Figures:
    if trial.figures is None:
        raise SearchError(f"Trial {trial.number} has no figures; expected one that finished.")
    return trial.figures
