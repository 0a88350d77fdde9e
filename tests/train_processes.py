"""Trains a tiny teacher in one process and in two: python tests/train_processes.py FOLDER.

Importing TensorFlow takes longer than all of the trainings, so that it is done once: every process
is forked from this one, which itself computes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
from forks import forked

from experiments import train as script
from experiments.data import movielens
from experiments.replicas import addresses

N_ITEMS, PROCESSES, STOPPED = 30, 2, 7
MODEL = {"length": 8, "dim": 8, "blocks": 1, "heads": 2, "feedforward": 16, "dropout": 0.0}
TRAINING = {"seed": 3, "batch": 16, "epochs": 3, "peak_learning_rate": 0.03, "warmup_steps": 2}


def data() -> movielens.MovieLens:
    """Users who walk through the items in order, some for longer than others."""
    random = np.random.default_rng(0)
    starts, lengths = random.integers(0, N_ITEMS, 80), random.integers(4, 15, 80)
    walks = [
        ((start + np.arange(length)) % N_ITEMS + 1).astype(np.int32)
        for start, length in zip(starts, lengths, strict=True)
    ]
    return movielens.MovieLens(("", *(f"item {i}" for i in range(N_ITEMS))), walks)


def command(folder: Path, name: str, *flags: str) -> None:
    """Runs the command line; what it says goes to NAME.txt."""
    movielens.load = lambda given: data()
    config = folder / "config.json"
    with (folder / f"{name}.txt").open("w") as said, contextlib.redirect_stdout(said):
        script.flags.FLAGS(["train", f"--config={config}", *flags])
        script.main(["train"])


def part(folder: Path, index: int, listed: list[str], turn: str, stop: bool) -> None:
    """One of the processes; the last one is asked to stop after some steps."""
    task = {"type": "worker", "index": index}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": listed}, "task": task})
    if stop and index == PROCESSES - 1:
        steps = count()
        script.StopRequest.__call__ = lambda request: next(steps) == STOPPED
    own = f"{turn}-{index}"
    losses = f"--losses={folder / own}.json"
    with contextlib.suppress(SystemExit):
        command(folder, own, "--strategy=multiworker", f"--out={folder / 'together'}", losses)


def together(folder: Path, turn: str, stop: bool) -> None:
    """All processes at once."""
    listed = addresses(PROCESSES)
    started: list[Callable[[], None]] = [
        lambda index=index: part(folder, index, listed, turn, stop) for index in range(PROCESSES)
    ]
    for child in [forked(work) for work in started]:
        os.waitpid(child, 0)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place / "config.json").write_text(json.dumps({"model": MODEL, "training": TRAINING}))
    losses = f"--losses={place / 'alone'}.json"
    alone = forked(lambda: command(place, "alone", f"--out={place / 'one'}", losses))
    os.waitpid(alone, 0)
    together(place, "first", stop=True)
    together(place, "second", stop=False)
