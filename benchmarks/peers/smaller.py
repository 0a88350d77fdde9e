"""Smaller models without compression: python -m benchmarks.peers.smaller.

What a user has who makes the teacher narrower and trains it as the teacher was trained, and who
then teaches it by plain distillation. What comes out is kept under benchmarks/results/peers, so
that python -m benchmarks.peers need not train. Stops cleanly on SIGINT or SIGTERM; the same command
goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from benchmarks.peers.kept import KEPT, SIZES, TEACHER
from benchmarks.peers.plain_distillation import Distillation, PlainDistiller
from benchmarks.records import machine, versions
from experiments import ranking, train
from experiments.data import movielens
from experiments.files import replacing, save_arrays
from experiments.models import store
from experiments.stopping import StopRequest
from experiments.training import Stopped, Trainer, TrainingConfig, Validation

CONFIGS = Path(__file__).with_name("configs")
PACKAGES = ("tensorflow", "tf-keras", "numpy")
COMMAND = "python -m benchmarks.peers.smaller"
ONLY = flags.DEFINE_multi_enum("only", list(SIZES), list(SIZES), "Which sizes to train.")
WORK = flags.DEFINE_string("work", "build/peers", "The folder for whole weights and checkpoints.")
K = 10


def distill(
    student: Path,
    teacher: Path,
    out: Path,
    data: movielens.MovieLens,
    stop: Callable[[], bool] = lambda: False,
    config: Path = CONFIGS / "distilled.json",
) -> None:
    """Trains a trained model on beside its teacher, by the settings of `config`.

    Args:
        student, teacher: folders of trained models.
        out: gets config.json, weights.npz and results.json; nothing is done where they are.
        data: MovieLens-1M. stop: asked between two steps.

    Raises:
        Stopped: when stopped; the state is in out/checkpoint.npz.
    """
    if (out / "results.json").exists():
        return
    content = json.loads(config.read_text())
    settings, how = TrainingConfig(**content["training"]), Distillation(**content["distillation"])
    model = _without_dropout(student)
    length = model.config.length
    evaluate = partial(
        ranking.evaluate, store.scorer(model), data, split="validation", length=length
    )
    trainer = Trainer(
        PlainDistiller(model, store.load_model(teacher), how),
        movielens.windows(data, length),
        settings,
        out / train.CHECKPOINT,
        Validation(lambda: ranking.named(evaluate(), K), "ndcg"),
        {"student": student.name, **content},
    )
    trainer.run(stop)
    model.set_weights(trainer.progress.best)
    store.save_model(model, out)
    shutil.copy(student / store.CONFIG, out)
    _write(out / "results.json", {**_outcome(trainer), **content, "start": student.name})
    (out / train.CHECKPOINT).unlink()


def _without_dropout(folder: Path) -> Any:
    """A trained model that is trained on: what a teacher says is not learnt by heart."""
    trained = store.load_model(folder)
    fields = json.loads((folder / store.CONFIG).read_text())["model"]
    model = store.build(store.config_of({**fields, "dropout": 0.0}))
    model.set_weights(trained.get_weights())
    return model


def _outcome(trainer: Trainer) -> dict[str, Any]:
    progress = trainer.progress
    return {
        "best_epoch": progress.best_epoch,
        "validation": progress.curve,
        "seconds": round(progress.seconds, 1),
        "seed": trainer.config.seed,
        "command": COMMAND,
        "versions": versions(PACKAGES),
        "machine": machine(),
    }


def keep(folder: Path, out: Path) -> None:
    """Copies a trained model, its weights rounded to float16, which halves them."""
    with np.load(folder / store.WEIGHTS) as arrays:
        rounded = {name: arrays[name].astype(np.float16) for name in arrays.files}
    save_arrays(out / store.WEIGHTS, rounded)
    shutil.copy(folder / store.CONFIG, out)
    results = json.loads((folder / "results.json").read_text())
    _write(out / "results.json", {**results, "command": COMMAND})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def main(argv: list[str]) -> None:
    """Runs the command line."""
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    data, work, stop = movielens.load(), Path(WORK.value), StopRequest()
    stop.install()
    try:
        for name in ONLY.value:
            narrow, taught = work / name, work / f"{name}-distilled"
            train.train(CONFIGS / f"{name}.json", narrow, data, stop=stop)
            distill(narrow, TEACHER, taught, data, stop)
            for made in (narrow, taught):
                keep(made, KEPT / made.name)
    except Stopped as error:
        print(error, file=sys.stderr)
        sys.exit(128 + stop.received)


if __name__ == "__main__":
    app.run(main)
