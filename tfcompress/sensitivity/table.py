"""A sensitivity as text: a table for each technique, and why cells were skipped."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from tfcompress.report import text_of
from tfcompress.sensitivity.result import Cell, Sensitivity, strength_of
from tfcompress.spec import Technique


def families(found: Sensitivity) -> dict[str, list[Technique]]:
    """The techniques by the name of their class, each once, in the order of the cells."""
    named: dict[str, list[Technique]] = {}
    for technique in dict.fromkeys(cell.technique for cell in found.cells):
        named.setdefault(type(technique).__name__, []).append(technique)
    return named


def sensitivity_text(found: Sensitivity) -> str:
    """The harm, and the quality if it was measured, of each layer (row) and strength (column)."""
    parts = [_table(found, name, several) for name, several in families(found).items()]
    return "\n".join(text_of(table, width=160) for table in (*parts, *_skipped(found)))


def _table(found: Sensitivity, name: str, techniques: Sequence[Technique]) -> Table:
    cells = {(cell.path, cell.technique): cell for cell in found.cells}
    before = found.before.quality
    quality = "" if before is None else f"quality, {before:.4f} before"
    table = Table(title=f"{name}: harm (bytes saved)", caption=quality)
    table.add_column("layer")
    for technique in techniques:
        table.add_column(strength_of(technique), justify="right")
    for path in dict.fromkeys(cell.path for cell in found.cells):
        row = [cells.get((path, technique)) for technique in techniques]
        table.add_row(path, *(_text(found, cell) for cell in row))
    return table


def _text(found: Sensitivity, cell: Cell | None) -> str:
    if cell is None or cell.whole is None or cell.harm is None:
        return "-"
    quality = "" if cell.whole.quality is None else f"\n{cell.whole.quality:.4f}"
    return f"{cell.harm:.3g} ({found.before.bytes - cell.whole.bytes:,}){quality}"


def _skipped(found: Sensitivity) -> list[Table]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for cell in found.cells:
        if cell.skipped is not None:
            reasons.setdefault((repr(cell.technique), cell.skipped), []).append(cell.path)
    if not reasons:
        return []
    table = Table(title="Skipped")
    for column in ("technique", "layers", "because"):
        table.add_column(column)
    for (technique, why), paths in reasons.items():
        table.add_row(technique, "\n".join(paths), why)
    return [table]
