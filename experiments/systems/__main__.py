"""Builds, compresses and measures systems: python -m experiments.systems --system=NAME.

Without --system it does all there are. Stops cleanly on SIGINT or SIGTERM; the same command resumes
where it stopped, and once all is trained it only exports and measures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from absl import app, flags, logging

from experiments.files import replacing
from experiments.stopping import StopRequest
from experiments.systems import driving, image, speech
from experiments.systems.running import record
from experiments.systems.table import table
from experiments.training import Stopped
from tfcompress.report import text_of

SYSTEMS = {one.name: one for one in (image.SYSTEM, speech.SYSTEM, driving.SYSTEM)}

SYSTEM = flags.DEFINE_multi_enum(
    "system", sorted(SYSTEMS), sorted(SYSTEMS), "What to run; by default all there are."
)
DATA = flags.DEFINE_string("data", None, "A folder with the data; by default they are fetched.")
OUT = flags.DEFINE_string("out", "experiments/results/systems", "The folder for the records.")
WORK = flags.DEFINE_string("work", "build/systems", "The folder for checkpoints and files.")
SEEDS = flags.DEFINE_multi_integer("seed", [0], "Trains once for each; may be given repeatedly.")


def run(name: str, stop: StopRequest) -> None:
    """Runs one system, prints its table and writes its record."""
    folder = Path(DATA.value) if DATA.value else None
    found: dict[str, Any] = record(
        SYSTEMS[name], folder, SEEDS.value, Path(WORK.value) / name, stop
    )
    with replacing(Path(OUT.value) / f"{name}.json") as file:
        file.write((json.dumps(found, indent=2) + "\n").encode())
    print(text_of(table(found)))


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    if DATA.value and len(SYSTEM.value) > 1:
        raise app.UsageError(f"Received --data for {SYSTEM.value}, expected one --system with it.")
    stop = StopRequest()
    stop.install()
    try:
        for name in SYSTEM.value:
            run(name, stop)
    except Stopped as error:
        print(error, file=sys.stderr)
        sys.exit(128 + stop.received)


if __name__ == "__main__":
    app.run(main)
