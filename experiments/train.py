"""Trains a reference model: python -m experiments.train --config=PATH.json --out=DIR.

Stops cleanly on SIGINT or SIGTERM; the same command resumes at the step where it stopped.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from absl import app, flags

from experiments import tasks
from experiments.files import replacing
from experiments.machine import cpu_model
from experiments.models import store, tf
from experiments.stopping import StopRequest
from experiments.training import Stopped, Trainer, TrainingConfig, Validation

CONFIG = flags.DEFINE_string("config", None, "The JSON file that says what to train and how.")
OUT = flags.DEFINE_string("out", None, "The folder for weights, results and checkpoint.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
EPOCHS = flags.DEFINE_integer("epochs", None, "Instead of the config's number of epochs.")

CHECKPOINT = "checkpoint.npz"
PACKAGES = ("tensorflow", "tf-keras", "tensorflow-recommenders", "numpy")


def read_config(path: Path) -> tuple[dict[str, Any], TrainingConfig]:
    """Reads a config file.

    Returns:
      The fields of the model's config except those that the data decide, and the training's
      settings.

    Raises:
      ValueError: if a section or field is missing, unknown or out of range; it names the file.
    """
    try:
        content = json.loads(path.read_text())
        if sorted(content) != ["model", "training"]:
            raise ValueError(f'received sections {sorted(content)}, expected "model", "training"')
        store.config_of({**tasks.task_of(content["model"]).smallest, **content["model"]})
        return content["model"], TrainingConfig(**content["training"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def report(trainer: Trainer, test: dict[str, Any]) -> dict[str, Any]:
    """What results.json holds, given the metrics on the test split."""
    progress = trainer.progress
    return {
        "test": test,
        "best_epoch": progress.best_epoch,
        "validation": progress.curve,
        "seconds": round(progress.seconds, 1),
        "seed": trainer.config.seed,
        "command": shlex.join(["python", "-m", "experiments.train", *sys.argv[1:]]),
        "versions": {name: metadata.version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "machine": {"cpu": cpu_model(), "cpu_count": os.cpu_count()},
    }


def train(
    config: Path,
    out: Path,
    data: Any,
    epochs: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Trains to the end, or on from where an earlier run in `out` stopped.

    Args:
      config: the JSON file. data: what its task loads. epochs: instead of the config's.
      out: gets weights.npz, config.json and results.json at the end, checkpoint.npz until then.
      stop: asked between two steps.

    Returns:
      What stands in results.json; at once where an earlier run came to its end.

    Raises:
      ValueError: if config is not valid, or `out` belongs to a run with other settings.
      Stopped: when stopped; the state is in checkpoint.npz.
    """
    sizes, settings = read_config(config)
    settings = replace(settings, epochs=epochs) if epochs is not None else settings
    fields = {**tasks.task_of(sizes).sizes(data), **sizes}
    made = {"model": fields, "training": asdict(settings)}
    if finished := _finished(out, made):
        return finished
    results = _run(fields, settings, data, out, stop)
    _write_json(out / "config.json", made)
    _write_json(out / "results.json", results)
    (out / CHECKPOINT).unlink()
    return results


def _run(
    fields: dict[str, Any],
    settings: TrainingConfig,
    data: Any,
    out: Path,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """Trains, writes the best weights to `out`, and returns the results."""
    tf.keras.utils.set_random_seed(settings.seed)
    task, model = tasks.task_of(fields), store.build(store.config_of(fields))
    judge = task.judge(model, data)
    trainer = Trainer(
        model,
        task.rows(model.config, data),
        settings,
        out / CHECKPOINT,
        Validation(judge.validation, task.deciding),
        fields,
    )
    trainer.run(stop)
    model.set_weights(trainer.progress.best)
    store.save_model(model, out)
    return report(trainer, judge.test())


def _finished(out: Path, made: dict[str, Any]) -> dict[str, Any] | None:
    """The results of a run that came to its end in `out`, if there was one."""
    if not (out / "results.json").exists():
        return None
    found = json.loads((out / "config.json").read_text())
    if found != made:
        raise ValueError(
            f"{out} holds a model trained with {found}, expected {made}. Choose another --out."
        )
    results: dict[str, Any] = json.loads((out / "results.json").read_text())
    return results


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def main(argv: list[str]) -> None:
    """Runs the command line."""
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    sizes, _ = read_config(Path(CONFIG.value))
    data = tasks.task_of(sizes).load(Path(DATA.value) if DATA.value else None)
    stop = StopRequest()
    stop.install()
    try:
        results = train(Path(CONFIG.value), Path(OUT.value), data, EPOCHS.value, stop)
    except Stopped as error:
        print(error, file=sys.stderr)
        sys.exit(128 + stop.received)
    print(json.dumps({"out": OUT.value, **results["test"]}))


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "out"])
    app.run(main)
