"""Asks the files on a sweep's front for the test split: python -m experiments.front --sweep=DIR.

A sweep chooses on validation events. This looks at the test events once, for the files that it
chose, times them and the teacher's file in turns, writes all that into the sweep's results, and
draws the front beside the files of other tools (benchmarks/results/peers.json). Asked again, it
only draws.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from absl import app, flags, logging

import tfcompress as tfc
from experiments.data import movielens
from experiments.files import replacing
from experiments.fronts import draw, tested

SWEEP = flags.DEFINE_string("sweep", None, "The folder of a sweep that ended.")
RESULTS = flags.DEFINE_string("results", None, "Its results; by default results.json in --sweep.")
TEACHER = flags.DEFINE_string("teacher", "saved_models/ml1m-teacher", "The teacher's folder.")
PEERS = flags.DEFINE_string("peers", "benchmarks/results/peers.json", "Files of other tools.")
PICTURE = flags.DEFINE_string("picture", None, "The picture; by default front.png in --sweep.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
FLOAT = "teacher, float32"


def _looked(folder: Path) -> dict[str, Any]:
    """What the test split says of the front's files, and how that was asked."""
    data = movielens.load(Path(DATA.value) if DATA.value else None)
    paths = {FLOAT: Path(TEACHER.value) / "model.tflite"}
    for trial in tfc.SearchResult.read(folder).front:
        if trial.file is not None:
            paths[f"trial {trial.number}"] = trial.file
    command = shlex.join(["python", "-m", "experiments.front", *sys.argv[1:]])
    return {"command": command, "threads": 1, "rows": tested(paths, data)}


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    folder = Path(SWEEP.value)
    target = Path(RESULTS.value) if RESULTS.value else folder / "results.json"
    content = json.loads(target.read_text())
    if "test" not in content:
        content["test"] = _looked(folder)
        with replacing(target) as file:
            file.write((json.dumps(content, indent=1) + "\n").encode())
    rows = content["test"]["rows"]
    peers = json.loads(Path(PEERS.value).read_text())["rows"]
    retrieval = [row for row in peers if row["model"] == "retrieval"]
    draw(rows, retrieval, Path(PICTURE.value) if PICTURE.value else folder / "front.png")
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    flags.mark_flags_as_required(["sweep"])
    app.run(main)
