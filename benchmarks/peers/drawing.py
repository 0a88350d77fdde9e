"""The rows as a table for documents and as a picture: size against quality and against time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

OURS = "tfcompress"


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table, the smallest file first, those without a file behind all others."""
    lines = [
        "| system | bytes | gzipped | quality | median call | of TFLite's float32 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in sorted(rows, key=_errors_last):
        if row["error"] is not None:
            text = row["error"].replace("|", "/")
            lines.append(f"| {row['system']} | fails: {text[:160]} | | | | |")
            continue
        lines.append(
            f"| {row['system']} | {row['bytes']:,} | {row['gzip_bytes']:,} | "
            f"{row['quality']:.4f} | {_times(row)} |"
        )
    return "\n".join(lines) + "\n"


def _times(row: Mapping[str, Any]) -> str:
    if row["p50_us"] is None:
        return "not timed | "
    return f"{row['p50_us']:.0f} µs | {row['p50_us'] / row['p50_us_float32']:.2f}"


def _errors_last(row: Mapping[str, Any]) -> tuple[bool, int]:
    return row["error"] is not None, row["bytes"] or 0


def settings(rows: Sequence[Mapping[str, Any]]) -> str:
    """A list of sentences, each with the systems that it is about."""
    about: dict[str, list[str]] = {}
    for row in rows:
        about.setdefault(row["setting"], []).append(row["system"])
    return "\n".join(f"- **{'; '.join(of)}**: {said}." for said, of in about.items()) + "\n"


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The tables of all models in Markdown, each under its picture."""
    parts = ["# Beside other tools\n"]
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        parts += [f"## {model}: {own[0]['metric']}\n", f"![](peers_{model}.png)\n", markdown(own)]
        parts += ["### How each was set\n", settings(own)]
    return "\n".join(parts)


def picture(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes a PNG: quality over bytes, and time over bytes."""
    made = [row for row in rows if row["error"] is None]
    figure = Figure(figsize=(12, 5), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, key, label in zip(
        axes, ("quality", "p50_us"), (made[0]["metric"], "median call, µs"), strict=True
    ):
        for row in (one for one in made if one[key] is not None):
            own = row["system"].startswith(OURS)
            axis.scatter(row["bytes"] / 1000, row[key], color="tab:red" if own else "tab:blue")
            axis.annotate(row["system"], (row["bytes"] / 1000, row[key]), fontsize=6)
        axis.set(xscale="log", xlabel="kB", ylabel=label)
    figure.suptitle(f"{made[0]['model']}: one file, test split, one thread")
    figure.savefig(path, dpi=120)
