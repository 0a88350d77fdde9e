"""The page of all systems' results: one HTML file that needs no other and no network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.files import replacing
from tfcompress.page.document import Section, document
from tfcompress.page.facts import facts, table_of
from tfcompress.page.markup import Column, Html, Tables, element, join, numbers
from tfcompress.page.numbers import MISSING, signed, whole
from tfcompress.page.pictures import bars, interval

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
    tables = Tables()
    lead = element(
        "p",
        "Each system was published with a headline. The file that is shipped stands here beside "
        "the float32 file of its teacher: both were asked the test split once, and timed in turns "
        "on one thread. What falls short of what was asked is marked with an exclamation mark.",
    )
    sections = [_overview(records, tables), *(_system(one, tables) for one in records)]
    return document("Published systems, compressed", lead, sections)


def _overview(records: Sequence[Record], tables: Tables) -> Section:
    columns = (
        Column("system"),
        Column("data"),
        *numbers("size", "speed", "multiply-adds", "teacher", "file", "difference"),
        Column("95 % interval"),
    )
    rows = [_summary(one) for one in records]
    return Section("all", "All systems", tables.table("Files that are shipped", columns, rows))


def _summary(record: Record) -> tuple[object, ...]:
    reached = record.get("reached", {})
    low, high = record["quality_interval"]
    difference = record["quality"] - record["quality_teacher"]
    kind = "synthetic" if record["data"]["synthetic"] else "real"
    return (
        element("a", record["system"], href=f"#{record['system']}"),
        kind,
        _marked(_less(record["size_reduction"]), reached.get("size_reduction")),
        _marked(_times(record["speedup"]), reached.get("speedup")),
        _marked(_less(record["multiply_adds_reduction"]),
                reached.get("multiply_adds_reduction")),
        f"{record['quality_teacher']:.4f}",
        f"{record['quality']:.4f}",
        _marked(signed(difference), reached.get("quality")),
        interval(low, high, difference),
    )  # fmt: skip


def _marked(text: str, reached: bool | None) -> str:
    return f"{text} !" if reached is False else text


def _less(reduction: float) -> str:
    return f"{-reduction:+.1%}" if reduction else "0.0%"


def _times(value: float) -> str:
    return f"{value:.2f}\N{MULTIPLICATION SIGN}"


def _system(record: Record, tables: Tables) -> Section:
    told = {name: value for name, value in record.items() if name not in ("rows", "teacher")}
    rows = record.get("rows", ())
    headlined = bool(rows) and all("reached" in row for row in rows)
    parts = [
        element("p", f"Published with: {record['published_techniques']}.")
        if "published_techniques" in record
        else None,
        _ways(record, rows, tables) if headlined else _plain(record, rows, tables),
        *(_specs(row) for row in rows if "specs" in row),
        element("details", element("summary", "How it was run"),
                facts(told, f"Record of {record['system']}", tables)),
    ]  # fmt: skip
    return Section(record["system"], record["system"], join(parts))


def _plain(record: Record, rows: Sequence[Record], tables: Tables) -> Html | None:
    """Rows of a system without a headline: what of them is a number or a text."""
    shown = [{key: one for key, one in row.items() if isinstance(one, (str, int, float))}
             for row in rows]  # fmt: skip
    return table_of(shown, f"Files of {record['system']}", tables) if shown else None


def _ways(record: Record, rows: Sequence[Record], tables: Tables) -> Html:
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
               bars(None, before["bytes"], before["bytes"]))  # fmt: skip
    cells = [_way(row, before["bytes"]) for row in rows]
    return tables.table(f"Ways to compress {record['system']}", columns, [asked, teacher, *cells])


def _asked(goal: Record | None) -> tuple[object, ...]:
    if goal is None:
        return ("asked", *[MISSING] * 7, "")
    work = goal["multiply_adds_reduction"]
    size, speed = f"-{goal['size_reduction']:.0%}", _times(goal["speedup"])
    computed = "" if work is None else f"-{work:.0%}"
    return "asked", "", size, "", speed, computed, signed(-goal["quality_loss"]), "", ""


def _way(row: Record, largest: float) -> tuple[object, ...]:
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
        join([
            bars(None, file["bytes"], largest),
            interval(low, high, row["quality_difference"]),
        ]),
    )  # fmt: skip


def _specs(row: Record) -> Html:
    text = json.dumps(row["specs"], indent=1)
    return element("details", element("summary", f"Specs of {row['way']}"), element("pre", text))
