"""From a trained ranking model to a verified file: a small student, a spec, training, export."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from experiments import click_quality
from experiments.compression import Place, provenance, read_config
from experiments.data.clicks import Clicks, Split
from experiments.models import click_files, click_student, store, tf
from experiments.training import Trainer, TrainingConfig, Validation


@dataclass(frozen=True)
class ClickRecipe:
    """What to make of a teacher.

    Attributes:
      student: what `click_student.student_of` takes as sizes.
      spec: what to do to which layer.
      temperature: of the distillation. weight: its share of the loss.
      pairs: how many users and items put together at random are trained on beside the events; the
        teacher alone says what is right about them.
      training: how to train.

    Raises:
      ValueError: if pairs is below 0.
    """

    student: dict[str, Any]
    spec: tfc.Spec
    temperature: float
    weight: float
    pairs: int
    training: TrainingConfig

    def __post_init__(self) -> None:
        if self.pairs < 0:
            raise ValueError(f"Received pairs={self.pairs}, expected at least 0.")


def read_recipe(path: Path) -> ClickRecipe:
    """Reads a config file; see `compression.read_config`."""
    return read_config(path, ClickRecipe)


def compress(
    recipe: ClickRecipe,
    place: Place,
    data: Clicks,
    split: Split,
    stop: Callable[[], bool] = lambda: False,
) -> tfc.Exported:
    """Makes the student's folder.

    Args:
      recipe: what to make. place: where. data: MovieLens-1M as clicks.
      split: the events that the file is measured on. A recipe is chosen on "validation"; "test" is
        for the one that was chosen.
      stop: asked between two steps.

    Raises:
      Stopped: when stopped; the state is in `place.work`.
    """
    tf.keras.utils.set_random_seed(recipe.training.seed)
    teacher = store.load_model(place.teacher)
    student = click_student.student_of(teacher, recipe.student)
    print(tfc.plan(student, recipe.spec))
    student = tfc.apply(student, recipe.spec)
    curve = _train(recipe, (student, teacher), place.work, data, stop)
    return tfc.export(
        student,
        place.out,
        signatures=click_files.signatures(student.config),
        verify_with=click_files.verification_calls(student.config, data.rows("validation")),
        evaluate=lambda path: {
            **against_teacher(path, place.teacher / "model.tflite", data, split),
            "training": {**curve, **provenance()},
        },
    )


def _train(
    recipe: ClickRecipe,
    models: tuple[Any, Any],
    work: Path,
    data: Clicks,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    student, teacher = models
    distiller = tfc.distill(
        student, teacher, recipe.temperature, recipe.weight, click_student.forward
    )
    events, held_out = data.rows("train"), data.rows("validation")
    pairs = click_student.some_pairs(events, recipe.pairs, recipe.training.seed)
    rows = np.vstack([events, pairs])
    student_auc, teacher_auc = (_auc_on(held_out, model) for model in (student, teacher))
    made = {"student": recipe.student, "spec": json.loads(recipe.spec.to_json())}
    trainer = Trainer(
        distiller,
        click_student.with_answers(rows, click_files.keras_logits(teacher)(rows)),
        recipe.training,
        work / "checkpoint.npz",
        Validation(student_auc, "auc"),
        made | {"distillation": [recipe.temperature, recipe.weight]},
    )
    trainer.run(stop)
    distiller.set_weights(trainer.progress.best)
    progress = trainer.progress
    return {
        "taught_by": teacher_auc(),
        "best_epoch": progress.best_epoch,
        "validation": progress.curve,
    }


def _auc_on(rows: Any, model: Any) -> Callable[[], dict[str, float]]:
    """What measures the model as it then is."""
    answer = click_files.keras_probabilities(model)
    return lambda: {"auc": click_quality.quality(rows[:, -1], answer(rows))["auc"]}


def against_teacher(path: Path, teacher: Path, data: Clicks, split: Split) -> dict[str, Any]:
    """Quality and latency of two files, both by the files alone, in one run."""
    rows = data.rows(split)
    both = {"file": path, "teacher": teacher}
    said = {name: click_files.file_probabilities(file, rows) for name, file in both.items()}
    clicks = rows[:, -1]
    return {
        "split": split,
        "file": click_quality.quality(clicks, said["file"]),
        "teacher": click_quality.quality(clicks, said["teacher"])
        | {"bytes": teacher.stat().st_size},
        "times_smaller": teacher.stat().st_size / path.stat().st_size,
        **click_quality.comparison(clicks, said["file"], said["teacher"]),
        "latency": {
            "signature": click_files.CLICK,
            "threads": 1,
            "batches": [_latency(both, rows, batch) for batch in click_files.BATCHES],
        },
    }


def _latency(both: dict[str, Path], rows: Any, batch: int) -> dict[str, Any]:
    """Median times of a call with so many rows, the files taking turns."""
    asked = {
        name: click_files.calls(click_files.asked(file), rows, batch, 64)
        for name, file in both.items()
    }
    found = tfc.compare_latency(both, click_files.CLICK, asked)
    return {
        "batch": batch,
        "median_us": found["file"],
        "teacher_median_us": found["teacher"],
        "speedup": found["teacher"] / found["file"],
    }
