"""A sweep with a chief that starts two workers: python tests/sweep_processes.py FOLDER.

Importing TensorFlow takes longer than the sweep, so that it is done once: the workers are forked
before the chief computes anything, and each waits for the command line that the chief starts it by.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import tfcompress.search.running

# isort: split
import numpy as np
from forks import forked

import tfcompress as tfc
from experiments import sweep
from experiments.data import movielens
from experiments.models import files, store, tf
from experiments.models.sasrec import SASRecConfig

N_ITEMS, LENGTH = 120, 8
RECIPE = {
    "student": {"length": 6, "feedforward": [24, 16]},
    "spec": "specs/plain.json",
    "distillation": {
        "linear": None, "temperature": 1.0, "weight": 1.0, "positions": 24, "fresh": 3,
        "dropped": 0.0,
    },
    "training": {
        "seed": 1, "batch": 8, "epochs": 1, "peak_learning_rate": 1e-3, "warmup_steps": 1,
    },
}  # fmt: skip
FLAGS = {
    "role": "chief", "workers": 2, "trials": 3, "steps": 2, "parts": 1, "before": 2,
    "oracle": "random", "objective": "bytes",
}  # fmt: skip


class Waiting:
    """A worker that begins once it is told its command line."""

    def __init__(self) -> None:
        self._told, self._tell = os.pipe()
        self._child = forked(self._work)

    def _work(self) -> None:
        os.close(self._tell)
        with os.fdopen(self._told) as told:
            flags = json.loads(told.read())
        run(flags)

    def begin(self, command: list[str]) -> Waiting:
        """In the place of `subprocess.Popen`."""
        if command[:3] != [sys.executable, "-m", "experiments.sweep"]:
            raise ValueError(f"Received {command}, expected a sweep.")
        os.close(self._told)
        with os.fdopen(self._tell, "w") as tell:
            tell.write(json.dumps(command[3:]))
        return self

    def terminate(self) -> None:
        """As of a process."""
        os.kill(self._child, signal.SIGTERM)

    def wait(self) -> int:
        """As of a process."""
        return os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])


def data() -> movielens.MovieLens:
    """Users who walk through the items."""
    starts = np.random.default_rng(0).integers(0, N_ITEMS, 160)
    walks = [((start + np.arange(14)) % N_ITEMS + 1).astype(np.int32) for start in starts]
    return movielens.MovieLens(("", *(f"item {i}" for i in range(N_ITEMS))), walks)


def make_teacher(folder: Path) -> None:
    """What `experiments.publish` leaves, untrained."""
    tf.keras.utils.set_random_seed(0)
    config = {"n_items": N_ITEMS, "length": LENGTH, "dim": 16, "feedforward": 32}
    model = store.build(SASRecConfig(**config))
    kept = {"config.json": {"model": config}, "results.json": {"validation": [{"seconds": 60.0}]}}
    tfc.export(
        model,
        folder,
        signatures=files.signatures(model.config),
        files={name: json.dumps(content) for name, content in kept.items()},
    )
    store.save_model(model, folder)


def run(flags: list[str]) -> None:
    """The command line, on these data."""
    movielens.load = lambda given: data()
    sweep.flags.FLAGS(["sweep", *flags])
    sweep.main(["sweep"])


if __name__ == "__main__":
    place = Path(sys.argv[1])
    grids = tfc.tune.Choice(tfc.PerChannel(), tfc.PerTensor())
    space = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(tfc.tune.Choice(8, 4), grids))])
    (place / "specs").mkdir()
    (place / "configs").mkdir()
    (place / "specs" / "space.json").write_text(space.to_json())
    plain = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))])
    (place / "specs" / "plain.json").write_text(plain.to_json())
    (place / "configs" / "recipe.json").write_text(json.dumps(RECIPE))
    waiting = [Waiting() for _ in range(2)]
    sweep.subprocess.Popen = lambda command: waiting.pop().begin(command)
    make_teacher(place / "teacher")
    paths = {
        "out": place / "out", "teacher": place / "teacher", "space": place / "specs" / "space.json",
        "recipe": place / "configs" / "recipe.json", "chief": f"127.0.0.1:{sys.argv[2]}",
    }  # fmt: skip
    run([f"--{name}={value}" for name, value in (FLAGS | paths).items()])
