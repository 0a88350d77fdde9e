"""Text drawn from data: the tables that plans and results print as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from tfcompress.outcomes import Outcome, Outcomes
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
        table.add_row(name, "\n".join([*done, *left, *layer.notes]), *(f"{n:,}" for n in numbers))
    table.add_section()
    table.add_row("all", "", f"{plan.bytes_before:,}", f"{plan.bytes_after:,}", "", "")
    return text_of(table)


def outcomes_text(found: Outcomes) -> str:
    """The table of a space: its smallest and largest outcome by bytes and by multiply-adds."""
    table = Table(title="Space")
    for name in ("", "open values"):
        table.add_column(name)
    for name in ("bytes", "multiply-adds", "parameters"):
        table.add_column(name, justify="right")
    before = found.before
    numbers = (before.bytes, before.multiply_adds, before.parameters)
    table.add_row("now", "", *(f"{n:,}" for n in numbers))
    for name in ("smallest", "largest", "lightest", "heaviest"):
        _add_outcome(table, name, getattr(found, name))
    return text_of(table)


def _add_outcome(table: Table, name: str, one: Outcome) -> None:
    values = "\n".join(f"{key} = {value}" for key, value in one.values.items())
    costs = one.costs
    numbers = (costs.bytes, costs.multiply_adds, costs.parameters)
    table.add_row(name, values or "as by default", *(f"{n:,}" for n in numbers))


def report_text(report: dict[str, Any]) -> str:
    """The tables of an exported folder's report: bytes, layers, agreement."""
    sizes = Table(title="File")
    sizes.add_column("")
    sizes.add_column("bytes", justify="right")
    for name, count in report["sizes"].items():
        sizes.add_row(name.replace("_", " "), f"{count:,}")
    layers = Table(title="Layers")
    layers.add_column("layer")
    layers.add_column("weights")
    layers.add_column("bytes", justify="right")
    for layer in report["layers"]:
        layers.add_row(f"{layer['path']} ({layer['type']})", _weights(layer), f"{layer['bytes']:,}")
    agreement = Table(title="File against Keras model")
    for name in ("output", "deviation", "calls"):
        agreement.add_column(name)
    for one in report["verification"]:
        name = f"{one['signature']}.{one['output']}"
        agreement.add_row(name, f"{one['deviation']:.5f}", str(one["calls"]))
    lookups = _lookups(report["lookups"]) if "lookups" in report else []
    return "\n".join(text_of(table) for table in (sizes, layers, *lookups, agreement))


def _lookups(rows: list[dict[str, Any]]) -> list[Table]:
    table = Table(title="Lookups that the app does")
    for name in ("layer", "ids", "of the inputs", "any other id counts as"):
        table.add_column(name)
    for row in rows:
        default = "nothing" if row["default"] < 0 else str(row["default"])
        layer = f"{row['layer']} ({row['kind']})"
        table.add_row(layer, f"0 to {row['size'] - 1}", "\n".join(row["inputs"]), default)
    return [table]


def _weights(layer: dict[str, Any]) -> str:
    parts = []
    for weight in layer["weights"]:
        shape = "x".join(map(str, weight["shape"]))
        zeros = f", {weight['sparsity']:.0%} zeros" if weight["sparsity"] else ""
        parts.append(f"{weight['name']} {shape} at {weight['bits']} bits{zeros}")
    return "\n".join(parts) or "float32"
