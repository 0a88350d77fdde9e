"""The table that a compression ends with: teacher and compressed file side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from tfcompress import Exported

COLUMNS = (
    "", "bytes", "gzip", "parameters", "multiply-adds", "HR@10", "NDCG@10", "median latency"
)  # fmt: skip


def comparison_table(made: Exported, teacher: Path) -> Table:
    """Both files' sizes, work, quality on a split, and latency of `recommend`."""
    split = made.report["evaluation"]["split"]
    table = Table(title=f"MovieLens-1M, {split} split, all items ranked, by the files alone")
    for index, name in enumerate(COLUMNS):
        table.add_column(name, justify="right" if index else "left")
    found = made.report["evaluation"]
    before = json.loads((teacher / "report.json").read_text())
    latency = found["latency"]
    table.add_row("teacher, float32", *_row(before, found["teacher"], latency["teacher_median_us"]))
    table.add_row("compressed", *_row(made.report, found["file"], latency["median_us"]))
    table.add_section()
    table.add_row("ratio", *_ratios(before, made.report, found))
    return table


def _row(report: dict[str, Any], quality: dict[str, Any], microseconds: float) -> list[str]:
    sizes = report["sizes"]
    return [
        f"{sizes['bytes']:,}",
        f"{sizes['gzip_bytes']:,}",
        f"{report['parameters']:,}",
        f"{report['multiply_adds']['recommend']:,}",
        f"{quality['hr@10']:.4f}",
        f"{quality['ndcg@10']:.4f}",
        f"{microseconds:.0f} µs",
    ]


def _ratios(before: dict[str, Any], after: dict[str, Any], found: dict[str, Any]) -> list[str]:
    pairs = [
        (before["sizes"]["bytes"], after["sizes"]["bytes"]),
        (before["sizes"]["gzip_bytes"], after["sizes"]["gzip_bytes"]),
        (before["parameters"], after["parameters"]),
        (before["multiply_adds"]["recommend"], after["multiply_adds"]["recommend"]),
    ]
    kept = [found["file"][name] / found["teacher"][name] for name in ("hr@10", "ndcg@10")]
    return [
        *(f"{a / b:.1f}x less" for a, b in pairs),
        *(f"{share:.1%}" for share in kept),
        f"{found['latency']['speedup']:.1f}x less",
    ]
