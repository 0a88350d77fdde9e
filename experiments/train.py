"""Trains a reference model: python -m experiments.train --config=PATH.json --out=DIR.

Stops cleanly on SIGINT or SIGTERM; the same command resumes at the step where it stopped.
With --strategy=multiworker it is started once for each process that TF_CONFIG lists, with the same
flags; the processes share every batch, one that is asked to stop stops all of them, and the chief
alone writes to --out, which all of them have to see.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import signal
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
from experiments.replicas import STRATEGIES, Replicas, replicas_of
from experiments.stopping import StopRequest
from experiments.task import Judge
from experiments.training import Stopped, Trainer, TrainingConfig, Validation

CONFIG = flags.DEFINE_string("config", None, "The JSON file that says what to train and how.")
OUT = flags.DEFINE_string("out", None, "The folder for weights, results and checkpoint.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
EPOCHS = flags.DEFINE_integer("epochs", None, "Instead of the config's number of epochs.")
STRATEGY = flags.DEFINE_enum("strategy", "none", STRATEGIES, "What shares the batches.")
LOSSES = flags.DEFINE_string("losses", None, "A JSON file for the loss of each step of this call.")

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
        "replicas": trainer.replicas.count,
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
    replicas: Replicas | None = None,
) -> dict[str, Any]:
    """Trains to the end, or on from where an earlier run in `out` stopped.

    Args:
      config: the JSON file. data: what its task loads. epochs: instead of the config's.
      out: gets weights.npz, config.json and results.json at the end, checkpoint.npz until then.
      stop: asked between two steps.
      replicas: that share each batch; of several processes the chief alone writes.

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
    trainer, judge = _prepared(fields, settings, data, out, replicas or Replicas())
    trainer.run(stop)
    trainer.model.set_weights(trainer.progress.best)
    results = report(trainer, judge.test())
    if trainer.replicas.is_chief:
        store.save_model(trainer.model, out)
        _write_json(out / "config.json", made)
        _write_json(out / "results.json", results)
        (out / CHECKPOINT).unlink()
    return results


def _prepared(
    fields: dict[str, Any], settings: TrainingConfig, data: Any, out: Path, replicas: Replicas
) -> tuple[Trainer, Judge]:
    """A trainer that stands where an earlier run stopped, and what measures its model."""
    tf.keras.utils.set_random_seed(settings.seed)
    task = tasks.task_of(fields)
    with replicas.scope():
        model = store.build(store.config_of(fields))
    judge = task.judge(model, data)
    validation = Validation(judge.validation, task.deciding)
    rows = task.rows(model.config, data)
    return Trainer(model, rows, settings, out / CHECKPOINT, validation, fields, replicas), judge


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
    replicas = replicas_of(STRATEGY.value)
    sizes, settings = read_config(Path(CONFIG.value))
    if STRATEGY.value != "none":
        print(replicas.said(settings.batch), flush=True)
    data = tasks.task_of(sizes).load(Path(DATA.value) if DATA.value else None)
    stop = StopRequest()
    stop.install()
    try:
        out = Path(OUT.value)
        results = train(Path(CONFIG.value), out, data, EPOCHS.value, stop, replicas)
    except Stopped as error:
        print(error, file=sys.stderr)
        sys.exit(128 + (stop.received or signal.SIGTERM))  # or another process was asked
    finally:
        if LOSSES.value:
            _write_json(Path(LOSSES.value), {"losses": replicas.losses})
    print(json.dumps({"out": OUT.value, **results["test"]}))


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "out"])
    app.run(main)
