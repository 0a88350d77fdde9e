"""What each technique harms in each layer: python -m experiments.sensitivity --out=DIR.

Tries every technique and strength in every layer of a retrieval model alone, without training: harm
to the logits on some histories, and NDCG@10 on validation. Killed at any moment, the same command
goes on behind the last finished cell. `--out` gets result.json with command, versions and machine,
and harm.png.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

from absl import app, flags, logging

import tfcompress as tfc
from experiments.compression import K, Recipe, provenance, read_recipe, started
from experiments.data import movielens
from experiments.files import replacing
from experiments.models import tf
from experiments.probing import probe

CONFIG = flags.DEFINE_string(
    "config", "experiments/configs/mobile-wide.json", "The recipe whose student is looked at."
)
TEACHER = flags.DEFINE_string("teacher", "saved_models/ml1m-teacher", "What the student starts as.")
OUT = flags.DEFINE_string("out", None, "The folder for cells, result and picture.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
USERS = flags.DEFINE_integer("users", 512, "How many users' histories the outputs are compared on.")
QUALITY = flags.DEFINE_bool("quality", True, "Whether to measure NDCG@10 of every cell, too.")


def measure(
    recipe: Recipe, teacher: Path, data: movielens.MovieLens, out: Path
) -> tuple[tfc.Sensitivity, float]:
    """The sensitivity of a recipe's student as it starts, and the seconds that this run took."""
    tf.keras.utils.set_random_seed(recipe.training.seed)
    start = started(recipe, teacher, data)
    asked = probe(start.data, start.student.config.length, USERS.value, QUALITY.value)
    begun = time.perf_counter()
    found = tfc.sensitivity(start.student, asked, folder=out)
    return found, time.perf_counter() - begun


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    recipe, out = read_recipe(Path(CONFIG.value)), Path(OUT.value)
    data = movielens.load(Path(DATA.value) if DATA.value else None)
    found, seconds = measure(recipe, Path(TEACHER.value), data, out)
    kept = {
        "config": CONFIG.value,
        "student": recipe.student,
        "seed": recipe.training.seed,
        "metric": f"validation NDCG@{K}" if QUALITY.value else None,
        "users": USERS.value,
        "seconds_of_cells": round(sum(cell.seconds for cell in found.cells), 1),
        "seconds_of_this_run": round(seconds, 1),
        **provenance(),
        "before": asdict(found.before),
        "rows": found.rows(),
    }
    with replacing(out / "result.json") as file:
        file.write((json.dumps(kept, indent=1) + "\n").encode())
    found.picture(out / "harm.png")
    print(found)


if __name__ == "__main__":
    flags.mark_flags_as_required(["out"])
    app.run(main)
