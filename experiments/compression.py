"""From a teacher to a verified file: build the student, apply the spec, train, export, evaluate."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import tfcompress as tfc
from experiments import quality, ranking
from experiments.data import movielens
from experiments.machine import cpu_model
from experiments.models import files, store, tf
from experiments.models.linear import Linear, assisted
from experiments.models.narrow import NarrowConfig
from experiments.models.narrow_student import narrow_student_of
from experiments.models.numbers import ByFrequency
from experiments.models.student import forward_on, renumbered, student_of
from experiments.training import Trainer, TrainingConfig, Validation

K = 10
NARROW = ("frequent", "widths")  # fields of NarrowConfig alone
Made = TypeVar("Made")
PACKAGES = (
    "tensorflow",
    "tf-keras",
    "tensorflow-recommenders",
    "litert-quantizer",
    "ai-edge-litert",
)


@dataclass(frozen=True)
class Recipe:
    """What to make of a teacher.

    Attributes:
      student: fields of MobileConfig that differ from the teacher's, or of NarrowConfig.
      spec: what to do to which layer.
      linear: the linear model that teaches beside the teacher; None: the teacher teaches alone.
      temperature: of the distillation. weight: its share of the loss. positions: its sample.
      fresh, dropped: which positions and which events it uses, see `forward_on`.
      training: how to train.
    """

    student: dict[str, Any]
    spec: tfc.Spec
    linear: Linear | None
    temperature: float
    weight: float
    positions: int
    fresh: int
    dropped: float
    training: TrainingConfig


def read_recipe(path: Path) -> Recipe:
    """Reads a config file; see `read_config`."""

    def made(linear: dict[str, Any] | None = None, **fields: Any) -> Recipe:
        return Recipe(linear=None if linear is None else Linear(**linear), **fields)

    return read_config(path, made)


def read_config(path: Path, made: Callable[..., Made]) -> Made:
    """What a function makes of a config file, the fields of whose distillation it gets by name.

    Args:
      path: the file; the spec's path in it is relative to the folder above it.
      made: takes student, spec, training and the fields of distillation.

    Raises:
      ValueError: if a section or field is missing, unknown or out of range; it names the file.
    """
    try:
        content = json.loads(path.read_text())
        expected = ["distillation", "spec", "student", "training"]
        if sorted(content) != expected:
            raise ValueError(f"received sections {sorted(content)}, expected {expected}")
        return made(
            student=content["student"],
            spec=tfc.Spec.from_json((path.parent.parent / content["spec"]).read_text()),
            training=TrainingConfig(**content["training"]),
            **content["distillation"],
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


@dataclass(frozen=True)
class Place:
    """Where a compression reads and writes.

    Attributes:
      teacher: the folder of the trained model that the student starts as and learns from, and of
        its float32 file, which the student's is measured against.
      out: gets model.tflite, spec.json, report.json, report.html and items.txt.
      work: holds the checkpoint until the end.
    """

    teacher: Path
    out: Path
    work: Path


def compress(
    recipe: Recipe,
    place: Place,
    data: movielens.MovieLens,
    split: movielens.Split,
    stop: Callable[[], bool] = lambda: False,
) -> tfc.Exported:
    """Makes the student's folder.

    Args:
      recipe: what to make.
      place: where.
      data: MovieLens-1M.
      split: the held-out events that the file is measured on. A recipe is chosen on "validation";
        "test" is for the one that was chosen.
      stop: asked between two steps.

    Raises:
      Stopped: when stopped; the state is in `place.work`.
    """
    tf.keras.utils.set_random_seed(recipe.training.seed)
    start = started(recipe, place.teacher, data)
    print(tfc.plan(start.student, recipe.spec))
    student = tfc.apply(start.student, recipe.spec)
    curve = _train(recipe, student, start, place.work, stop)
    sizes = student.config
    return tfc.export(
        student,
        place.out,
        signatures=files.signatures(sizes, start.numbers),
        verify_with=files.verification_calls(data, sizes.length),
        files={files.ITEMS: items_text(data)},
        evaluate=lambda path: {
            **against_teacher(path, place.teacher / "model.tflite", data, split),
            "training": {**curve, **provenance()},
        },
    )


@dataclass(frozen=True)
class Start:
    """What a training starts with.

    Attributes:
      student: in float32. teacher: whose items have the student's numbers.
      data: in these numbers, too.
      numbers: how they are made of those by title; None: they are the same.
    """

    student: Any
    teacher: Any
    data: movielens.MovieLens
    numbers: ByFrequency | None


def started(recipe: Recipe, folder: Path, data: movielens.MovieLens) -> Start:
    """The student of a recipe, its teacher and its data.

    Args:
      recipe: what to make. folder: the teacher's. data: MovieLens-1M, numbered by title.
    """
    teacher, numbers = store.load_model(folder), None
    narrow = [name for name in NARROW if name in recipe.student]
    if narrow:
        numbers = ByFrequency(tuple(movielens.counts(data).tolist()))
        data = movielens.renumbered(data, tuple(data.titles[item] for item in numbers.ids))
        teacher = renumbered(teacher, numbers.ids)
    sizes = {name: size for name, size in recipe.student.items() if name not in narrow}
    student = student_of(teacher, sizes, some_histories(data, teacher))
    if numbers is not None:
        config = NarrowConfig(**asdict(student.config) | recipe.student)
        student = narrow_student_of(student, config, movielens.counts(data))
    return Start(student, teacher, data, numbers)


def some_histories(data: movielens.MovieLens, teacher: Any) -> Any:
    """int32 [n, teacher's length], n at most 2,048."""
    windows = movielens.windows(data, teacher.config.length)
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), 2048)).astype(int)
    return windows[chosen, :-1]


