"""experiments.data.images: every layout gives the same arrays, splits share nothing, no broken file."""

import gzip
import io
import json
import struct
import subprocess
import tarfile

import numpy as np
import pytest

from experiments.data import image_sources as sources
from experiments.data import images
from experiments.data.image_sources import DataError
from experiments.data.labelled import Labelled, stratified

RANDOM = np.random.default_rng(0)
LABELS = np.tile(np.arange(10), 4).astype(np.int32)


def pixels(*shape):
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


def idx(array):
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_idx(folder, train, test, packed):
    for (images_name, labels_name), split in zip(sources._IDX.values(), (train, test), strict=True):
        for name, array in ((images_name, split.values[..., 0]), (labels_name, split.labels)):
            content = idx(array)
            path = folder / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(content) if packed else content)


def write_cifar(folder, train, test):
    parts = [train.take(np.arange(start, 40, 5)) for start in range(5)]
    files = [name for names in sources._CIFAR.values() for name in names]
    for name, part in zip(files, [*parts, test], strict=True):
        flat = part.values.transpose(0, 3, 1, 2).reshape(len(part), -1)
        rows = np.concatenate([part.labels[:, None].astype(np.uint8), flat], axis=1)
        (folder / name).write_bytes(rows.tobytes())


def package(path, digits, leave_out=None):
    with tarfile.open(path, "w:gz") as archive:
        for digit in set(range(10)) - {leave_out}:
            values = digits.values[digits.labels == digit].ravel() / 255
            content = json.dumps({"data": [round(float(v), 3) for v in values]}).encode()
            member = tarfile.TarInfo(f"package/src/digits/{digit}.json")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def digits():
    return Labelled(pixels(40, 28, 28, 1), np.sort(LABELS))


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_keep_their_own_test_split(packed, tmp_path):
    train, test = (Labelled(pixels(40, 6, 5, 1), LABELS) for _ in range(2))
    write_idx(tmp_path, train, test, packed)
    name, found, held_out = sources.read_folder(tmp_path)
    assert name == "idx files"
    for one, other in ((found, train), (held_out, test)):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_cifar_images_have_their_channels_last(tmp_path):
    train, test = (Labelled(pixels(40, 32, 32, 3), LABELS) for _ in range(2))
    write_cifar(tmp_path, train, test)
    _, found, held_out = sources.read_folder(tmp_path)
    order = np.concatenate([np.arange(start, 40, 5) for start in range(5)])
    np.testing.assert_array_equal(found.values, train.values[order])
    np.testing.assert_array_equal(found.labels, train.labels[order])
    np.testing.assert_array_equal(held_out.values, test.values)


def test_the_package_gives_back_every_gray_value(digits, tmp_path):
    digits.values.flat[:256] = np.arange(256)
    package(tmp_path / "digits.tgz", digits)
    found = sources.read_digits(tmp_path / "digits.tgz")
    np.testing.assert_array_equal(found.values, digits.values)
    np.testing.assert_array_equal(found.labels, digits.labels)


def test_a_folder_gives_three_splits_that_share_nothing(tmp_path):
    seen = Labelled(pixels(200, 6, 5, 1), np.tile(LABELS, 5))
    write_idx(tmp_path, seen, seen.take(np.arange(40)), packed=False)
    data = images.load(tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (180, 20, 40)
    assert np.bincount(data.validation.labels).tolist() == [2] * 10
    parts = (
        {one.tobytes() for one in data.train.values},
        {one.tobytes() for one in data.validation.values},
    )
    assert not parts[0] & parts[1] and len(parts[0] | parts[1]) == 200
    assert (data.shape, data.n_classes) == ((6, 5, 1), 10)
    assert data.described()["synthetic"] is False


def test_splits_are_the_same_each_time_and_others_for_another_seed():
    first, again, other = (stratified(np.repeat(LABELS, 5), 0.2, s)[1] for s in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()
    assert np.bincount(np.repeat(LABELS, 5)[first]).tolist() == [4] * 10


def test_too_few_images_to_split():
    with pytest.raises(ValueError, match="expected more images of each class"):
        stratified(np.arange(10), 0.2, 0)


@pytest.fixture
def fetched(digits, monkeypatch, tmp_path):
    """npm packs these digits; returns its calls."""
    calls = []
    monkeypatch.setenv("TFCOMPRESS_CACHE", str(tmp_path / "cache"))

    def run(command, cwd, **kwargs):
        calls.append(command)
        package(cwd / "digits.tgz", digits)
        return subprocess.CompletedProcess(command, 0, "digits.tgz\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def hashed(digits):
    content = digits.values.tobytes() + digits.labels.tobytes()
    return images.hashlib.sha256(content).hexdigest()


def test_digits_are_fetched_once(digits, fetched, monkeypatch):
    monkeypatch.setattr(images, "CONTENT_SHA256", hashed(digits))
    monkeypatch.setattr(images, "TEST_SHARE", 0.25)
    monkeypatch.setattr(images, "VALIDATION_SHARE", 0.25)
    first, again = images.load(), images.load()
    assert len(fetched) == 1 and sources.PACKAGE in fetched[0]
    np.testing.assert_array_equal(first.test.values, again.test.values)
    assert [len(s) for s in (first.train, first.validation, first.test)] == [20, 10, 10]


def test_other_digits_are_refused_and_not_kept(fetched, tmp_path):
    with pytest.raises(DataError, match=r"content sha256 [0-9a-f]+; expected 10,000 digits"):
        images.load()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_broken_cache_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TFCOMPRESS_CACHE", str(tmp_path))
    (tmp_path / "digits.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="digits.npz cannot be read"):
        images.load()


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (subprocess.CompletedProcess([], 1, "", "a\nnot found\n"), "status 1 for .*: not found"),
        (subprocess.CompletedProcess([], 0, "", ""), "no message"),
        (FileNotFoundError("npm"), "Install npm"),
        (subprocess.TimeoutExpired("npm", 1), "npm could not get"),
    ],
)
def test_npm_that_fails(outcome, message, monkeypatch, tmp_path):
    def run(*args, **kwargs):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DataError, match=message):
        sources.fetch_digits(tmp_path)


def test_a_package_that_lacks_a_digit(digits, tmp_path):
    package(tmp_path / "digits.tgz", digits, leave_out=3)
    with pytest.raises(DataError, match="3.json"):
        sources.read_digits(tmp_path / "digits.tgz")


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="holds no labelled images"):
        images.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "lacks t10k-images-idx3-ubyte"),
        (b"\x00\x00\x0d\x03", "expected an idx file of bytes"),
        (idx(np.zeros((4, 3, 3)))[:-1], r"has 35 values, expected \(4, 3, 3\)"),
        (idx(np.zeros((4, 3, 3))), r"of shape \(40,\)"),
    ],
)
def test_a_broken_idx_file(content, message, tmp_path):
    split = Labelled(pixels(40, 3, 3, 1), LABELS)
    write_idx(tmp_path, split, split, packed=False)
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        sources.read_folder(tmp_path)


def test_an_idx_file_that_was_not_packed_whole(tmp_path):
    split = Labelled(pixels(40, 3, 3, 1), LABELS)
    write_idx(tmp_path, split, split, packed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be unpacked"):
        sources.read_folder(tmp_path)


def test_a_cut_off_cifar_file(tmp_path):
    split = Labelled(pixels(40, 32, 32, 3), LABELS)
    write_cifar(tmp_path, split, split)
    path = tmp_path / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="expected a multiple of 3073"):
        sources.read_folder(tmp_path)
