"""Road signs as they lie in files: a folder in the layout of GTSRB."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments.data.labelled import Labelled, stratified
from experiments.data.movielens_sources import DataError

VALIDATION_SHARE = 0.1
SEED = 2026

_TRAINING, _TEST = "Final_Training/Images", "Final_Test/Images"
_EXPECTED = (
    f"GTSRB's layout: {_TRAINING}/00000/GT-00000.csv with its .ppm files and so on, and {_TEST} "
    "with GT-final_test.csv"
)
# A binary pixel map of bytes: width, height and the largest value, then the pixels.
_PPM = re.compile(rb"P6\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+255\s", re.DOTALL)

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


def read_folder(folder: Path, size: int) -> Mapping[str, Labelled]:
    """Reads the German Traffic Sign Recognition Benchmark (Stallkamp et al., 2012).

    Signs are cut out as the lists say, and resized. A tenth of the tracks of each class is for
    validation: the images of a track show one and the same sign.

    Args:
      folder: holds `Final_Training/Images` and `Final_Test/Images`; the list of the latter is
        GT-final_test.csv with the classes.
      size: pixels of a side that images get.

    Returns:
      The splits `train`, `validation` and `test`; images are uint8 [n, size, size, 3].

    Raises:
      DataError: if a list or an image is missing or broken.
      ValueError: if there are too few tracks to split.
    """
    lists = sorted((folder / _TRAINING).glob("*/GT-*.csv"))
    if not lists:
        raise DataError(f"{folder} has no list in {_TRAINING}; expected {_EXPECTED}.")
    rows = [(path.parent, row) for path in lists for row in _listed(path)]
    seen = _images(rows, size)
    names = [f"{row['ClassId']}/{row['Filename'].split('_')[0]}" for _, row in rows]
    _, first, track = np.unique(names, return_index=True, return_inverse=True)
    _, held_out = stratified(seen.labels[first], VALIDATION_SHARE, SEED)
    validation = np.isin(track, held_out)
    test = folder / _TEST
    return {
        "train": seen.take(np.flatnonzero(~validation)),
        "validation": seen.take(np.flatnonzero(validation)),
        "test": _images([(test, row) for row in _listed(test / "GT-final_test.csv")], size),
    }


def _listed(path: Path) -> list[dict[str, str]]:
    wanted = {"Filename", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId"}
    if not path.is_file():
        raise DataError(f"{path} is missing; expected {_EXPECTED}.")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    if not rows or not wanted <= rows[0].keys():
        raise DataError(
            f"{path} has the columns {list(rows[0]) if rows else []}, expected rows with "
            f"{', '.join(sorted(wanted))} and semicolons between them."
        )
    return rows


def _images(rows: list[tuple[Path, dict[str, str]]], size: int) -> Labelled:
    images = [_image(folder / row["Filename"], row, size) for folder, row in rows]
    labels = [int(row["ClassId"]) for _, row in rows]
    return Labelled(np.stack(images), np.array(labels, np.int32))


def _image(path: Path, row: Mapping[str, str], size: int) -> Pixels:
    pixels = read_ppm(path)
    left, top, right, bottom = (int(row[f"Roi.{name}"]) for name in ("X1", "Y1", "X2", "Y2"))
    part = pixels[top : bottom + 1, left : right + 1]
    if not part.size:
        raise DataError(
            f"{path} has {pixels.shape[1]} x {pixels.shape[0]} pixels, and its list a sign from "
            f"({left}, {top}) to ({right}, {bottom}). Get GTSRB whole."
        )
    return resized(part, size)


def read_ppm(path: Path) -> Pixels:
    """The pixels of a binary .ppm file of bytes, uint8 [height, width, 3].

    Raises:
      DataError: if the file is missing, cut off, or of another format.
    """
    content = path.read_bytes() if path.is_file() else b""
    head = _PPM.match(content)
    if head is None:
        raise DataError(f"{path} begins with {content[:16]!r}, expected a .ppm file (P6, 255).")
    width, height = int(head[1]), int(head[2])
    values = np.frombuffer(content, np.uint8, offset=head.end())
    if len(values) != 3 * width * height:
        raise DataError(
            f"{path} has {len(values)} bytes of pixels, expected {3 * width * height} for {width} "
            f"x {height}. Get it whole."
        )
    return values.reshape(height, width, 3)


def resized(image: Pixels, size: int) -> Pixels:
    """An image with other numbers of pixels: linear, and the mean of many where it gets smaller.

    Args:
      image: uint8 [height, width, channels]. size: pixels of a side.

    >>> resized(np.array([[[0], [100]], [[100], [200]]], np.uint8), 1).tolist()
    [[[100]]]
    """
    down, across = (_weights(length, size) for length in image.shape[:2])
    values = np.einsum("yh,hwc,xw->yxc", down, image.astype(np.float64), across, optimize=True)
    return np.rint(values).astype(np.uint8)


def _weights(length: int, size: int) -> Array:
    """How much of each old pixel is in each new one, float64 [size, length]; rows add up to 1."""
    step = length / size
    places = (np.arange(size)[:, None] + 0.5) * step - 0.5
    triangles = np.maximum(0, 1 - np.abs(np.arange(length) - places) / max(step, 1))
    return np.asarray(triangles / triangles.sum(axis=1, keepdims=True))