def _train(
    recipe: Recipe,
    student: Any,
    start: Start,
    work: Path,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    teacher, data = start.teacher, start.data
    taught_by = assisted(teacher, data.train, recipe.linear)
    distiller = tfc.distill(
        student,
        taught_by,
        recipe.temperature,
        recipe.weight,
        forward_on(recipe.positions, recipe.fresh, recipe.dropped),
    )
    length = student.config.length
    evaluated = partial(ranking.evaluate, store.scorer(student), data, "validation", length)
    whole = ranking.evaluate(store.scorer(taught_by), data, "validation", teacher.config.length)
    trainer = Trainer(
        distiller,
        movielens.windows(data, teacher.config.length, fresh=recipe.fresh, onward=True),
        recipe.training,
        work / "checkpoint.npz",
        # The last epoch ships, whose learning rate ends at zero: the divergence from the teacher
        # falls to the end, while NDCG of validation goes up and down by chance.
        Validation(lambda: ranking.named(evaluated(), K), "epoch"),
        {
            "student": recipe.student,
            "spec": json.loads(recipe.spec.to_json()),
            "linear": None if recipe.linear is None else asdict(recipe.linear),
        },
    )
    trainer.run(stop)
    distiller.set_weights(trainer.progress.best)
    progress = trainer.progress
    return {
        "taught_by": dict(zip(("hr@10", "ndcg@10"), ranking.hr_ndcg(whole, K), strict=True)),
        "best_epoch": progress.best_epoch,
        "validation": progress.curve,
    }


def items_text(data: movielens.MovieLens) -> str:
    """Line i is item i; the first line, item 1."""
    return "".join(f"{title}\n" for title in data.titles[1:])


def against_teacher(
    path: Path, teacher: Path, data: movielens.MovieLens, split: movielens.Split
) -> dict[str, Any]:
    """Quality and latency of two files, both by the files alone, in one run."""
    ranks, taught = (quality.file_ranks(file, data, split) for file in (path, teacher))
    both = {"file": path, "teacher": teacher}
    calls = {
        name: files.example_calls(files.numbered_for(file, data), files.history_length(file))
        for name, file in both.items()
    }
    latency = tfc.compare_latency(both, "recommend", calls)
    return {
        "split": split,
        "file": quality.quality(ranks),
        "teacher": {**quality.quality(taught), "bytes": teacher.stat().st_size},
        **quality.comparison(ranks, taught),
        "latency": {
            "signature": "recommend",
            "threads": 1,
            "median_us": latency["file"],
            "teacher_median_us": latency["teacher"],
            "speedup": latency["teacher"] / latency["file"],
        },
    }


def provenance(script: str | None = None) -> dict[str, Any]:
    """Command, versions and machine of this run; the script's name is that of its file."""
    script = script or Path(sys.argv[0]).stem
    return {
        "command": shlex.join(["python", "-m", f"experiments.{script}", *sys.argv[1:]]),
        "versions": {name: metadata.version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "machine": {"cpu": cpu_model(), "cpu_count": os.cpu_count()},
    }
