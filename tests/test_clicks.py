"""experiments.data.clicks: one numbering from every source, whole splits, no broken file."""

from pathlib import Path

import numpy as np
import pytest

from experiments.data import clicks
from experiments.data.click_sources import Raw, read_raw, year_of
from experiments.data.clicks import canonical
from experiments.data.movielens_sources import DataError

USERS = [(2, "M", 25, 4, "48067"), (10, "F", 1, 10, "02138"), (1, "F", 56, 16, "98107-2117")]
FILMS = [
    (3, "eXistenZ (1999)", ["Sci-Fi", "Action"]),
    (7, "Zoé (1990)", ["Drama"]),
    (10, "Alien³ (1992)", ["Action"]),
    (9, "Ba (1985)", ["War"]),  # never rated: it gets no number
]
RATINGS = [(2, 3, 5), (10, 7, 3), (1, 10, 2), (2, 10, 4), (1, 3, 1)]
TITLES = {film: title for film, title, _ in FILMS}


def publisher_folder(folder: Path) -> Path:
    folder.mkdir()
    users = "".join("::".join(map(str, row)) + "\n" for row in USERS)
    films = "".join(f"{film}::{title}::{'|'.join(kinds)}\n" for film, title, kinds in FILMS)
    ratings = "".join(f"{user}::{film}::{stars}::9\n" for user, film, stars in RATINGS)
    for name, text in (("users", users), ("movies", films), ("ratings", ratings)):
        (folder / f"{name}.dat").write_bytes(text.encode("latin-1"))
    return folder


def recbole_folder(folder: Path) -> Path:
    folder.mkdir()
    users = [f"1m_{user}\t{age}\t{sex}\t{job}\t{code}" for user, sex, age, job, code in USERS]
    films = [f"{title}\t{title[:-7]}\t1990\t{' '.join(kinds)}" for _, title, kinds in FILMS]
    ratings = [f"1m_{user}\t{TITLES[film]}\t{stars}\t9" for user, film, stars in RATINGS]
    for name, lines in (("user", users), ("item", films), ("inter", ratings)):
        (folder / f"ml-1m.{name}").write_bytes("\r\n".join(["header", *lines, ""]).encode())
    # Headers have as many fields as the rows below them.
    for name, fields in (("user", 5), ("item", 4), ("inter", 4)):
        path = folder / f"ml-1m.{name}"
        path.write_bytes(path.read_bytes().replace(b"header", b"\t".join([b"h"] * fields), 1))
    return folder


@pytest.fixture
def whole(monkeypatch, tmp_path):
    """The synthetic data passes for the complete dataset, and the cache is empty."""
    data = canonical(read_raw(publisher_folder(tmp_path / "publisher")))
    monkeypatch.setattr(clicks, "CONTENT_SHA256", clicks.fingerprint(data))
    monkeypatch.setenv("TFCOMPRESS_CACHE", str(tmp_path / "cache"))
    return data


@pytest.mark.parametrize("make", [publisher_folder, recbole_folder])
def test_both_layouts_give_the_same_numbers(make, tmp_path):
    data = canonical(read_raw(make(tmp_path / "data")))
    assert data.values["user"] == ("", "1", "2", "10")
    assert data.values["item"] == ("", "Alien³ (1992)", "Zoé (1990)", "eXistenZ (1999)")
    assert data.values["zip"] == ("", "02138", "48067", "98107-2117")
    assert data.values["genres"] == ("", "Action", "Drama", "Sci-Fi")
    # user, gender, age, occupation, zip
    assert data.users.tolist() == [[0] * 5, [1, 1, 3, 3, 3], [2, 2, 2, 1, 2], [3, 1, 1, 2, 1]]
    assert data.items.tolist() == [[0, 0], [1, 2], [2, 1], [3, 3]]
    assert data.genres.tolist() == [[0, 0], [1, 0], [2, 0], [1, 3]]
    assert data.events.tolist() == [[1, 1, 0], [1, 3, 0], [2, 1, 1], [2, 3, 1]]


def test_three_stars_are_left_out_and_four_are_a_click():
    users = {1: ("F", "1", "0", "0")}
    genres = {f"{i} (1990)": ("Drama",) for i in range(1, 6)}
    data = canonical(Raw(users, genres, [(1, f"{i} (1990)", i) for i in range(1, 6)]))
    assert data.events.tolist() == [[1, 1, 0], [1, 2, 0], [1, 4, 1], [1, 5, 1]]
    assert data.sizes["item"] == 6  # the item with three stars keeps its number


def test_the_splits_hold_each_event_once_with_its_fields():
    users = {1: ("F", "1", "0", "0")}
    titles = [f"{i:03d} (1990)" for i in range(100)]
    raw = Raw(users, dict.fromkeys(titles, ("Drama",)), [(1, title, 5) for title in titles])
    data = canonical(raw)
    parts = [data.rows(split) for split in ("train", "validation", "test")]
    assert [part.shape for part in parts] == [(80, 9), (10, 9), (10, 9)]
    item = clicks.FIELDS.index("item")
    assert sorted(np.concatenate(parts)[:, item]) == list(range(1, 101))
    np.testing.assert_array_equal(parts[0], data.rows("train"))
    with pytest.raises(ValueError, match="split='dev', expected one of"):
        data.rows("dev")


def test_it_is_cached_and_read_again(whole, tmp_path):
    assert clicks.fingerprint(clicks.load(tmp_path / "publisher")) == clicks.CONTENT_SHA256
    path = tmp_path / "cache" / "ml-1m-clicks.npz"
    clicks.save(whole, path)
    assert clicks.load().values == whole.values
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="cannot be read .*Delete it and run again"):
        clicks.load()


def test_another_dataset_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds 4 ratings .* expected MovieLens-1M with 739012"):
        clicks.load(publisher_folder(tmp_path / "data"))


def test_a_rating_of_an_unknown_film_or_user_is_named(tmp_path):
    folder = publisher_folder(tmp_path / "data")
    (folder / "ratings.dat").write_bytes(b"1::77::5::9\n")
    with pytest.raises(DataError, match="a rating of '77' by user 1; expected both"):
        read_raw(folder)


def test_a_title_without_a_year_is_refused():
    with pytest.raises(DataError, match="title 'Alien', expected one with its year"):
        year_of("Alien")
