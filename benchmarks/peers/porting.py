"""The retrieval teacher handed to Keras 3, which cannot live in a process with Keras 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.functional import DENSE, NORMS
from benchmarks.peers.subject import Subject
from benchmarks.peers.systems import System

ROOT = Path(__file__).parents[2]
_KERAS = ("TF_USE_LEGACY_KERAS", "KERAS_BACKEND")  # this process's choice, not the other's
_CHECKED = 8  # histories; more of them take time and say no more


def keras3(way: str, *more: str) -> System:
    """A way of `keras3.WAYS`; with "optimized" the converter quantizes what is left in floats."""

    def made(subject: Subject, _: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            source, out = Path(folder) / "teacher.npz", Path(folder) / "out"
            np.savez(source, **handed_over(subject))
            _run([str(source), str(out), way, *more])
            return out.read_bytes()

    return made


def handed_over(subject: Subject) -> dict[str, Any]:
    """What `benchmarks.peers.keras3` reads: weights by name, histories, and scores for some."""
    model = subject.model
    histories = np.vstack([call["history"] for call in subject.calibration["recommend"]])
    found = {
        "sizes": json.dumps(asdict(model.config)),
        "histories": histories,
        "expected": model.logits(model.last(histories[:_CHECKED])).numpy(),
        "item_table": model.item_table.get_weights()[0],
        "position_table": model.position_table.get_weights()[0],
        "item_bias": model.item_bias.numpy(),
    }
    layers = {"norm": model.norm}
    for block in model.blocks:
        layers |= {f"{block.name}/{part}": getattr(block, part) for part in (*DENSE, *NORMS)}
    for name, layer in layers.items():
        found |= {f"{name}/{place}": one for place, one in enumerate(layer.get_weights())}
    return found


def _run(arguments: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in _KERAS}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.keras3", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise RuntimeError(f"Keras 3 ended with {done.returncode}: {done.stderr[-300:]}")
    error = json.loads(lines[-1])
    if error is not None:
        raise RuntimeError(f"in Keras 3, {error}")
