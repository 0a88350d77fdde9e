"""Road signs in scenes that a program draws, or those of GTSRB, in three splits.

A scene is a place, its weather and a camera (`road_scenes`), and no scene is in two splits. Images
are made once, cached, and never committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track

from experiments.data import sign_sources as sources
from experiments.data.labelled import Labelled, Splits, from_arrays, to_arrays
from experiments.data.movielens import cache_folder
from experiments.data.movielens_sources import DataError, restored
from experiments.data.road_scenes import SIZE, Scene
from experiments.data.sign_shapes import SIGNS
from experiments.files import save_arrays

__all__ = ["DataError", "load"]

SEED = 2026
SCENES: Mapping[str, int] = {"train": 256, "validation": 40, "test": 112}
SIGNS_OF_A_SCENE = 32


def load(folder: Path | None = None) -> Splits:
    """Road signs in three splits, uint8 [n, 32, 32, 3].

    Args:
      folder: one in the layout of GTSRB, see `sign_sources.read_folder`. Without it signs that are
        drawn, from our cache or else made, which takes a minute or two.

    Raises:
      DataError: if a file is missing or broken.
      ValueError: if there are too few images to split.
    """
    if folder is not None:
        splits = sources.read_folder(folder, SIZE)
        return Splits.of(f"GTSRB in {folder.name}", splits, False, {"split": "by track"})
    cached = cache_folder() / "drawn-signs-1.npz"
    if not cached.exists():
        save_arrays(cached, _made())
    drawn = restored(cached, _restore, _check, "drawn signs")
    names = [sign.name for sign in SIGNS]
    more: dict[str, Any] = {"signs": names, "scenes": dict(SCENES), "split": "by scene"}
    return Splits.of("drawn road signs", drawn, True, more)


def _made() -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of the cache: images and labels of each split."""
    splits, first = {}, 0
    for split, n in SCENES.items():
        numbers = track(range(first, first + n), f"drawing for {split}")
        parts = [Scene(SEED, number).seen(SIGNS_OF_A_SCENE) for number in numbers]
        splits[split] = Labelled(*(np.concatenate(both) for both in zip(*parts, strict=True)))
        first += n
    return to_arrays(splits)


def _restore(path: Path) -> dict[str, Labelled]:
    with np.load(path) as arrays:
        return from_arrays(arrays, SCENES)


def _check(splits: dict[str, Labelled], source: object) -> None:
    for split, found in splits.items():
        n = SCENES[split] * SIGNS_OF_A_SCENE
        held = found.values.shape, found.values.dtype, found.labels.shape
        expected = (n, SIZE, SIZE, 3), np.dtype(np.uint8), (n,)
        if held != expected or not np.array_equal(np.unique(found.labels), np.arange(len(SIGNS))):
            raise DataError(
                f"{source} holds {held} for {split}, expected {expected} with labels of "
                f"{len(SIGNS)} signs. Delete it and run again: it will be made anew."
            )
