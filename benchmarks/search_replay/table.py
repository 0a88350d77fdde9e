"""The record: every spec that was trained, with what became of it, as a file and as values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tfcompress as tfc
from tfcompress.search.front import area

FIGURES = ("quality", "bytes", "latency_us", "parameters", "multiply_adds")


@dataclass(frozen=True)
class Row:
    """A spec that was trained.

    Attributes:
        values: of the space's open values, by name.
        figures: of its file.
        seconds: that it took.
    """

    values: Mapping[str, Any]
    figures: tfc.Figures
    seconds: float


@dataclass(frozen=True)
class Recorded:
    """All of them.

    Attributes:
        rows: in the order in which they were drawn.
        before: figures of the model as it was, uncompressed.
        least: the quality from which on a file is worth something.
        sensitivity: of the model.

    Raises:
        ValueError: if a spec is there twice, or no row covers anything.
    """

    rows: tuple[Row, ...]
    before: tfc.Figures
    least: float
    sensitivity: tfc.Sensitivity

    def __post_init__(self) -> None:
        differ = len({json.dumps(dict(row.values), sort_keys=True) for row in self.rows})
        if differ < len(self.rows):
            raise ValueError(
                f"Received {len(self.rows)} specs of which {differ} differ; expected each once."
            )
        if not self.covered(range(len(self.rows))) > 0.0:
            raise ValueError(
                f"Received {len(self.rows)} specs of which none is both smaller than "
                f"{self.before.bytes} bytes and better than {self.least}; expected some."
            )

    @property
    def objective(self) -> tfc.ImproveFront:
        """What is searched for."""
        return tfc.ImproveFront(self.least)

    def covered(self, places: Iterable[int]) -> float:
        """The area that the rows at these places cover together; see `ImproveFront`."""
        figures = [self.rows[place].figures for place in places]
        return area([self.objective.point(one, self.before) for one in figures])

    @cached_property
    def best(self) -> float:
        """The area that all rows cover: more cannot be reached."""
        return self.covered(range(len(self.rows)))


def to_data(found: Recorded) -> dict[str, Any]:
    """As plain data."""
    return {
        "before": asdict(found.before),
        "least_quality": found.least,
        "trials": [
            {"values": dict(row.values), **asdict(row.figures), "seconds": row.seconds}
            for row in found.rows
        ],
        "sensitivity": json.loads(found.sensitivity.to_json()),
    }


def read(path: Path) -> Recorded:
    """The record in a file.

    Raises:
        ValueError: if it is none.
    """
    try:
        data = json.loads(path.read_text())
        rows = [Row(one["values"], _figures(one), one["seconds"]) for one in data["trials"]]
        found = tfc.Sensitivity.from_json(json.dumps(data["sensitivity"]))
        return Recorded(tuple(rows), _figures(data["before"]), data["least_quality"], found)
    except (KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is no record of trials ({error!r}); expected one that "
            "`python -m benchmarks.search_replay record` wrote."
        ) from error


def _figures(data: Mapping[str, Any]) -> tfc.Figures:
    return tfc.Figures(*(data[name] for name in FIGURES))
