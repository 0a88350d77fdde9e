"""The tables that two files side by side print as."""

from __future__ import annotations

from collections.abc import Callable

from rich.table import Table

from tfcompress.export.compared import FileComparison
from tfcompress.report import text_of


def comparison_text(found: FileComparison) -> str:
    """All tables of a comparison, as plain text."""
    first, second = found.files
    text = [f"A: {first.file}", f"B: {second.file}", text_of(_costs(found))]
    if any(one.deviation for one in found.signatures):
        text.append(text_of(_outputs(found)))
    text += [
        f"{one.signature}: {one.calls} calls, inputs {one.inputs}." for one in found.signatures
    ]
    if found.rounds:
        text.append(
            f"Times are medians of {found.rounds} rounds in which the files took turns, "
            f"threads: {found.threads}."
        )
    text += [f"Only one of the files has the signature {name}." for name in found.apart]
    return "\n".join(text)


def _costs(found: FileComparison) -> Table:
    first, second = found.files
    table = Table(title="A and B")
    table.add_column("")
    for name in ("A", "B", "A / B"):
        table.add_column(name, justify="right")
    for name, count in first.sizes.items():
        if name in second.sizes:
            _add(table, name.replace("_", " "), count, second.sizes[name])
    _add(table, "parameters", first.parameters, second.parameters)
    for name, count in first.multiply_adds.items():
        if name in second.multiply_adds:
            _add(table, f"multiply-adds, {name}", count, second.multiply_adds[name])
    for one in found.signatures:
        if one.latency_us is not None:
            _add(table, f"µs, {one.signature}", *one.latency_us, "{:,.1f}".format)
    return table


def _add(
    table: Table, name: str, a: float, b: float, shown: Callable[[float], str] = "{:,}".format
) -> None:
    table.add_row(name, shown(a), shown(b), f"{a / b:.2f}" if b else "")


def _outputs(found: FileComparison) -> Table:
    table = Table(title="Outputs of B against those of A")
    for name in ("output", "deviation"):
        table.add_column(name, justify="left" if name == "output" else "right")
    for one in found.signatures:
        for output, apart in one.deviation.items():
            table.add_row(f"{one.signature}.{output}", f"{apart:.5f}")
    return table
