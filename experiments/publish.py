"""Puts a trained teacher among the saved models: python -m experiments.publish --run=DIR --out=DIR.

The folder holds its weights, config and results, and its float32 TFLite file, exported by the same
exporter as every compressed file and as well as it can be done without compression.
"""

from __future__ import annotations

import json
from pathlib import Path

from absl import app, flags, logging

from experiments.tasks import task_in

RUN = flags.DEFINE_string("run", None, "The folder that experiments.train wrote.")
OUT = flags.DEFINE_string("out", None, "The folder to write.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    task = task_in(Path(RUN.value))
    data = task.load(Path(DATA.value) if DATA.value else None)
    made = task.publish(Path(RUN.value), Path(OUT.value), data)
    print(made)
    print(json.dumps({"out": OUT.value, **made.report["evaluation"]}))


if __name__ == "__main__":
    flags.mark_flags_as_required(["run", "out"])
    app.run(main)
