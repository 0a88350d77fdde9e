"""What is known of MovieLens-1M's users, films and ratings, read from either layout on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from experiments.data.movielens_sources import DataError, number_in, read_with, rows_of

USER_FIELDS = ("gender", "age", "occupation", "zip")
_TITLE_YEAR = slice(-5, -1)  # "Toy Story (1995)"


@dataclass(frozen=True)
class Raw:
    """The content of the three files, as text.

    Attributes:
      users: number to gender, age, occupation and zip code.
      genres: an item's title, with its year, to its genres.
      ratings: (user number, title, stars).
    """

    users: dict[int, tuple[str, str, str, str]]
    genres: dict[str, tuple[str, ...]]
    ratings: list[tuple[int, str, int]]


def read_raw(folder: Path, sha256: Mapping[str, str] | None = None) -> Raw:
    """Reads either layout; both give the same.

    Args:
      folder, sha256: see `movielens_sources.read_events`.

    Raises:
      DataError: if a file is missing, malformed or altered, or speaks of users or items that the
        others do not know.
    """
    raw = read_with(_publisher, _recbole, folder, sha256)
    for user, title, _ in raw.ratings:
        if user not in raw.users or title not in raw.genres:
            raise DataError(
                f"{folder} holds a rating of {title[:80]!r} by user {user}; expected both in its "
                "files of items and users. They are truncated: fetch them again."
            )
    return raw


def year_of(title: str) -> str:
    """The year that a title ends with.

    Raises:
      DataError: if it ends with none.

    >>> year_of("Toy Story (1995)")
    '1995'
    """
    year = title[_TITLE_YEAR]
    if not (year.isdigit() and title.endswith(f"({year})")):
        raise DataError(f"Received the title {title[:80]!r}, expected one with its year behind it.")
    return year


def _publisher(folder: Path) -> Raw:
    users, movies, ratings = (folder / f"{name}.dat" for name in ("users", "movies", "ratings"))
    titles, genres = {}, {}
    for movie, title, kinds in rows_of(movies, "latin-1", "::", 3):
        titles[movie] = title
        genres[title] = tuple(kinds.split("|"))
    people = {
        number_in(user, users): (gender, age, occupation, code)
        for user, gender, age, occupation, code in rows_of(users, "latin-1", "::", 5)
    }
    found = [
        (number_in(user, ratings), titles.get(movie, movie), number_in(stars, ratings))
        for user, movie, stars, _ in rows_of(ratings, "latin-1", "::", 4)
    ]
    return Raw(people, genres, found)


def _recbole(folder: Path) -> Raw:
    users, items, ratings = (folder / f"ml-1m.{name}" for name in ("user", "item", "inter"))
    tables = [rows_of(users, "utf-8", "\t", 5), rows_of(items, "utf-8", "\t", 4)]
    tables.append(rows_of(ratings, "utf-8", "\t", 4))
    for table in tables:
        next(table, None)  # the header
    people = {
        number_in(user.removeprefix("1m_"), users): (gender, age, occupation, code)
        for user, age, gender, occupation, code in tables[0]
    }
    genres = {title: tuple(kinds.split(" ")) for title, _, _, kinds in tables[1]}
    found = [
        (number_in(user.removeprefix("1m_"), ratings), title, number_in(stars, ratings))
        for user, title, stars, _ in tables[2]
    ]
    return Raw(people, genres, found)
