"""Builds, compresses and measures systems: python -m experiments.systems --system=NAME.

Without --system it does all there are. Stops cleanly on SIGINT or SIGTERM; the same command resumes
where it stopped, and once all is trained it only exports and measures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from rich.table import Table

from experiments.files import replacing
from experiments.stopping import StopRequest
from experiments.systems import (
    driving,
    fused_measuring,
    fused_running,
    image,
    multimodal,
    online,
    online_table,
    page,
    recommender,
    search_ranker,
    speech,
)
from experiments.systems.running import record
from experiments.systems.table import table, took
from experiments.training import Stopped
from tfcompress.report import text_of


@dataclass(frozen=True)
class Entry:
    """What the command does for one name.

    Attributes:
      record: from (folder of data or None, seeds, folder for work, stop) to the record.
      table: from that to what is printed.
      draw: from that and a path to a picture; None: there is none.
    """

    record: Callable[[Path | None, Sequence[int], Path, Callable[[], bool]], dict[str, Any]]
    table: Callable[[Mapping[str, Any]], Table]
    draw: Callable[[Mapping[str, Any], Path], None] | None = None


HEADLINED = (
    speech.SYSTEM,
    image.SYSTEM,
    recommender.SYSTEM,
    driving.SYSTEM,
    search_ranker.SYSTEM,
)
SYSTEMS = {one.name: Entry(partial(record, one), table) for one in HEADLINED} | {
    multimodal.NAME: Entry(fused_running.record, fused_measuring.table),
    online.NAME: Entry(online.record, online_table.table, online_table.draw),
}

SYSTEM = flags.DEFINE_multi_enum(
    "system", sorted(SYSTEMS), sorted(SYSTEMS), "What to run; by default all there are."
)
DATA = flags.DEFINE_string("data", None, "A folder with the data; by default they are fetched.")
OUT = flags.DEFINE_string("out", "experiments/results/systems", "The folder for the records.")
WORK = flags.DEFINE_string("work", "build/systems", "The folder for checkpoints and files.")
SEEDS = flags.DEFINE_multi_integer("seed", [0], "Trains once for each; may be given repeatedly.")


def run(name: str, stop: StopRequest) -> None:
    """Runs one system, writes its record and picture, prints its table and how long it took."""
    folder = Path(DATA.value) if DATA.value else None
    entry = SYSTEMS[name]
    found = entry.record(folder, SEEDS.value, Path(WORK.value) / name, stop)
    with replacing(Path(OUT.value) / f"{name}.json") as file:
        file.write((json.dumps(found, indent=2) + "\n").encode())
    if entry.draw is not None:
        entry.draw(found, Path(OUT.value) / f"{name}.png")
    print(text_of(entry.table(found)))
    print(took(found))


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
            print(f"All results: {page.write(Path(OUT.value))}")
    except Stopped as error:
        print(error, file=sys.stderr)
        sys.exit(128 + stop.received)


if __name__ == "__main__":
    app.run(main)
