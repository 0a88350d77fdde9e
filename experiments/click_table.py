"""The table that a ranking model's compression ends with: teacher and compressed file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from tfcompress import Exported


def comparison_table(made: Exported, teacher: Path) -> Table:
    """Both files' sizes, work, AUC on a split, and latency of each size of batch."""
    found = made.report["evaluation"]
    before = json.loads((teacher / "report.json").read_text())
    timed = found["latency"]["batches"]
    table = Table(title=f"MovieLens-1M as clicks, {found['split']} split, by the files alone")
    names = ("bytes", "gzip", "parameters", "AUC", *(f"batch of {t['batch']}" for t in timed))
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    times = [[t[f"{who}median_us"] for t in timed] for who in ("teacher_", "")]
    table.add_row("teacher, float32", *_row(before, found["teacher"]["auc"], times[0]))
    table.add_row("compressed", *_row(made.report, found["file"]["auc"], times[1]))
    table.add_section()
    ratios = [a / b for a, b in zip(_sizes(before), _sizes(made.report), strict=True)]
    table.add_row(
        "ratio",
        *(f"{ratio:.1f}x less" for ratio in ratios),
        f"{found['auc_difference']:+.4f}",
        *(f"{t['speedup']:.1f}x less" for t in timed),
    )
    return table


def _sizes(report: dict[str, Any]) -> tuple[int, int, int]:
    sizes = report["sizes"]
    return sizes["bytes"], sizes["gzip_bytes"], report["parameters"]


def _row(report: dict[str, Any], auc: float, microseconds: list[float]) -> list[str]:
    return [
        *(f"{size:,}" for size in _sizes(report)),
        f"{auc:.4f}",
        *(f"{time:.1f} µs" for time in microseconds),
    ]
