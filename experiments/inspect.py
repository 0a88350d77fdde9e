"""Where a file's bytes and microseconds go: python -m experiments.inspect FILE.

For any TFLite file, operator by operator, for each signature. Shared weights count once, where they
are used first, and all bytes together are the file's size.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from absl import app, flags, logging

from tfcompress import TfcompressError, inspect_file
from tfcompress.export.costs import costs_text

SIGNATURE = flags.DEFINE_string("signature", None, "The one to look at; by default all.")
REPEATS = flags.DEFINE_integer("repeats", 50, "Rounds of measuring; 0 counts bytes alone.", 0)
THREADS = flags.DEFINE_integer("threads", 1, "Threads of LiteRT.", 1)
JSON = flags.DEFINE_boolean("json", False, "Print JSON instead of tables.")


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) != 2:
        raise app.UsageError(f"Received {argv[1:]}, expected one file.")
    try:
        found = inspect_file(Path(argv[1]), SIGNATURE.value, REPEATS.value, THREADS.value)
    except TfcompressError as error:
        sys.exit(f"{error}")
    print(json.dumps(asdict(found), indent=2) if JSON.value else costs_text(found))


if __name__ == "__main__":
    app.run(main)
