"""What the files of the multi-modal system are worth and cost, beside their teacher's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from experiments.systems.fused_quality import (
    QUESTIONS,
    K,
    file_scorer,
    popularity_scorer,
    qualities,
)
from experiments.systems.fusing import Fusing
from experiments.systems.measuring import (
    TEACHER,
    Files,
    difference,
    largest_share,
    latency,
    of_both,
)

POPULARITY = "popularity"
MAIN = "recommend"
Calls = Mapping[str, Sequence[Mapping[str, npt.NDArray[np.int32]]]]
Qualities = Mapping[str, npt.NDArray[np.float64]]  # of each question, float [runs, examples]


def measured(subject: Fusing, runs: Sequence[Files], asked: Calls) -> list[dict[str, Any]]:
    """A row for popularity and for each file; test events are looked at here and nowhere else.

    Args:
      subject: the data.
      runs: for each seed the files by name, the teacher's first.
      asked: inputs of calls by signature, to be timed.
    """
    names = list(runs[0])
    popular = qualities(popularity_scorer(subject), subject, "test")
    found: dict[str, Qualities] = {
        POPULARITY: {name: np.stack([values] * len(runs)) for name, values in popular.items()}
    }
    for name in names:
        of_runs = [
            qualities(file_scorer(run[name].model, subject), subject, "test") for run in runs
        ]
        found[name] = {one: np.stack([run[one] for run in of_runs]) for one in QUESTIONS}
    times = {one: latency(runs, one, asked[one]) for one in (MAIN, "describe")}
    rows: list[dict[str, Any]] = [{"way": POPULARITY} | _compared(found, POPULARITY)]
    for name in names:
        rows.append({"way": name} | _compared(found, name) | _costs(name, runs, times))
    return rows


def _compared(found: Mapping[str, Qualities], name: str) -> dict[str, Any]:
    """A row's qualities beside the teacher's, those of cold films under their question."""
    warm, *others = (difference(found[name][q], found[TEACHER][q]) for q in QUESTIONS)
    return warm | dict(zip(QUESTIONS[1:], others, strict=True))


def _costs(
    name: str, runs: Sequence[Files], latencies: Mapping[str, Mapping[str, Sequence[float]]]
) -> dict[str, Any]:
    """What a file costs beside the teacher's: of several runs the worst."""
    size = of_both(name, runs, lambda one: int(one.report["sizes"]["bytes"]))
    work = of_both(name, runs, lambda one: int(one.report["multiply_adds"][MAIN]))
    times = {
        signature: {"file": list(found[name]), TEACHER: list(found[TEACHER])}
        for signature, found in latencies.items()
        if name in found
    }
    speedups = {signature: 1 / largest_share(both) for signature, both in times.items()}
    return {
        "size_reduction": 1 - largest_share(size),
        "speedup": speedups.pop(MAIN),
        "multiply_adds_reduction": 1 - largest_share(work),
        **{f"speedup_{signature}": value for signature, value in speedups.items()},
        "bytes": size,
        "gzip_bytes": of_both(name, runs, lambda one: int(one.report["sizes"]["gzip_bytes"])),
        "multiply_adds": work,
        "median_us": times,
    }


def table(record: Mapping[str, Any]) -> Table:
    """What each model knows, and what its file costs.

    Args:
      record: what `record` returned.
    """
    drawn = Table(title=f"{record['system']}: {record['data']['name']}, by the files alone")
    drawn.add_column("")
    for name in ("bytes", "recommend", f"{K} warm", "95 % interval", "cold", "among cold"):
        drawn.add_column(name.replace(f"{K} ", f"NDCG@{K} "), justify="right")
    for row in record["rows"]:
        low, high = row["quality_interval"]
        costs = ["", ""]
        if "bytes" in row:
            costs = [
                f"{max(row['bytes']['file']):,}",
                f"{max(row['median_us'][MAIN]['file']):.0f} us",
            ]
        cold = [f"{row[question]['quality']:.4f}" for question in QUESTIONS[1:]]
        quality = [f"{row['quality']:.4f}", f"{low:+.4f} to {high:+.4f}"]
        drawn.add_row(row["way"], *costs, *quality, *cold)
    drawn.caption = (
        f"{record['way']}: size {-record['size_reduction']:+.1%}, {record['speedup']:.2f}x, "
        f"multiply-adds {-record['multiply_adds_reduction']:+.1%}; the interval is that of the "
        "difference to the teacher"
    )
    return drawn
