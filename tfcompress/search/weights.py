"""A student's weights in a file, for a training that goes on from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.whole import beside


def keep_weights(student: Any, path: Path) -> None:
    """Writes them, whole, to an .npz file."""
    with beside(path) as place:
        np.savez(place, *student.get_weights())


def take_weights(student: Any, path: Path) -> None:
    """Gives a student those that `keep_weights` wrote of one with the same spec."""
    with np.load(path) as arrays:
        student.set_weights([arrays[name] for name in arrays.files])
