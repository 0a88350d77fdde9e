"""What `auto` ended with, as a value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from tfcompress.auto.attempts import Attempt, Measured
from tfcompress.auto.display import outcome
from tfcompress.auto.trying import folder_of
from tfcompress.errors import SpecError
from tfcompress.export.contract import Contract
from tfcompress.report import text_of
from tfcompress.search.budget import Budget
from tfcompress.search.points import point_rows
from tfcompress.spec import Spec
from tfcompress.value import Value, brief, from_data, of_kind, parsed, to_data

FILE = "result.json"
VERSION = 1
_SHOWN = ("number", "effort", "why", "bytes", "quality", "met", "error", "seconds")


@dataclass(frozen=True)
class AutoResult(Value):
    """What `auto` ended with.

    Attributes:
        folder: its work folder.
        budget: what the file had to keep to, the least quality among it.
        met: whether it does.
        verdict: the same in words; where it does not, by how much, and what it would take.
        number: of the attempt whose file meets the budget, or comes nearest to it; 0: the float
            file does.
        attempts: all that was tried, in order.
        baseline: the float file.
        contract: what apps rely on in the files.
        least_bytes: of the smallest file that the techniques make, by plan; None: nobody asked.
        enough_bytes: of the smallest file that was good enough; None: none was.

    Example:
        >>> from tfcompress.export.contract import Contract
        >>> seen = Measured(900, None, 200, 100, 0.5)
        >>> done = AutoResult("auto", Budget(bytes=1000), True, "", 0, (), seen, Contract(()))
        >>> AutoResult.from_json(done.to_json()) == done, str(done.file)
        (True, 'auto/baseline/model.tflite')
    """

    folder: str
    budget: Budget
    met: bool
    verdict: str
    number: int
    attempts: tuple[Attempt, ...]
    baseline: Measured
    contract: Contract
    least_bytes: int | None = None
    enough_bytes: int | None = None

    @property
    def file(self) -> Path:
        """The TFLite file that meets the budget, or comes nearest to it."""
        return folder_of(Path(self.folder), self.number) / "model.tflite"

    @property
    def spec(self) -> Spec | None:
        """What was done for it; None: nothing."""
        return self.attempts[self.number - 1].proposal.spec if self.number else None

    @property
    def seconds(self) -> float:
        """What all attempts took."""
        return sum(attempt.seconds for attempt in self.attempts)

    def rows(self) -> list[dict[str, Any]]:
        """One for each attempt, as plain data that a DataFrame takes."""
        return [_row(attempt, self.budget) for attempt in self.attempts]

    def page_data(self) -> dict[str, Any]:
        """For `page.search_page`: the files as points, and what came of the run."""
        files = [
            (f"attempt {one.number}", one.meets(self.budget), one.measured)
            for one in self.attempts
            if one.measured is not None
        ]
        rows = [{name: row[name] for name in _SHOWN} for row in self.rows()]
        return {
            "points": point_rows(self.baseline, files),
            "verdict": self.verdict,
            "budget": brief(self.budget),
            "seconds": self.seconds,
            "attempts": rows,
        }

    def to_json(self, indent: int | None = 1) -> str:
        """As text, with the format's version."""
        return json.dumps({"version": VERSION, **to_data(self)}, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> AutoResult:
        """What `to_json` wrote.

        Raises:
            SpecError: not JSON, another version, or not such a result.
        """
        return of_kind(from_data(parsed(text, "result", VERSION)), cls)

    @classmethod
    def load(cls, folder: str | Path) -> AutoResult:
        """The result in a work folder.

        Raises:
            SpecError: there is none.
        """
        path = Path(folder) / FILE
        if not path.exists():
            raise SpecError(f"{path} is not there; expected the work folder of a run that ended.")
        return cls.from_json(path.read_text())

    def __str__(self) -> str:
        table = Table(title="Attempts", caption=self.verdict)
        for name in ("", "effort", "because", "what came of it", "s"):
            table.add_column(name)
        for one in self.attempts:
            what = one.proposal
            said = (what.effort.words, what.why, outcome(one, self.budget), f"{one.seconds:.1f}")
            table.add_row(str(one.number), *said)
        return text_of(table, width=140)


def _row(attempt: Attempt, budget: Budget) -> dict[str, Any]:
    measured = attempt.measured
    return {
        "number": attempt.number,
        "effort": type(attempt.proposal.effort).__name__,
        "why": attempt.proposal.why,
        "planned_bytes": attempt.proposal.planned_bytes,
        "bytes": None if measured is None else measured.bytes,
        "quality": None if measured is None else measured.quality,
        "latency_us": None if measured is None else measured.latency_us,
        "met": attempt.meets(budget),
        "error": attempt.error,
        "seconds": attempt.seconds,
        "warm_from": attempt.warm_from,
        "spec": to_data(attempt.proposal.spec),
    }
