"""The main job in one command: python -m experiments.demo.

Fetches MovieLens-1M, loads the trained teacher, compresses it by a spec, trains the student for a
few epochs, exports, and evaluates the exported file beside the teacher's. `ml1m-mobile`, which is
smaller, has narrower rows and had many more epochs.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from absl import app, flags, logging

from experiments.compression import Place, compress, read_recipe
from experiments.data import movielens
from experiments.stopping import StopRequest
from experiments.table import comparison_table
from experiments.training import Stopped
from tfcompress.page import PAGE, REPORT
from tfcompress.report import text_of

DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
OUT = flags.DEFINE_string("out", "build/demo", "Where the file, its report and the page of it go.")
EPOCHS = flags.DEFINE_integer("epochs", 3, "Epochs of training.")

CONFIG = Path("experiments/configs/mobile-wide.json")
TEACHER = Path("saved_models/ml1m-teacher")


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    print("Data: MovieLens-1M")
    data = movielens.load(Path(DATA.value) if DATA.value else None)
    recipe = read_recipe(CONFIG)
    recipe = replace(recipe, training=replace(recipe.training, epochs=EPOCHS.value))
    out, stop = Path(OUT.value), StopRequest()
    stop.install()
    work = out.with_name(out.name + ".work")
    try:
        made = compress(recipe, Place(TEACHER, out, work), data, "test", stop)
    except Stopped as error:
        print(error, file=sys.stderr)
        sys.exit(128 + stop.received)
    shutil.rmtree(work)
    print(made)
    print(text_of(comparison_table(made, TEACHER)))
    print(f"File:   {made.model}\nReport: {out / REPORT}\nPage:   {out / PAGE}")


if __name__ == "__main__":
    app.run(main)
