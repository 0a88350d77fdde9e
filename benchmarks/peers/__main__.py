"""Beside everything else that could have made the file: python -m benchmarks.peers.

The same trained teachers go through every way that a user has from a Keras model to a TFLite file,
each at the settings that its documents give. Every file is asked on the test split, and all files
of one model take turns on one thread. A system that fails is a row with its error.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from absl import app, flags, logging

from benchmarks.peers import drawing, measuring
from benchmarks.peers.subject import SUBJECTS
from benchmarks.records import origin, save

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = (
    "tensorflow", "tf-keras", "tensorflow-model-optimization", "litert-quantizer",
    "ai-edge-litert", "numpy",
)  # fmt: skip
MODELS = flags.DEFINE_multi_enum("model", list(SUBJECTS), list(SUBJECTS), "Which teachers.")
OUT = flags.DEFINE_string("out", str(RESULTS), "The folder for the record and the pictures.")
ROUNDS = flags.DEFINE_integer("rounds", 30, "How many rounds are timed.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.ERROR)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    out = Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in MODELS.value:
        subject = SUBJECTS[name]()
        with tempfile.TemporaryDirectory() as folder:
            made = measuring.record(measuring.measure(subject, Path(folder), rounds=ROUNDS.value))
        print(drawing.markdown(made))
        drawing.picture(made, out / f"peers_{name}.png")
        rows += made
    (out / "peers.md").write_text(drawing.page(rows))
    save({**origin("peers", PACKAGES), "threads": 1, "rows": rows}, out / "peers.json")
    print(f"Record: {out / 'peers.json'}")


if __name__ == "__main__":
    app.run(main)
