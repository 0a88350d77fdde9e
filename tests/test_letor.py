"""experiments.data.letor and made_tables: every layout gives the same arrays, no broken file passes."""

import io
import subprocess
import tarfile

import numpy as np
import pytest

from experiments.data import letor, made_tables
from experiments.data import letor_sources as sources
from experiments.data.letor_sources import DataError, Judged


def judged(seed, n_queries, first=1):
    """Lists of 3 to 6 documents whose features were written with six digits."""
    random = np.random.default_rng(seed)
    lengths = random.integers(3, 7, n_queries)
    features = random.normal(0, 50, (lengths.sum(), sources.N_FEATURES)).round(3)
    relevance = random.integers(0, 5, lengths.sum())
    names = np.arange(first, first + n_queries, dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Judged(features.astype(np.float32), relevance.astype(np.int8), names, starts)


def text(data):
    lines = []
    for name, start, end in zip(data.names, data.starts, data.starts[1:], strict=False):
        for row in range(start, end):
            numbers = " ".join(f"{i}:{v:.3f}" for i, v in enumerate(data.features[row], 1))
            lines.append(f"{data.relevance[row]} qid:{name} {numbers}\n")
    return "".join(lines).encode()


def assert_same(found, expected):
    for name, array in expected.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array)
        assert found.arrays()[name].dtype == array.dtype


def package(path, train, test):
    with tarfile.open(path, "w:gz") as archive:
        for split, content in (("train", train), ("test", test)):
            member = tarfile.TarInfo(sources._IN_PACKAGE.format(split))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def fold():
    return {"train": judged(0, 12), "validation": judged(1, 4, 50), "test": judged(2, 5, 80)}


@pytest.mark.parametrize("inside", [".", "Fold1"])
def test_a_fold_keeps_the_splits_that_it_comes_with(inside, fold, tmp_path):
    (tmp_path / inside).mkdir(exist_ok=True)
    for split, data in fold.items():
        (tmp_path / inside / sources._FILES[split]).write_bytes(text(data))
    found = letor.load(tmp_path)
    for split, data in fold.items():
        assert_same(getattr(found, split), data)
    assert found.described()["train"] == 12 and found.described()["test_documents"] > 14


def test_files_that_are_missing_are_named(fold, tmp_path):
    with pytest.raises(DataError, match="lacks train.txt, vali.txt, test.txt"):
        letor.load(tmp_path)
    (tmp_path / "train.txt").write_bytes(text(fold["train"]))
    with pytest.raises(DataError, match="lacks vali.txt, test.txt"):
        letor.load(tmp_path)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "0 documents"),
        (b"1 1:2\n", "0 qids"),
        (b"1 qid:3 hello\n", "cannot be read"),
        (b"1 qid:3 137:1\n", "cannot be read"),
        (b"5 qid:3 1:1\n", "judgements \\[5"),
        (b"0.5 qid:3 1:1\n", "judgements \\[0.5"),
        (b"1 qid:3 1:inf\n", "finite"),
        (b"1 qid:3 1:1\n1 qid:4 1:1\n1 qid:3 1:1\n", "several places"),
    ],
)
def test_what_is_no_list_of_judgements_is_refused(content, reason):
    with pytest.raises(DataError, match=reason):
        sources.parsed(content, "it")


def test_the_package_is_split_by_query_and_kept(monkeypatch, tmp_path):
    seen, test = judged(0, 43), judged(1, 43, first=100)
    asked = []

    def pip(command, **how):
        asked.append(command)
        folder = command[command.index("--dest") + 1]
        package(f"{folder}/rankeval-0.8.2.tar.gz", text(seen), text(test))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("TFCOMPRESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(DataError, match="cut off or altered"):
        letor.load()
    assert "--require-hashes" in asked[0]
    monkeypatch.setattr(letor, "CONTENT_SHA256", letor.fingerprint((seen, test)))
    found, again = letor.load(), letor.load()
    assert len(asked) == 2  # the second time it comes out of the cache
    for one in (found, again):
        assert_same(one.test, test)
        assert (len(one.train), len(one.validation)) == (35, 8)
        assert sorted([*one.train.names, *one.validation.names]) == seen.names.tolist()
    query = int(np.flatnonzero(seen.names == found.validation.names[2])[0])
    rows = slice(seen.starts[query], seen.starts[query + 1])
    own = slice(found.validation.starts[2], found.validation.starts[3])
    np.testing.assert_array_equal(found.validation.features[own], seen.features[rows])


def test_a_package_that_cannot_be_had_says_what_to_do(monkeypatch, tmp_path):
    failed = subprocess.CompletedProcess([], 1, "", "first\nno network\n")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(DataError, match="status 1.*no network.*name a folder"):
        sources.fetch_extract(tmp_path)
    (tmp_path / "rankeval-0.8.2.tar.gz").write_bytes(b"none")
    with pytest.raises(DataError, match="expected the package rankeval==0.8.2"):
        sources.read_package(tmp_path / "rankeval-0.8.2.tar.gz")


def test_a_made_table_has_the_spectrum_that_it_is_made_for(tmp_path):
    path = made_tables.table(20_000, 64, 3, tmp_path)
    table = np.load(path, mmap_mode="r")
    assert table.shape == (20_000, 64) and table.dtype == np.float32
    energy = np.cumsum(np.linalg.svd(table, compute_uv=False) ** 2)
    for axes, share in ((8, 0.42), (16, 0.58), (32, 0.77)):
        assert energy[axes - 1] / energy[-1] == pytest.approx(share, abs=0.01)
    norms = np.linalg.norm(table, axis=1)
    assert 0.15 < np.log(norms).std() < 0.25 and norms.mean() == pytest.approx(1, abs=0.05)
    before = path.stat().st_mtime_ns
    assert made_tables.table(20_000, 64, 3, tmp_path).stat().st_mtime_ns == before
    other = np.load(made_tables.table(20_000, 64, 4, tmp_path), mmap_mode="r")
    assert np.abs(np.corrcoef(table[:, 0], other[:, 0])[0, 1]) < 0.05


def test_hashed_ids_are_spread_over_the_rows():
    rows = made_tables.hashed(np.arange(100_000), 100)
    counts = np.bincount(rows, minlength=100)
    assert len(counts) == 100
    assert np.abs(counts - 1000).max() < 150  # nearly five deviations of a binomial
    np.testing.assert_array_equal(rows, made_tables.hashed(np.arange(100_000), 100))
