"""What a run of `online` ends with: its table and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from experiments.files import replacing
from experiments.systems.foretelling import K

LABELS = {
    "float32": "float32, never updated",
    "never": "compressed, never updated",
    "updated": "compressed, updated every week",
    "from_scratch": "retrained and compressed from scratch",
}
_NDCG = f"ndcg@{K}"


def table(record: Mapping[str, Any]) -> Table:
    """Week by week how well each system foretold, and what an update took.

    Args:
      record: what `online.record` returned.
    """
    drawn = Table(title=f"online: {record['data']['name']}, NDCG@{K} by the files alone")
    for name in ("week of", "events", "float32", "never", "updated", "from scratch", "seconds"):
        drawn.add_column(name, justify="left" if name == "week of" else "right")
    for row in record["weeks"]:
        update = row.get("update")
        spent = "" if update is None else f"{sum(update['seconds'].values()):.1f}"
        drawn.add_row(row["start"], f"{row['events']:,}", *_cells(row["quality"]), spent)
    cost, never = record["cost"], record["beside_never"]
    low, high = never["interval"]
    drawn.caption = (
        f"updated - never {never['difference']:+.4f} ({low:+.4f} to {high:+.4f}); "
        f"an update takes {cost['update_seconds']:.1f} s, from scratch "
        f"{cost['from_scratch_seconds']:.0f} s; file -{record['size_reduction']:.1%}, "
        f"{record['speedup']:.2f}x"
    )
    return drawn


def _cells(quality: Mapping[str, Any]) -> list[str]:
    return [f"{quality[name][_NDCG]:.4f}" if name in quality else "" for name in LABELS]


def draw(record: Mapping[str, Any], path: Path) -> None:
    """Writes a picture: quality week by week, and the seconds that each week took.

    Args:
      record: what `online.record` returned. path: a PNG, SVG or PDF.
    """
    rows = record["weeks"]
    figure = Figure(figsize=(8, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    styles = dict(zip(LABELS, (":", "--", "-", ""), strict=True))
    for name, label in LABELS.items():
        places = [place for place, row in enumerate(rows) if name in row["quality"]]
        values = [rows[place]["quality"][name][_NDCG] for place in places]
        upper.plot(places, values, marker="o", linestyle=styles[name], label=label)
    upper.set(ylabel=f"NDCG@{K} of the week's events")
    upper.legend()
    for name, key in (("updated", "update"), ("from_scratch", "retraining_seconds")):
        places = [place for place, row in enumerate(rows) if key in row]
        found = [rows[place][key] for place in places]
        spent = [sum(one.get("seconds", one).values()) for one in found]
        color = f"C{list(LABELS).index(name)}"
        lower.scatter(places, spent, marker="o", color=color, label=LABELS[name])
    lower.set(yscale="log", ylabel="seconds")
    lower.set_xticks(range(len(rows)), [row["start"] for row in rows], rotation=45, ha="right")
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix("."), dpi=120)
