"""Judged documents as they lie in files: SVMlight text of learning to rank, and a PyPI package."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_svmlight_file

from experiments.data.movielens_sources import DataError
from experiments.data.packages import member

PACKAGE = "rankeval==0.8.2"
PACKAGE_SHA256 = "c7d71602ab7fe0a0281976c1f0e883cb16431f72e4e946e5fd83790449bb21a9"
N_FEATURES, MOST_RELEVANT = 136, 4
_TIMEOUT_S = 300
_IN_PACKAGE = "rankeval-0.8.2/rankeval/test/data/msn1.fold1.{}.5k.txt"
_FILES = {"train": "train.txt", "validation": "vali.txt", "test": "test.txt"}
_NAME_A_FOLDER = "Or name a folder that holds train.txt, vali.txt and test.txt of MSLR-WEB30K."


@dataclass(frozen=True)
class Judged:
    """Queries with their documents, one query's behind the other's.

    Attributes:
      features: float32 [documents, 136].
      relevance: int8 [documents], from 0 to 4.
      names: int64 [queries], the number of each query in its set.
      starts: int64 [queries + 1]; query q has the documents from starts[q] to before starts[q + 1].
    """

    features: npt.NDArray[np.float32]
    relevance: npt.NDArray[np.int8]
    names: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """How many documents each query has, int64 [queries]."""
        return np.diff(self.starts)

    def take(self, queries: npt.NDArray[np.intp]) -> Judged:
        """Those queries, in this order."""
        spans = [np.arange(self.starts[q], self.starts[q + 1]) for q in queries]
        rows = np.concatenate([np.empty(0, np.int64), *spans])
        starts = np.concatenate([[0], np.cumsum(self.lengths[queries])])
        return Judged(self.features[rows], self.relevance[rows], self.names[queries], starts)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """All of it, by name."""
        return {
            "features": self.features,
            "relevance": self.relevance,
            "names": self.names,
            "starts": self.starts,
        }


def parsed(content: bytes, source: object) -> Judged:
    """Reads lines such as `2 qid:10 1:3 2:0.5 ... 136:0`; a query's stand one behind the other.

    Args:
      content: of a file. source: how errors call it.

    Raises:
      DataError: for anything else.

    >>> found = parsed(b"2 qid:10 1:3 136:1\\n0 qid:10 2:0.5\\n1 qid:7 1:1\\n", "an example")
    >>> found.names.tolist(), found.starts.tolist(), found.relevance.tolist()
    ([10, 7], [0, 2, 3], [2, 0, 1])
    """
    try:
        features, relevance, queries = load_svmlight_file(
            io.BytesIO(content), n_features=N_FEATURES, dtype=np.float32, query_id=True,
            zero_based=False,
        )  # fmt: skip
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{source} cannot be read ({error}), expected lines such as 2 qid:10 1:3 ... 136:0 "
            f"with up to {N_FEATURES} features. Get it whole."
        ) from error
    if not len(relevance) or len(queries) != len(relevance):
        raise DataError(
            f"{source} has {len(relevance)} documents and {len(queries)} qids, expected one each, "
            "and more than 0. Get it whole."
        )
    return _judged(features.toarray(), relevance, queries, source)


def _judged(
    features: npt.NDArray[np.float32],
    relevance: npt.NDArray[np.float64],
    queries: npt.NDArray[np.int64],
    source: object,
) -> Judged:
    begins = np.concatenate([[0], np.flatnonzero(np.diff(queries)) + 1])
    names = queries[begins].astype(np.int64)
    levels = set(np.unique(relevance).tolist())
    if not levels <= set(range(MOST_RELEVANT + 1)) or not np.isfinite(features).all():
        raise DataError(
            f"{source} has judgements {sorted(levels)[:8]}, expected whole numbers from 0 to "
            f"{MOST_RELEVANT}, and features that are finite. Get it anew."
        )
    if len(np.unique(names)) != len(names):
        raise DataError(
            f"{source} has documents of a query in several places, expected them one behind the "
            "other. Get it anew."
        )
    starts = np.append(begins, len(relevance)).astype(np.int64)
    return Judged(features, relevance.astype(np.int8), names, starts)


def read_folder(folder: Path) -> Mapping[str, Judged]:
    """Reads one fold of MSLR-WEB30K or MSLR-WEB10K.

    Args:
      folder: holds train.txt, vali.txt and test.txt, or `Fold1` with them.

    Returns:
      The splits train, validation and test, by name.

    Raises:
      DataError: if a file is missing, cut off, or of another format.
    """
    places = [folder, folder / "Fold1"]
    place = next((p for p in places if any((p / f).is_file() for f in _FILES.values())), folder)
    missing = [name for name in _FILES.values() if not (place / name).is_file()]
    if missing:
        raise DataError(
            f"{place} lacks {', '.join(missing)}; expected {', '.join(_FILES.values())} of a fold "
            "of MSLR-WEB30K. Name no folder to fetch a small part of MSLR-WEB10K."
        )
    files = {split: place / name for split, name in _FILES.items()}
    return {split: parsed(path.read_bytes(), path) for split, path in files.items()}


def fetch_extract(folder: Path) -> tuple[Judged, Judged]:
    """Gets the package with pip, and reads what it has to train on and to test with.

    Args:
      folder: for the package, which stays there.

    Raises:
      DataError: if pip cannot get the package, or it is another one.
    """
    requirements = folder / "requirements.txt"
    # Checked before pip asks the package for its name: nothing of another package is run.
    requirements.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-binary=rankeval", "--require-hashes"]
    command += ["--requirement", str(requirements), "--dest", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"pip could not get {PACKAGE} ({error}). {_NAME_A_FOLDER}") from error
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise DataError(
            f"pip ended with status {done.returncode} for {PACKAGE}: {last}. Connect to the "
            f"network. {_NAME_A_FOLDER}"
        )
    return read_package(next(folder.glob("rankeval-*.tar.gz")))


def read_package(archive: Path) -> tuple[Judged, Judged]:
    """What the package has to train on, and to test with.

    Raises:
      DataError: if the archive lacks a file, or one holds something else.
    """
    try:
        with tarfile.open(archive) as opened:
            train, test = (member(opened, _IN_PACKAGE.format(split)) for split in ("train", "test"))
    except (OSError, tarfile.TarError, KeyError) as error:
        raise DataError(
            f"{archive} cannot be read ({error}), expected the package {PACKAGE}."
        ) from error
    return parsed(train, f"{archive}, train"), parsed(test, f"{archive}, test")
