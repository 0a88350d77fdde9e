"""The section on quality: the file beside its teacher, with intervals, and what else is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcompress.page.document import Section
from tfcompress.page.facts import facts
from tfcompress.page.numbers import MISSING, number, signed, worded
from tfcompress.page.pictures import Interval
from tfcompress.page.table import Column, Row, Table, numbers
from tfcompress.page.view import Cell, Group, Paragraph

INTERVAL = "difference_95_percent_interval"
_COUNTS = {"users", "events", "bytes", "examples"}


def quality(report: Mapping[str, Any]) -> Section | None:
    """What was evaluated; None where nothing was."""
    found = report.get("evaluation")
    if not found:
        return None
    if not is_compared(found):
        return Section("quality", "Quality", facts(found, "Evaluation of the file"))
    rest = {name: value for name, value in found.items() if name not in ("file", "teacher")}
    rest = {name: value for name, value in rest.items() if not _is_told(name, found)}
    parts = (_compared(found), _note(found), facts(rest, "What else was measured"))
    return Section("quality", "Quality", Group(parts))


def is_compared(found: Mapping[str, Any]) -> bool:
    """Whether an evaluation has figures of a file and of its teacher."""
    return all(isinstance(found.get(name), Mapping) for name in ("file", "teacher"))


def metrics(found: Mapping[str, Any]) -> list[str]:
    """Names of the figures that a file and its teacher both have."""
    own, other = found["file"], found["teacher"]
    return [
        name
        for name, value in own.items()
        if name in other and name not in _COUNTS and isinstance(value, (int, float))
    ]


def difference_of(found: Mapping[str, Any], name: str) -> float:
    """The file's figure less the teacher's."""
    told = found.get(f"{name}_difference")
    return float(found["file"][name] - found["teacher"][name] if told is None else told)


def _is_told(name: str, found: Mapping[str, Any]) -> bool:
    return name == INTERVAL or name.removesuffix("_difference") in metrics(found)


def _compared(found: Mapping[str, Any]) -> Table:
    columns = (
        Column("metric"),
        *numbers("teacher", "file", "difference", "95 % interval"),
        Column("picture"),
    )
    rows = tuple(_row(found, name) for name in metrics(found))
    return Table("The file and its teacher", columns, rows)


def _row(found: Mapping[str, Any], name: str) -> Row:
    between = MISSING
    picture: Cell = ""
    difference = difference_of(found, name)
    if f"{name}_difference" in found and INTERVAL in found:
        low, high = found[INTERVAL]
        between = f"{signed(low)} to {signed(high)}"
        picture = Interval(low, high, difference)
    both = (f"{found[who][name]:.4f}" for who in ("teacher", "file"))
    return worded(name), *both, signed(difference), between, picture


def _note(found: Mapping[str, Any]) -> Paragraph | None:
    counted = [f"{number(value)} {name}" for name, value in found["file"].items()
               if name in _COUNTS - {"bytes"}]  # fmt: skip
    split = f"the {found['split']} split" if "split" in found else ""
    said = ", ".join(one for one in (split, *counted) if one)
    return Paragraph(f"Measured by the file alone on {said}.", note=True) if said else None
