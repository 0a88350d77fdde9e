"""Compares training in one process with training in several: python -m experiments.multiworker.

Runs `experiments.train` for some epochs in one process, in several ones over loopback with
--strategy=multiworker, and, to see what other dropout does, in one with --strategy=mirrored, whose
replica draws other masks from the same seed. All of it once more without dropout, where nothing but
the order of sums is left to differ. The results have every step's loss, and how far curves part.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from experiments.compression import provenance
from experiments.curves import apart
from experiments.files import replacing
from experiments.replicas import addresses

CONFIG = flags.DEFINE_string("config", "experiments/configs/teacher.json", "What to train.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
EPOCHS = flags.DEFINE_integer("epochs", 2, "Of each training.", lower_bound=1)
PROCESSES = flags.DEFINE_integer("processes", 2, "That share each batch.", lower_bound=2)
WORK = flags.DEFINE_string("work", "build/multiworker", "The folder for runs; what is there stays.")
RESULTS = flags.DEFINE_string(
    "results", "experiments/results/multiworker-ml1m.json", "The file for the results."
)
WINDOW = 50  # steps that are averaged where dropout makes single ones differ


def curve(config: Path, folder: Path, strategy: str) -> list[float]:
    """The loss of each step of a training, in nats; read where it was run before.

    Args:
      config: what to train. folder: gets the run. strategy: one of `replicas.STRATEGIES`.

    Raises:
      RuntimeError: if a process fails.
    """
    file = folder / "losses.json"
    if not file.exists():
        count = PROCESSES.value if strategy == "multiworker" else 1
        listed = addresses(count)
        started = [_process(config, folder, strategy, listed, index) for index in range(count)]
        codes = [process.wait() for process in started]
        if any(codes):
            raise RuntimeError(f"{folder}: received exit codes {codes}, expected zeros.")
    losses: list[float] = json.loads(file.read_text())["losses"]
    return losses


def _process(
    config: Path, folder: Path, strategy: str, listed: Sequence[str], index: int
) -> subprocess.Popen[bytes]:
    """One process of a training; the first one's losses are kept."""
    given = {"config": config, "out": folder / "run", "strategy": strategy, "data": DATA.value}
    given |= {"epochs": EPOCHS.value, "losses": None if index else folder / "losses.json"}
    own = [f"--{name}={value}" for name, value in given.items() if value is not None]
    task = {"cluster": {"worker": listed}, "task": {"type": "worker", "index": index}}
    environment = os.environ | {"TF_CONFIG": json.dumps(task)}
    return subprocess.Popen([sys.executable, "-m", "experiments.train", *own], env=environment)


def compared(config: Path, folder: Path) -> dict[str, Any]:
    """The curves of one process, of several, and of one with other dropout; how far they part."""
    curves = {name: curve(config, folder / name, name) for name in ("none", "multiworker")}
    found: dict[str, Any] = {}
    if json.loads(config.read_text())["model"]["dropout"]:
        curves["mirrored"] = curve(config, folder / "mirrored", "mirrored")
        found["other_dropout_apart"] = apart(curves["none"], curves["mirrored"], WINDOW)
    found["processes_apart"] = apart(curves["none"], curves["multiworker"], WINDOW)
    found["processes_apart_in_a_step"] = apart(curves["none"], curves["multiworker"], 1)
    return found | {"losses": {name: np.round(c, 5).tolist() for name, c in curves.items()}}


def without_dropout(config: Path, folder: Path) -> Path:
    """The same config with a dropout of 0."""
    content = json.loads(config.read_text())
    content["model"]["dropout"] = 0.0
    path = folder / "without-dropout.json"
    with replacing(path) as file:
        file.write(json.dumps(content).encode())
    return path


def main(argv: list[str]) -> None:
    """Runs the command line."""
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    config, work = Path(CONFIG.value), Path(WORK.value)
    plain = without_dropout(config, work)
    content = {
        "config": CONFIG.value,
        "processes": PROCESSES.value,
        "epochs": EPOCHS.value,
        "window": WINDOW,
        **provenance(),
        "without_dropout": compared(plain, work / "without-dropout"),
        "with_dropout": compared(config, work / "with-dropout"),
    }
    with replacing(Path(RESULTS.value)) as file:
        file.write((json.dumps(content) + "\n").encode())
    for name in ("without_dropout", "with_dropout"):
        print(name, {key: value for key, value in content[name].items() if key != "losses"})


if __name__ == "__main__":
    app.run(main)
