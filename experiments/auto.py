"""Compresses a retrieval model to a budget by itself: python -m experiments.auto --out=DIR.

The student of a recipe starts as its teacher, in float32; `tfcompress.auto` chooses what to do to
it, trains where it has to, and asks every file for its validation NDCG@10. Killed at any moment,
the same command goes on. `--out` gets summary.json: command, versions, machine and all attempts.
"""

from __future__ import annotations

import json
from pathlib import Path

from absl import app, flags, logging

import tfcompress as tfc
from experiments import quality, ranking
from experiments.compression import K, Recipe, items_text, provenance, read_recipe, started
from experiments.data import movielens
from experiments.files import replacing
from experiments.models import files, tf
from experiments.probing import probe, training
from tfcompress.page import PAGE, search_page
from tfcompress.whole import write_whole

CONFIG = flags.DEFINE_string(
    "config", "experiments/configs/mobile.json", "The recipe: student, teachers and training."
)
TEACHER = flags.DEFINE_string("teacher", "saved_models/ml1m-teacher", "What the student starts as.")
OUT = flags.DEFINE_string("out", None, "The work folder.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
SHARE = flags.DEFINE_float("share", 0.125, "The budget in bytes, of the teacher's float32 file.")
KEEP = flags.DEFINE_float("keep", 0.99, "The least NDCG@10, as a share of the teacher's file's.")
EPOCHS = flags.DEFINE_integer("epochs", 2, "Of each training; 0: none is trained.", lower_bound=0)
ATTEMPTS = flags.DEFINE_integer("attempts", 24, "At most so many files.", lower_bound=1)
START = flags.DEFINE_string("start", None, "The work folder of an earlier run, to begin there.")
KEEP_CONTRACT = flags.DEFINE_bool("keep_contract", False, "Whether to keep that run's contract.")


def validation(path: Path, data: movielens.MovieLens) -> float:
    """A file's NDCG@10 on validation."""
    return ranking.hr_ndcg(quality.file_ranks(path, data, "validation"), K)[1]


def run(recipe: Recipe, teacher_folder: Path, data: movielens.MovieLens) -> tfc.AutoResult:
    """Runs `tfcompress.auto` on the recipe's student."""
    tf.keras.utils.set_random_seed(recipe.training.seed)
    float_file = teacher_folder / "model.tflite"
    least = KEEP.value * validation(float_file, data)
    student, teacher, data = started(recipe, teacher_folder, data)
    shipping = tfc.Shipping(
        files.signatures(student.config),
        files.verification_calls(data, student.config.length),
        files={files.ITEMS: items_text(data)},
    )
    given = tfc.AutoData(
        probe(data, student.config.length, users=512, quality=False),
        lambda path: validation(path, data),
        training(recipe, teacher, data, EPOCHS.value) if EPOCHS.value else None,
        shipping,
    )
    size = round(SHARE.value * float_file.stat().st_size)
    return tfc.auto(
        student,
        given,
        tfc.Budget(bytes=size, quality=least),
        start=START.value,
        keep_contract=KEEP_CONTRACT.value,
        settings=tfc.AutoSettings(OUT.value, attempts=ATTEMPTS.value, seed=recipe.training.seed),
    )


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    recipe, out = read_recipe(Path(CONFIG.value)), Path(OUT.value)
    data = movielens.load(Path(DATA.value) if DATA.value else None)
    result = run(recipe, Path(TEACHER.value), data)
    kept = {
        "config": CONFIG.value,
        "seed": recipe.training.seed,
        "metric": f"validation NDCG@{K} of the files",
        "budget": {"bytes": result.budget.bytes, "quality": result.budget.quality},
        "float_file": {"bytes": result.baseline.bytes, "quality": result.baseline.quality},
        "met": result.met,
        "verdict": result.verdict,
        "number": result.number,
        "least_bytes": result.least_bytes,
        "enough_bytes": result.enough_bytes,
        "seconds": round(result.seconds, 1),
        **provenance(),
        "attempts": result.rows(),
    }
    with replacing(out / "summary.json") as file:
        file.write((json.dumps(kept, indent=1) + "\n").encode())
    write_whole(out / PAGE, search_page(result.page_data(), out.resolve().name))
    print(result)


if __name__ == "__main__":
    flags.mark_flags_as_required(["out"])
    app.run(main)
