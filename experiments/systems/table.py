"""The table that a system's run ends with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

FIGURES = ("size_reduction", "speedup", "multiply_adds_reduction", "quality")


def table(record: Mapping[str, Any]) -> Table:
    """What was asked and what each way reached; what falls short of it has an exclamation mark.

    Args:
      record: what `running.record` returned.
    """
    data, metric = record["data"], record["metric"]
    kind = "synthetic" if data["synthetic"] else "real"
    drawn = Table(title=f"{record['system']}: {data['name']} ({kind}), by the files alone")
    for name in ("", "size", "speed", "multiply-adds", f"{metric} - teacher's", "95 % interval"):
        drawn.add_column(name, justify="right" if name else "left")
    drawn.add_row("asked", *_asked(record["goal"]))
    for row in record["rows"]:
        drawn.add_row(row["way"], *_cells(row))
    drawn.caption = f"{metric} of the teacher {record['quality_teacher']:.4f}"
    return drawn


def took(record: Mapping[str, Any]) -> str:
    """How long a system took, in a line.

    Args:
      record: has `seconds`, see `running.run_of`.

    Example:
        >>> took({"system": "image", "seconds": {"training": 379.7, "this_run": 389.7}})
        'image: this run took 6.5 minutes; all trainings of it, some of them maybe before, 6.3'
    """
    spent = record["seconds"]
    run, training = spent["this_run"] / 60, spent["training"] / 60
    return (
        f"{record['system']}: this run took {run:.1f} minutes; all trainings of it, some of them "
        f"maybe before, {training:.1f}"
    )


def _asked(goal: Mapping[str, Any]) -> list[str]:
    work = goal["multiply_adds_reduction"]
    return [
        f"-{goal['size_reduction']:.1%}",
        f"{goal['speedup']:.2f}x",
        "any" if work is None else f"-{work:.1%}",
        f"-{goal['quality_loss']:.1%}" if goal["relative"] else f"{-goal['quality_loss']:+.4f}",
        "",
    ]


def _cells(row: Mapping[str, Any]) -> list[str]:
    texts = {
        "size_reduction": f"{-row['size_reduction']:+.1%}",
        "speedup": f"{row['speedup']:.2f}x",
        "multiply_adds_reduction": f"{-row['multiply_adds_reduction']:+.1%}",
        "quality": f"{row['quality_difference']:+.4f}",
    }
    low, high = row["quality_interval"]
    missed = [name for name in FIGURES if not row["reached"].get(name, True)]
    cells = [f"{texts[name]} !" if name in missed else texts[name] for name in FIGURES]
    return [*cells, f"{low:+.4f} to {high:+.4f}"]
