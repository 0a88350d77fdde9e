"""Compresses a trained model to a budget by itself: python -m experiments.auto --out=DIR.

Of a retrieval teacher the recipe's student is compressed, which starts as its teacher, in float32;
of a ranking teacher the teacher itself is, trained as the recipe says. `tfcompress.auto` chooses
what to do to it, trains where it has to, and asks every file for its validation NDCG@10 or AUC.
Killed at any moment, the same command goes on. `--out` gets summary.json: command, versions,
machine and all attempts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from absl import app, flags, logging

import tfcompress as tfc
from experiments.compression import provenance
from experiments.files import replacing
from experiments.models import tf
from experiments.task import Task
from experiments.tasks import task_in
from tfcompress.page import PAGE, search_page
from tfcompress.whole import write_whole

CONFIG = flags.DEFINE_string(
    "config", "experiments/configs/mobile-wide.json", "The recipe: student, teachers and training."
)
TEACHER = flags.DEFINE_string("teacher", "saved_models/ml1m-teacher", "The trained model.")
OUT = flags.DEFINE_string("out", None, "The work folder.")
RESULTS = flags.DEFINE_string("results", None, "The file for the results; by default in --out.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
SHARE = flags.DEFINE_float("share", 0.125, "The budget in bytes, of the teacher's float32 file.")
KEEP = flags.DEFINE_float("keep", 0.99, "The least quality, as a share of the teacher's file's.")
EPOCHS = flags.DEFINE_integer("epochs", 2, "Of each training; 0: none is trained.", lower_bound=0)
ATTEMPTS = flags.DEFINE_integer("attempts", 24, "At most so many files.", lower_bound=1)
START = flags.DEFINE_string("start", None, "The work folder of an earlier run, to begin there.")
KEEP_CONTRACT = flags.DEFINE_bool("keep_contract", False, "Whether to keep that run's contract.")


def run(task: Task, recipe: Any, folder: Path, data: Any) -> tfc.AutoResult:
    """Runs `tfcompress.auto` on what the task compresses of a teacher's folder."""

    def validation(path: Path) -> float:
        return float(task.quality(path, data, "validation", None)[task.judged])

    tf.keras.utils.set_random_seed(recipe.training.seed)
    float_file = folder / "model.tflite"
    least = KEEP.value * validation(float_file)
    subject = task.subject(recipe, folder, data, EPOCHS.value)
    size = round(SHARE.value * float_file.stat().st_size)
    return tfc.auto(
        subject.model,
        tfc.AutoData(subject.probe, validation, subject.training, subject.shipping),
        tfc.Budget(bytes=size, quality=least),
        start=START.value,
        keep_contract=KEEP_CONTRACT.value,
        settings=tfc.AutoSettings(OUT.value, attempts=ATTEMPTS.value, seed=recipe.training.seed),
    )


def written(result: tfc.AutoResult, task: Task, recipe: Any) -> dict[str, Any]:
    """What goes into the results: budget, verdict, versions, machine, and every attempt."""
    return {
        "config": CONFIG.value,
        "teacher": TEACHER.value,
        "seed": recipe.training.seed,
        "metric": f"validation {task.judged} of the files",
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


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    folder, out = Path(TEACHER.value), Path(OUT.value)
    task = task_in(folder)
    recipe = task.recipe(Path(CONFIG.value))
    data = task.load(Path(DATA.value) if DATA.value else None)
    result = run(task, recipe, folder, data)
    target = Path(RESULTS.value) if RESULTS.value else out / "summary.json"
    with replacing(target) as file:
        file.write((json.dumps(written(result, task, recipe), indent=1) + "\n").encode())
    write_whole(out / PAGE, search_page(result.page_data(), out.resolve().name))
    print(result)
    print(json.dumps({"results": str(target), "met": result.met, "number": result.number}))


if __name__ == "__main__":
    flags.mark_flags_as_required(["out"])
    app.run(main)
