"""A record of several runs: a new one replaces the rows of the systems that it measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.settings import setting_of

Record = dict[str, Any]


def merged(
    run: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], path: Path, all_anew: bool = False
) -> Record:
    """The record of a run, with the rows of other systems and models that stand in `path`.

    Every row says by `run` which of `runs` measured it. Times of different runs are compared as
    shares of `p50_us_float32`, the time of the float32 file in the run of the row. A row that was
    not timed takes the place of none that was.

    Args:
        run: what `records.origin` gives. rows: of this run. path: of the record before, if any.
        all_anew: whether the run asked every system, so that only other models' rows are kept.
    """
    before: Record = json.loads(path.read_text()) if path.exists() else {"rows": []}
    runs = before.pop("runs", None) or [_origin(before)]
    rows = rows if all_anew else _news(rows, before["rows"])
    measured, models = {_key(row) for row in rows}, {row["model"] for row in rows}
    others = [row for row in before["rows"] if _key(row) not in measured]
    kept = [_complete(row) for row in others if not (all_anew and row["model"] in models)]
    numbers = sorted({row["run"] for row in kept})
    again = [{**row, "run": numbers.index(row["run"])} for row in kept]
    new = [{**row, "run": len(numbers)} for row in rows]
    used = [*(runs[number] for number in numbers), dict(run)]
    return {**run, "threads": 1, "runs": used, "rows": [*again, *new]}


def _news(rows: Sequence[Mapping[str, Any]], before: Sequence[Record]) -> list[Mapping[str, Any]]:
    timed = {_key(row) for row in before if row.get("p50_us") is not None}
    return [row for row in rows if _is_whole(row) or _key(row) not in timed]


def _is_whole(row: Mapping[str, Any]) -> bool:
    return row.get("p50_us") is not None or row.get("error") is not None


def _origin(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in ("rows", "threads")}


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["model"], row["system"]


def _complete(row: Mapping[str, Any]) -> Record:
    return {"setting": setting_of(row["system"]), "run": 0, **row}
