"""Evaluates a recommender's file alone: python -m experiments.evaluate --model=PATH.tflite.

A retrieval file ranks all items for every user of the split, those already seen left out; a ranking
file gives the probability of each of the split's clicks. The last line that is printed is JSON.
"""

from __future__ import annotations

import json
from pathlib import Path

from absl import app, flags, logging

from experiments.tasks import task_of_file

MODEL = flags.DEFINE_string("model", None, "The .tflite file.")
AGAINST = flags.DEFINE_string("against", None, "Another file, for a paired interval.")
SPLIT = flags.DEFINE_enum("split", "test", ["validation", "test"], "The held-out events.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    path = Path(MODEL.value)
    task = task_of_file(path)
    data = task.load(Path(DATA.value) if DATA.value else None)
    against = Path(AGAINST.value) if AGAINST.value else None
    result = {"model": MODEL.value, "split": SPLIT.value, "bytes": path.stat().st_size}
    result |= task.quality(path, data, SPLIT.value, against)
    print(json.dumps(result))


if __name__ == "__main__":
    flags.mark_flags_as_required(["model"])
    app.run(main)
