"""What became of a sweep's front on the test split, and its picture beside other tools' files."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import tfcompress as tfc
from experiments import quality
from experiments.data import movielens
from experiments.files import replacing
from experiments.models import files

_OURS = "tfcompress"  # how rows of this project begin


def tested(paths: Mapping[str, Path], data: movielens.MovieLens) -> list[dict[str, Any]]:
    """Quality on the test split and median time of `recommend`, one row a file.

    Args:
      paths: files by name; the others are compared with the first. data: MovieLens-1M.
    """
    calls = {name: _calls(path, data) for name, path in paths.items()}
    times = tfc.compare_latency(paths, "recommend", calls)
    ranks = {name: quality.file_ranks(path, data, "test") for name, path in paths.items()}
    first = next(iter(paths))
    return [
        {
            "system": name,
            "bytes": path.stat().st_size,
            "p50_us": times[name],
            **quality.quality(ranks[name]),
            **({} if name == first else quality.comparison(ranks[name], ranks[first])),
        }
        for name, path in paths.items()
    ]


def _calls(path: Path, data: movielens.MovieLens) -> list[files.Inputs]:
    return files.example_calls(files.numbered_for(path, data), files.history_length(path))


def draw(own: Sequence[Mapping[str, Any]], peers: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes a picture: NDCG@10 on the test split over bytes.

    Args:
      own: rows of `tested`. peers: rows of the record of `benchmarks.peers`.
      path: a PNG, SVG or PDF.
    """
    teacher, *front = own
    least = 0.99 * teacher["ndcg@10"]
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    others = [row for row in peers if not row["error"] and not row["system"].startswith(_OURS)]
    axes.scatter([row["bytes"] / 1000 for row in others], [row["quality"] for row in others],
                 marker="s", color="tab:gray", label="other tools' files")  # fmt: skip
    unbeaten = tfc.pareto_front([(row["bytes"], -row["quality"]) for row in others])
    for place, row in enumerate(itertools.compress(others, unbeaten)):
        axes.annotate(row["system"], (row["bytes"] / 1000, row["quality"]), fontsize=7,
                      xytext=(3, -9 * (place % 3 + 1)), textcoords="offset points")  # fmt: skip
    front = sorted(front, key=lambda row: row["bytes"])
    axes.plot([row["bytes"] / 1000 for row in front], [row["ndcg@10"] for row in front],
              marker="o", color="tab:red", label="the sweep's front")  # fmt: skip
    axes.axhline(least, linestyle=":", label="99 % of the teacher")
    axes.set(xscale="log", xlabel="kB of the file", ylabel="NDCG@10, test split",
             ylim=(0.8 * teacher["ndcg@10"], 1.02 * teacher["ndcg@10"]))  # fmt: skip
    axes.legend(loc="lower right")
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix("."), dpi=120)
