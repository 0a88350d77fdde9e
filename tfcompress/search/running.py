"""Running a search: alone, as the chief, or as one of its workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_tuner.src.distribute import utils as roles

from tfcompress.errors import SpecError
from tfcompress.outcomes import Costs
from tfcompress.search.budget import Objective
from tfcompress.search.carry import Place, figures_of
from tfcompress.search.chief import hush, serve
from tfcompress.search.journal import check_identity, clear_halves, read_journal
from tfcompress.search.known import Known
from tfcompress.search.result import SearchResult
from tfcompress.search.settings import SearchSettings
from tfcompress.search.sizing import Sizes
from tfcompress.search.trial import Figures
from tfcompress.search.tuner import SpecTuner
from tfcompress.search.work import Work
from tfcompress.whole import write_whole

BEST = "best.json"


@dataclass(frozen=True)
class Searching:
    """A search that was asked for.

    Attributes:
        known: model, space and budget.
        work: what is done with a student.
        settings: how it is run.
        objective: what for.
        identity: what another search would have otherwise.
    """

    known: Known
    work: Work
    settings: SearchSettings
    objective: Objective
    identity: dict[str, Any]

    @property
    def directory(self) -> Path:
        """Where it is kept."""
        return Path(self.settings.directory).absolute()


def run(asked: Searching) -> SearchResult:
    """Takes the part in it that KerasTuner's environment says."""
    if roles.has_chief_oracle():
        hush()
        if not roles.is_chief_oracle():
            return _work(asked)
    found = read_journal(asked.directory)
    if found is not None:
        check_identity(asked.directory, found["identity"], asked.identity)
    clear_halves(asked.directory)
    place = _place(asked, asked.directory, "alone")
    before = _before(asked, place, found)
    asked.known.sizes = Sizes(asked.known.model, asked.work, asked.directory)
    oracle = _oracle(asked, before)
    asked.known.check_reach()
    asked.known.check_start(asked.settings.start)
    if found is not None:
        oracle.take_up(found)
    oracle.save()
    tuner = SpecTuner(oracle, asked.directory, asked.settings)
    if roles.is_chief_oracle():
        serve(oracle)
    else:
        asked.work.prepare(asked.known.model, asked.directory)
        tuner.place = place
        tuner.search()
    oracle.save()
    result = SearchResult.read(asked.directory)
    if result.within:
        write_whole(asked.directory / BEST, result.best.spec.to_json() + "\n")
    return result


def _work(asked: Searching) -> SearchResult:
    # What the chief measures with; here nothing is compared with it.
    oracle = _oracle(asked, Figures(1.0, 1, 1.0, 1, 1))
    tuner = SpecTuner(oracle, asked.directory, asked.settings)
    tuner.reach()  # before anything is prepared for nobody
    directory = asked.directory / str(tuner.tuner_id)
    clear_halves(directory)
    asked.work.prepare(asked.known.model, directory)
    tuner.place = _place(asked, directory, str(tuner.tuner_id))
    tuner.search()
    known, trials = asked.known, tuple(tuner.ended)
    return SearchResult(known.space, asked.objective, known.budget, None, trials, 0)


def _oracle(asked: Searching, before: Figures) -> Any:
    settings = asked.settings
    parts = asked.work.parts
    oracle = settings.oracle.build(asked.known, settings.trials, parts, settings.seed)
    oracle.start(asked.known, asked.objective, settings, before)
    oracle.identity = asked.identity
    oracle.verbose = 0
    return oracle


def _place(asked: Searching, directory: Path, worker: str) -> Place:
    settings = asked.settings
    keeps = settings.oracle.continues
    return Place(asked.known, asked.work, directory, settings.seed, worker, keeps)


def _before(asked: Searching, place: Place, found: dict[str, Any] | None) -> Figures:
    """Figures of the model as it is; those of the journal where it has them."""
    if found is not None:
        return Figures(**found["before"])
    folder = asked.directory / "before"
    file = asked.work.export(asked.known.model, folder).model
    costs: Costs = asked.known.before
    figures = figures_of(asked.work, file, costs)
    if figures.bytes < 1:
        raise SpecError(f"{file} has {figures.bytes} bytes; expected a file.")
    return figures
