"""Evaluates a recommender's file alone: python -m experiments.evaluate --model=PATH.tflite.

All items are ranked for every user of the split, those already seen left out. The last line that
is printed is JSON.
"""

from __future__ import annotations

import json
from pathlib import Path

from absl import app, flags, logging

from experiments.data import movielens
from experiments.quality import comparison, file_ranks, quality

MODEL = flags.DEFINE_string("model", None, "The .tflite file.")
AGAINST = flags.DEFINE_string("against", None, "Another file, for a paired interval.")
SPLIT = flags.DEFINE_enum("split", "test", ["validation", "test"], "The held-out events.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    data = movielens.load(Path(DATA.value) if DATA.value else None)
    path = Path(MODEL.value)
    ranks = file_ranks(path, data, SPLIT.value)
    result = {"model": MODEL.value, "split": SPLIT.value, "bytes": path.stat().st_size}
    result |= quality(ranks)
    if AGAINST.value:
        result |= comparison(ranks, file_ranks(Path(AGAINST.value), data, SPLIT.value))
    print(json.dumps(result))


if __name__ == "__main__":
    flags.mark_flags_as_required(["model"])
    app.run(main)
