"""experiments.data.timed: one stream from every source, in the order of its time."""

import numpy as np
import pytest
from test_movielens import EVENTS, TITLES, publisher_folder, recbole_folder

from experiments.data import movielens_sources, timed
from experiments.data.movielens import DataError
from experiments.data.timed import canonical, load


@pytest.mark.parametrize("layout", [publisher_folder, recbole_folder])
def test_both_layouts_give_one_stream(layout, tmp_path):
    data = canonical(movielens_sources.read_events(layout(tmp_path / "folder")))
    assert data.titles == TITLES and data.n_items == 4
    rows = list(zip(data.times.tolist(), data.users.tolist(), data.items.tolist(), strict=True))
    assert [row[0] for row in rows] == sorted(time for *_, time in EVENTS)
    # Users 1, 2 and 10 are 0, 1 and 2; ties are by user, and of a user as the file has them.
    assert rows[:3] == [(1, 2, 2), (2, 2, 3), (3, 2, 4)]
    assert rows[4:] == [(9, 0, 3), (9, 0, 1), (20, 1, 2), (20, 1, 3), (20, 1, 1), (50, 1, 4)]


def test_anything_but_the_whole_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected MovieLens-1M with 1000209"):
        load(publisher_folder(tmp_path / "folder"))


def test_what_is_fetched_is_kept(tmp_path, monkeypatch):
    data = canonical(movielens_sources.read_events(publisher_folder(tmp_path / "folder")))
    monkeypatch.setenv("TFCOMPRESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(timed, "CONTENT_SHA256", timed.fingerprint(data))
    monkeypatch.setattr(movielens_sources, "fetch", lambda cache, parse, read: data)
    first, again = load(), load()
    assert (tmp_path / "cache" / "ml-1m-timed.npz").exists() and first is data
    assert again.titles == data.titles
    for name in ("users", "items", "times"):
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name))
