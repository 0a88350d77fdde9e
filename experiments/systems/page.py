"""The page of all systems' results: one HTML file that needs no other and no network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.files import replacing
from tfcompress.page.document import Section, document
from tfcompress.page.facts import facts, table_of
from tfcompress.page.numbers import MISSING, signed, whole
from tfcompress.page.pictures import Bars, Interval
from tfcompress.page.table import Column, Row, Table, numbers
from tfcompress.page.view import Details, Group, Link, Paragraph, Preformatted

PAGE = "report.html"
Record = Mapping[str, Any]


def write(folder: Path) -> Path:
    """Writes the page of all records in a folder beside them.

    Args:
      folder: with NAME.json of each system that was run.

    Returns:
      The page's path.

    Raises:
      FileNotFoundError: if there is no record.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no NAME.json of a system; run one first.")
    page = folder / PAGE
    with replacing(page) as file:
        file.write(page_of([json.loads(one.read_text()) for one in files]).encode())
    return page


def page_of(records: Sequence[Record]) -> str:
    """The page's text.

    Args:
      records: what `running.record` returns, or another with its `SHIPPED` fields.
    """
    lead = Paragraph(
        "Each system was published with a headline. The file that is shipped stands here beside "
        "the float32 file of its teacher: both were asked the test split once, and timed in turns "
        "on one thread. What falls short of what was asked is marked with an exclamation mark. "
        "Minutes are those of all trainings of a system and those of its last "
        "run, which may have found trainings of earlier runs done.",
    )
    sections = [_overview(records), *map(_system, records)]
    return document("Published systems, compressed", lead, sections)


def _overview(records: Sequence[Record]) -> Section:
    columns = (
        Column("system"),
        Column("data"),
        *numbers("size", "speed", "multiply-adds", "teacher", "file", "difference"),
        Column("95 % interval"),
        *numbers("min of training", "min of last run"),
    )
    rows = tuple(map(_summary, records))
    return Section("all", "All systems", Table("Files that are shipped", columns, rows))


def _summary(record: Record) -> Row:
    reached = record.get("reached", {})
    low, high = record["quality_interval"]
    difference = record["quality"] - record["quality_teacher"]
    kind = "synthetic" if record["data"]["synthetic"] else "real"
    return (
        Link(record["system"], record["system"]),
        kind,
        _marked(_less(record["size_reduction"]), reached.get("size_reduction")),
        _marked(_times(record["speedup"]), reached.get("speedup")),
        _marked(_less(record["multiply_adds_reduction"]),
                reached.get("multiply_adds_reduction")),
        f"{record['quality_teacher']:.4f}",
        f"{record['quality']:.4f}",
        _marked(signed(difference), reached.get("quality")),
        Interval(low, high, difference),
        *(_minutes(record["seconds"][name]) for name in ("training", "this_run")),
    )  # fmt: skip


def _minutes(seconds: float | None) -> str:
    return MISSING if seconds is None else f"{seconds / 60:.1f}"


def _marked(text: str, reached: bool | None) -> str:
    return f"{text} !" if reached is False else text


def _less(reduction: float) -> str:
    return f"{-reduction:+.1%}" if reduction else "0.0%"


def _times(value: float) -> str:
    return f"{value:.2f}\N{MULTIPLICATION SIGN}"


def _system(record: Record) -> Section:
    told = {name: value for name, value in record.items() if name not in ("rows", "teacher")}
    rows = record.get("rows", ())
    headlined = bool(rows) and all("reached" in row for row in rows)
    published = record.get("published_techniques")
    parts = (
        Paragraph(f"Published with: {published}.") if published is not None else None,
        _ways(record, rows) if headlined else _plain(record, rows),
        *(_specs(row) for row in rows if "specs" in row),
        Details("How it was run", facts(told, f"Record of {record['system']}")),
    )
    return Section(record["system"], record["system"], Group(parts))


def _plain(record: Record, rows: Sequence[Record]) -> Table | None:
    """Rows of a system without a headline: what of them is a number or a text."""
    shown = [{key: one for key, one in row.items() if isinstance(one, (str, int, float))}
             for row in rows]  # fmt: skip
    return table_of(shown, f"Files of {record['system']}") if shown else None


def _ways(record: Record, rows: Sequence[Record]) -> Table:
    columns = (
        Column("way"),
        *numbers("bytes", "size", "\N{MICRO SIGN}s of a call", "speed", "multiply-adds"),
        *numbers(f"{record['metric']} - teacher's", "95 % interval"),
        Column("bytes and difference", wide=True),
    )
    first = rows[0]
    before = {key: first[key]["teacher"][0] for key in ("bytes", "median_us", "multiply_adds")}
    asked = _asked(record.get("goal"))
    teacher = ("teacher, float32", whole(before["bytes"]), "", f"{before['median_us']:.1f}", "",
               whole(before["multiply_adds"]), "", "",
               Bars(None, before["bytes"], before["bytes"]))  # fmt: skip
    cells = (_way(row, before["bytes"]) for row in rows)
    return Table(f"Ways to compress {record['system']}", columns, (asked, teacher, *cells))


def _asked(goal: Record | None) -> Row:
    if goal is None:
        return ("asked", *[MISSING] * 7, "")
    work = goal["multiply_adds_reduction"]
    size, speed = f"-{goal['size_reduction']:.0%}", _times(goal["speedup"])
    computed = "" if work is None else f"-{work:.0%}"
    return "asked", "", size, "", speed, computed, signed(-goal["quality_loss"]), "", ""


def _way(row: Record, largest: float) -> Row:
    reached, (low, high) = row["reached"], row["quality_interval"]
    file = {key: row[key]["file"][0] for key in ("bytes", "median_us")}
    return (
        row["way"],
        whole(file["bytes"]),
        _marked(_less(row["size_reduction"]), reached.get("size_reduction")),
        f"{file['median_us']:.1f}",
        _marked(_times(row["speedup"]), reached.get("speedup")),
        _marked(_less(row["multiply_adds_reduction"]), reached.get("multiply_adds_reduction")),
        _marked(signed(row["quality_difference"]), reached.get("quality")),
        f"{signed(low)} to {signed(high)}",
        Group((Bars(None, file["bytes"], largest), Interval(low, high, row["quality_difference"]))),
    )


def _specs(row: Record) -> Details:
    return Details(f"Specs of {row['way']}", Preformatted(json.dumps(row["specs"], indent=1)))
