"""Compresses a teacher: python -m experiments.compress --config=PATH.json --out=DIR.

Builds the student, applies the spec, trains with the teacher, exports, and evaluates the exported
file. Stops cleanly on SIGINT or SIGTERM; the same command resumes where it stopped.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from absl import app, flags, logging

from experiments.compression import Place
from experiments.stopping import StopRequest
from experiments.tasks import task_in
from experiments.training import Stopped
from tfcompress.report import text_of

CONFIG = flags.DEFINE_string("config", "experiments/configs/mobile.json", "What to make.")
TEACHER = flags.DEFINE_string("teacher", "saved_models/ml1m-teacher", "What to measure against.")
OUT = flags.DEFINE_string("out", None, "The folder for the file, its spec and its report.")
WORK = flags.DEFINE_string("work", None, "The folder for the checkpoint; by default OUT.work.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
SPLIT = flags.DEFINE_enum(
    "split", "validation", ["validation", "test"],
    "The held-out events that the file is measured on; test is for the recipe that was chosen.",
)  # fmt: skip
EPOCHS = flags.DEFINE_integer("epochs", None, "Instead of the config's number of epochs.")


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    task = task_in(Path(TEACHER.value))
    recipe = task.recipe(Path(CONFIG.value))
    if EPOCHS.value is not None:
        recipe = replace(recipe, training=replace(recipe.training, epochs=EPOCHS.value))
    data = task.load(Path(DATA.value) if DATA.value else None)
    out = Path(OUT.value)
    work = Path(WORK.value or f"{out}.work")
    stop = StopRequest()
    stop.install()
    try:
        place = Place(Path(TEACHER.value), out, work)
        made = task.compress(recipe, place, data, SPLIT.value, stop)
    except Stopped as error:
        print(error, file=sys.stderr)
        sys.exit(128 + stop.received)
    if SPLIT.value == "test":  # until then the next run goes on from here
        shutil.rmtree(work)
    print(made)
    print(text_of(task.table(made, Path(TEACHER.value))))
    evaluation = made.report["evaluation"]
    print(json.dumps({"out": str(out), **evaluation["file"], **evaluation["latency"]}))


if __name__ == "__main__":
    flags.mark_flags_as_required(["out"])
    app.run(main)
