"""Asks the files on a sweep's front for the test split: python -m experiments.front --sweep=DIR.

A sweep chooses on validation events. This looks at the test events once, for the files that it
chose, times them and the teacher's file in turns, writes all that into the sweep's results, and
draws the front beside the files of other tools (benchmarks/results/peers.json).
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from matplotlib.figure import Figure

import tfcompress as tfc
from experiments import quality
from experiments.data import movielens
from experiments.files import replacing
from experiments.models import files

SWEEP = flags.DEFINE_string("sweep", None, "The folder of a sweep that ended.")
RESULTS = flags.DEFINE_string("results", None, "Its results; by default results.json in --sweep.")
TEACHER = flags.DEFINE_string("teacher", "saved_models/ml1m-teacher", "The teacher's folder.")
PEERS = flags.DEFINE_string("peers", "benchmarks/results/peers.json", "Files of other tools.")
PICTURE = flags.DEFINE_string("picture", None, "The picture; by default front.png in --sweep.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
FLOAT, OURS = "teacher, float32", "tfcompress"


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
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    others = [row for row in peers if not row["error"] and not row["system"].startswith(OURS)]
    axes.scatter([row["bytes"] / 1000 for row in others], [row["quality"] for row in others],
                 marker="s", color="tab:gray", label="other tools' files")  # fmt: skip
    for row in others:
        axes.annotate(row["system"], (row["bytes"] / 1000, row["quality"]), fontsize=6)
    front = sorted(front, key=lambda row: row["bytes"])
    axes.plot([row["bytes"] / 1000 for row in front], [row["ndcg@10"] for row in front],
              marker="o", color="tab:red", label="the sweep's front")  # fmt: skip
    axes.axhline(0.99 * teacher["ndcg@10"], linestyle=":", label="99 % of the teacher")
    axes.set(xscale="log", xlabel="kB of the file", ylabel="NDCG@10, test split")
    axes.legend(loc="lower right")
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix("."), dpi=120)


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    folder = Path(SWEEP.value)
    target = Path(RESULTS.value) if RESULTS.value else folder / "results.json"
    content = json.loads(target.read_text())
    if "test" in content:
        raise app.UsageError(f"{target} has looked at the test split; expected that once only.")
    peers = json.loads(Path(PEERS.value).read_text())["rows"]
    data = movielens.load(Path(DATA.value) if DATA.value else None)
    paths = {FLOAT: Path(TEACHER.value) / "model.tflite"}
    for trial in tfc.SearchResult.read(folder).front:
        if trial.file is not None:
            paths[f"trial {trial.number}"] = trial.file
    rows = tested(paths, data)
    content["test"] = {"command": shlex.join(["python", "-m", "experiments.front", *sys.argv[1:]]),
                       "threads": 1, "rows": rows}  # fmt: skip
    with replacing(target) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())
    retrieval = [row for row in peers if row["model"] == "retrieval"]
    draw(rows, retrieval, Path(PICTURE.value) if PICTURE.value else folder / "front.png")
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    flags.mark_flags_as_required(["sweep"])
    app.run(main)
