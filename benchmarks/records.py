"""What the record of every benchmark says: what was run, where, and with which versions."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import tfcompress as tfc
from experiments.machine import cpu_model
from tfcompress.whole import write_whole


def origin(name: str, packages: Sequence[str]) -> dict[str, Any]:
    """How a benchmark was run, as JSON data.

    Args:
      name: of its module in `benchmarks`.
      packages: those that its figures depend on.
    """
    return {
        "benchmark": name,
        "command": shlex.join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions(packages),
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Of this library and of packages, those that are not installed left out."""
    found = {"tfcompress": tfc.__version__}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.system(),
        "python": platform.python_version(),
    }


def save(record: dict[str, Any], path: Path) -> None:
    """Writes a record beside the others, completely or not at all."""
    write_whole(path, json.dumps(record, indent=2) + "\n")
