"""The tables that say where a file's bytes and microseconds go, drawn from what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from tfcompress.export.inspection import GraphCost, Inspection, OperatorCost
from tfcompress.export.runtimes import runtime_lines
from tfcompress.report import text_of

_WIDTH = 132


def costs_text(found: Inspection) -> str:
    """All tables and how times were measured, as plain text."""
    tables = [_parts(found)]
    for graph in found.graphs:
        tables += [_operators(graph), _kinds(graph)]
    text = [text_of(table, _WIDTH) for table in tables]
    text += runtime_lines(found.older)
    if found.how is not None:
        text.append(f"{found.runtime}, threads: {found.threads}, rounds: {found.repeats}.")
        text.append(found.how)
    return "\n".join(text)


def _table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title)
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _parts(found: Inspection) -> Table:
    table = _table(f"{found.file}: bytes", ("part",), ("bytes", "share", "of no operator"))
    for name, count in found.parts.items():
        inner = found.graph_parts if name == "graph" else {}
        outside = sum(found.elsewhere.get(part, 0) for part in inner or (name,))
        table.add_row(name, f"{count:,}", _share(count, found.bytes), f"{outside:,}")
        for part, some in inner.items():
            of_none = f"{found.elsewhere.get(part, 0):,}"
            table.add_row(f"  {part}", f"{some:,}", _share(some, found.bytes), of_none)
    table.add_section()
    table.add_row("all", f"{found.bytes:,}", "100.0%", f"{sum(found.elsewhere.values()):,}")
    return table


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _title(graph: GraphCost) -> str:
    return f"graph {graph.graph}" if graph.signature is None else f"{graph.signature}"


def _operators(graph: GraphCost) -> Table:
    numbers = ("weights", "scales", "graph", "shared", "µs", "±", "XNNPACK")
    table = _table(f"{_title(graph)}: operators", ("", "operator", "takes", "gives"), numbers)
    for one in graph.operators:
        delegated = "" if one.delegated is None else "x" if one.delegated else "-"
        table.add_row(
            str(one.number), one.operator, ", ".join(one.inputs), ", ".join(one.outputs),
            *_bytes([one]), _us(one.microseconds), _us(one.spread), delegated,
        )  # fmt: skip
    table.add_section()
    if graph.call is not None:
        table.add_row("", "the call", "", "", "", "", "", "", _us(graph.call))
    table.add_row("", "all", "", "", *_bytes(graph.operators), _us(graph.microseconds))
    return table


def _bytes(operators: Sequence[OperatorCost]) -> list[str]:
    names = ("weights", "scales", "graph", "shared")
    return [f"{sum(getattr(one, name) for one in operators):,}" for name in names]


def _us(microseconds: float | None) -> str:
    # An operator below what times stray by may come out as -0.01, which is no time.
    return "" if microseconds is None else f"{round(microseconds, 2) + 0.0:,.2f}"


def _kinds(graph: GraphCost) -> Table:
    numbers = ("operators", "weights", "scales", "graph", "shared", "µs", "share")
    table = _table(f"{_title(graph)}: kinds of operators", ("operator",), numbers)
    groups: dict[str, list[OperatorCost]] = {}
    for one in graph.operators:
        groups.setdefault(one.operator, []).append(one)
    rows = [(name, some, _time(some)) for name, some in groups.items()]
    rows.sort(key=lambda row: (-row[2], -sum(one.weights for one in row[1]), row[0]))
    for name, some, taken in rows:
        times = (_us(taken), _share(taken, graph.microseconds or 0.0))
        timed = times if graph.microseconds is not None else ("", "")
        table.add_row(name, str(len(some)), *_bytes(some), *timed)
    return table


def _time(operators: Sequence[OperatorCost]) -> float:
    return sum(one.microseconds or 0.0 for one in operators)
