"""Text drawn from data: the tables that plans and results print as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from tfcompress.plan import Plan


def text_of(table: Table, width: int = 120) -> str:
    """A rich table as plain text."""
    console = Console(width=width, color_system=None, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip("\n")


def plan_text(plan: Plan) -> str:
    """The table of a plan: each layer, what is done or why not, bytes and multiply-adds."""
    table = Table(title="Plan")
    table.add_column("layer")
    table.add_column("what")
    for name in ("bytes", "after", "multiply-adds", "after"):
        table.add_column(name, justify="right")
    for layer in plan.layers:
        done = [repr(step) for step in layer.steps]
        left = [f"skipped: {reason}" for reason in layer.skipped]
        numbers = (
            layer.before.bytes,
            layer.after.bytes,
            layer.before.multiply_adds,
            layer.after.multiply_adds,
        )
        name = f"{layer.path} ({layer.before.kind})"
        table.add_row(name, "\n".join(done + left), *(f"{n:,}" for n in numbers))
    table.add_section()
    table.add_row("all", "", f"{plan.bytes_before:,}", f"{plan.bytes_after:,}", "", "")
    return text_of(table)
