"""A student's weights in a file, for a training that goes on from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np


def keep_weights(student: Any, path: Path) -> None:
    """Writes them beside their place, and moves the file there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part.npz")
    try:
        np.savez(beside, *student.get_weights())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def take_weights(student: Any, path: Path) -> None:
    """Gives a student those that `keep_weights` wrote of one with the same spec."""
    with np.load(path) as arrays:
        student.set_weights([arrays[name] for name in arrays.files])
