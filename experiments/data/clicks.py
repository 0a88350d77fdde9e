"""MovieLens-1M as click prediction: would this user give this film four stars or more?

Ratings of 4 and 5 are clicks, 1 and 2 are none, and 3 is left out, which leaves 739,012 events.
They are split 8:1:1 at random. This is the protocol of RecBole's benchmark of context-aware
recommenders (Zhao et al., "RecBole 2.0", CIKM 2022), which reads the seven fields of `FIELDS`
without the zip code. Values are numbered from 1 in their own order, whichever source they come
from; users and items have the numbers that `movielens` gives them, and 0 is unknown or padding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from experiments.data import movielens_sources as sources
from experiments.data.click_sources import USER_FIELDS, Raw, read_raw, year_of
from experiments.data.movielens import cache_folder
from experiments.data.movielens_sources import DataError
from experiments.files import save_arrays

IntArray = npt.NDArray[np.int32]
Split = Literal["train", "validation", "test"]

FIELDS = ("user", *USER_FIELDS, "item", "year")
GENRES = "genres"  # the one field with several values
# SHA-256 of `fingerprint`: the parsed content, so that every source is held to the same check.
CONTENT_SHA256 = "a704461843d572162b005b064e59d21bda363376060273b1350ec4604fa48755"
N_EVENTS = 739012
CLICK, LEFT_OUT = 4, 3  # stars
SEED = 2026
_SHARES = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}


@dataclass(frozen=True)
class Clicks:
    """Events with all that is known of their user and item.

    Attributes:
      values: for each of `FIELDS` and `GENRES` the texts that stand behind its numbers; at 0 "".
      users: int32 [n_users + 1, 5], a user's value in each of the first five `FIELDS`.
      items: int32 [n_items + 1, 2], an item's value in each of the last two.
      genres: int32 [n_items + 1, most genres of an item], padded with 0 on the right.
      events: int32 [n_events, 3]: user, item, and 1 for a click, else 0; sorted.
    """

    values: dict[str, tuple[str, ...]]
    users: IntArray
    items: IntArray
    genres: IntArray
    events: IntArray

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers each field has, 0 included."""
        return {name: len(texts) for name, texts in self.values.items()}

    def rows(self, split: Split) -> IntArray:
        """The events of a split with all their fields.

        Returns:
          int32 [n, 7 + most genres + 1]: `FIELDS`, the genres, and the click.

        Raises:
          ValueError: if there is no such split.
        """
        if split not in _SHARES:
            raise ValueError(f"Received split={split!r}, expected one of {sorted(_SHARES)}.")
        n = len(self.events)
        first, last = (int(n * share) for share in _SHARES[split])
        chosen = self.events[np.random.default_rng(SEED).permutation(n)[first:last]]
        user, item, click = chosen.T
        return np.hstack([self.users[user], self.items[item], self.genres[item], click[:, None]])


def canonical(raw: Raw) -> Clicks:
    """Numbers all values and sorts the events.

    Users and items are those that were rated at all, also with three stars.
    """
    users = sorted({user for user, _, _ in raw.ratings})
    titles = sorted({title for _, title, _ in raw.ratings})
    known = [raw.users[user] for user in users]
    columns: dict[str, list[str]] = {"user": [str(user) for user in users]}
    columns |= {name: [row[i] for row in known] for i, name in enumerate(USER_FIELDS)}
    columns |= {"item": titles, "year": [year_of(title) for title in titles]}
    values = {name: ("", *_in_order(column)) for name, column in columns.items()}
    values[GENRES] = ("", *_in_order(genre for title in titles for genre in raw.genres[title]))
    number = {name: {text: i for i, text in enumerate(texts)} for name, texts in values.items()}
    coded = {name: [number[name][text] for text in column] for name, column in columns.items()}
    events = [
        (number["user"][str(user)], number["item"][title], stars >= CLICK)
        for user, title, stars in raw.ratings
        if stars != LEFT_OUT
    ]
    return Clicks(
        values,
        _table([coded[name] for name in ("user", *USER_FIELDS)]),
        _table([coded[name] for name in ("item", "year")]),
        _genre_table([[number[GENRES][genre] for genre in raw.genres[t]] for t in titles]),
        np.array(sorted(events), np.int32).reshape(-1, 3),
    )


def _in_order(texts: Iterable[str]) -> list[str]:
    """Each text once: numbers by their size, before others by their letters."""
    key = lambda text: (not text.isdigit(), int(text) if text.isdigit() else 0, text)  # noqa: E731
    return sorted(set(texts), key=key)


def _table(columns: list[list[int]]) -> IntArray:
    return np.vstack([np.zeros(len(columns), np.int32), np.array(columns, np.int32).T])


def _genre_table(genres: list[list[int]]) -> IntArray:
    table = np.zeros((len(genres) + 1, max(map(len, genres))), np.int32)
    for item, found in enumerate(genres, 1):
        table[item, : len(found)] = sorted(found)
    return table


def fingerprint(data: Clicks) -> str:
    """The SHA-256 of all values and numbers, as hexadecimal digits."""
    digest = hashlib.sha256()
    for name in (*FIELDS, GENRES):
        digest.update("\n".join((name, *data.values[name])).encode())
    for table in (data.users, data.items, data.genres, data.events):
        digest.update(np.array(table.shape, "<i4").tobytes() + table.astype("<i4").tobytes())
    return digest.hexdigest()


def check_content(data: Clicks, source: object) -> None:
    """Refuses anything but the complete data.

    Raises:
      DataError: if the fingerprint differs.
    """
    found = fingerprint(data)
    if found != CONTENT_SHA256:
        raise DataError(
            f"{source} holds {len(data.events)} ratings other than three stars, content sha256 "
            f"{found}; expected MovieLens-1M with {N_EVENTS}, content sha256 {CONTENT_SHA256}. The "
            "files are truncated or altered: fetch them again."
        )


def load(folder: Path | None = None) -> Clicks:
    """MovieLens-1M as clicks, checked.

    Args:
      folder: see `movielens.load`; without it our cache, else what can be fetched.

    Raises:
      DataError: if a file is missing, truncated or altered, or if no source can be reached.
    """
    if folder is not None:
        return _checked(read_raw(folder, sources.RECBOLE_SHA256), folder)
    cached = cache_folder() / "ml-1m-clicks.npz"
    if cached.exists():
        return sources.restored(cached, restore, check_content, "the clicks of MovieLens-1M")
    data = sources.fetch(cache_folder(), _checked, read_raw)
    save(data, cached)
    return data


def save(data: Clicks, path: Path) -> None:
    """Writes everything to one .npz file, completely or not at all."""
    arrays: dict[str, npt.NDArray[Any]] = {
        f"values/{name}": np.frombuffer("\n".join(texts).encode(), np.uint8)
        for name, texts in data.values.items()
    }
    tables = {name: getattr(data, name) for name in ("users", "items", "genres", "events")}
    save_arrays(path, arrays | tables)


def restore(path: Path) -> Clicks:
    """Reads what `save` wrote."""
    with np.load(path) as arrays:
        values = {
            name: tuple(arrays[f"values/{name}"].tobytes().decode().split("\n"))
            for name in (*FIELDS, GENRES)
        }
        tables = [arrays[name] for name in ("users", "items", "genres", "events")]
    return Clicks(values, *tables)


def _checked(raw: Raw, source: object) -> Clicks:
    data = canonical(raw)
    check_content(data, source)
    return data
