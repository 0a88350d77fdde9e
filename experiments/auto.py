"""Compresses a trained model to a budget by itself: python -m experiments.auto --out=DIR.

Of a retrieval teacher the recipe's student is compressed, which starts as its teacher, in float32;
of a ranking teacher the teacher itself is, trained as the recipe says. `tfcompress.auto` chooses
what to do to it, trains where it has to, and asks every file for its validation NDCG@10 or AUC.
`--beside=20` tries so many specs at random after it, within the same bytes (`experiments.beside`).
Killed at any moment, the same command goes on. `--out` gets summary.json: command, versions,
machine and all attempts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from absl import app, flags, logging

import tfcompress as tfc
from experiments import beside
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
BESIDE = flags.DEFINE_integer("beside", 0, "So many random trials beside auto.", lower_bound=0)
BESIDE_EPOCHS = flags.DEFINE_float("beside_epochs", 0.125, "Of each of these.", lower_bound=0.0)
BESIDE_SPACE = flags.DEFINE_string(
    "beside_space", None, "A file with the specs that they draw; by default what auto chooses from."
)


def subject_of(
    task: Task, recipe: Any, folder: Path, data: Any
) -> tuple[Any, tfc.AutoData, tfc.Budget]:
    """What is compressed of a teacher's folder, with which data, and to what budget."""

    def validation(path: Path) -> float:
        return float(task.quality(path, data, "validation", None)[task.judged])

    tf.keras.utils.set_random_seed(recipe.training.seed)
    float_file = folder / "model.tflite"
    least = KEEP.value * validation(float_file)
    subject = task.subject(recipe, folder, data, EPOCHS.value)
    size = round(SHARE.value * float_file.stat().st_size)
    given = tfc.AutoData(subject.probe, validation, subject.training, subject.shipping)
    return subject.model, given, tfc.Budget(bytes=size, quality=least)


def run(model: Any, data: tfc.AutoData, budget: tfc.Budget, seed: int) -> tfc.AutoResult:
    """Runs `tfcompress.auto`."""
    return tfc.auto(
        model,
        data,
        budget,
        start=START.value,
        keep_contract=KEEP_CONTRACT.value,
        settings=tfc.AutoSettings(OUT.value, attempts=ATTEMPTS.value, seed=seed),
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


def random_beside(
    model: Any, data: tfc.AutoData, result: tfc.AutoResult, seed: int
) -> dict[str, Any]:
    """Tries specs at random, and says what both sides came to after how many seconds."""
    given = BESIDE_SPACE.value
    space = tfc.Space.from_json(Path(given).read_text()) if given else None
    folder = Path(OUT.value) / "beside"
    how = beside.Beside(folder, BESIDE.value, BESIDE_EPOCHS.value, seed, space)
    found = beside.random_trials(model, data, result.budget.bytes, how)
    said = {"epochs_of_auto": EPOCHS.value, **beside.compared(result, found, how)}
    print(beside.lines(said, result.budget.quality or 0.0))
    return said


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    folder, out = Path(TEACHER.value), Path(OUT.value)
    task = task_in(folder)
    recipe = task.recipe(Path(CONFIG.value))
    model, data, budget = subject_of(
        task, recipe, folder, task.load(Path(DATA.value) if DATA.value else None)
    )
    result = run(model, data, budget, recipe.training.seed)
    target = Path(RESULTS.value) if RESULTS.value else out / "summary.json"
    content = written(result, task, recipe)
    _write(target, content)
    write_whole(out / PAGE, search_page(result.page_data(), out.resolve().name))
    print(result)
    if BESIDE.value:
        said = random_beside(model, data, result, recipe.training.seed)
        _write(target, {**content, "beside": said})
    print(json.dumps({"results": str(target), "met": result.met, "number": result.number}))


def _write(target: Path, content: dict[str, Any]) -> None:
    with replacing(target) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


if __name__ == "__main__":
    flags.mark_flags_as_required(["out"])
    app.run(main)
