"""The sections on costs: where the file's bytes are, and what its operators take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcompress.page.document import Section
from tfcompress.page.numbers import MISSING, microseconds, share, whole
from tfcompress.page.pictures import one_bar
from tfcompress.page.table import Column, Row, Table, numbers
from tfcompress.page.view import Group, Named, Paragraph

_PARTS = ("weights", "scales", "graph", "metadata")


def file(report: Mapping[str, Any]) -> Section:
    """Bytes of the file by part."""
    sizes = report["sizes"]
    columns = (Column("part"), *numbers("bytes", "share"), Column("picture"))
    rows = []
    for name in _PARTS:
        if name in sizes:
            rows.append(_part(name, sizes[name], sizes["bytes"]))
            inner = report.get("graph_bytes", {}) if name == "graph" else {}
            rows += [_part(f"graph: {n}", count, sizes["bytes"]) for n, count in inner.items()]
    total = ("all", whole(sizes["bytes"]), "100.0 %", "")
    table = Table("Bytes of the file", columns, tuple(rows), total)
    return Section("file", "Where the bytes are", table)


def _part(name: str, count: int, of: int) -> Row:
    return name, whole(count), share(count, of), one_bar(count, of)


def operators(report: Mapping[str, Any]) -> Section:
    """What operators there are, and what each takes where that was measured."""
    found = report.get("inspection")
    title = "Operators"
    if found is None:
        rows = tuple((name, whole(count)) for name, count in report["operators"].items())
        table = Table("Operators of all signatures", (Column("kind"), *numbers("n")), rows)
        said = "No times were measured: tfcompress report DIR --repeats 50 measures them."
        return Section("operators", title, Group((Paragraph(said, note=True), table)))
    graphs = [_graph(one) for one in found["graphs"]]
    how = None if found["how"] is None else Paragraph(_how(found), note=True)
    return Section("operators", title, Group((*graphs, how)))


def _how(found: Mapping[str, Any]) -> str:
    set_up = f"{found['runtime']}, threads: {found['threads']}, rounds: {found['repeats']}."
    return f"{set_up} {found['how']}"


def _graph(graph: Mapping[str, Any]) -> Table:
    timed = graph["microseconds"] is not None
    times = (*numbers("µs", "±", "share"), Column("picture")) if timed else ()
    columns = (
        Column("operator"),
        *numbers("weights", "scales"),
        *times,
        Column("takes", wide=True),
    )
    rows = tuple(_operator(one, graph["microseconds"]) for one in graph["operators"])
    name = graph["signature"] or f"graph {graph['graph']}"
    whole_call = (microseconds(graph["microseconds"]), "", "100.0 %", "") if timed else ()
    caption = f"{name}: operators in the order in which they run"
    return Table(caption, columns, rows, ("all", *_sums(graph), *whole_call, ""))


def _sums(graph: Mapping[str, Any]) -> tuple[str, ...]:
    keys = ("weights", "scales")
    return tuple(whole(sum(one[key] for one in graph["operators"])) for key in keys)


def _operator(one: Mapping[str, Any], call: float | None) -> Row:
    name = Named(one["operator"], ", ".join(one["outputs"]))
    times = () if call is None else _times(one, call)
    return name, whole(one["weights"]), whole(one["scales"]), *times, ", ".join(one["inputs"])


def _times(one: Mapping[str, Any], call: float) -> Row:
    taken = one["microseconds"]
    if taken is None:
        return MISSING, MISSING, MISSING, ""
    counted = max(taken, 0.0)
    spread = microseconds(one["spread"])
    return microseconds(taken), spread, share(counted, call), one_bar(counted, call)
