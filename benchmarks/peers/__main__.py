"""Beside everything else that could have made the file: python -m benchmarks.peers.

The same trained teachers go through every way that a user has from a Keras model to a TFLite file,
each at the settings that its documents give. Every file is asked on the test split, and all files
of one model take turns on one thread. A system that fails is a row with its error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from absl import app, flags, logging

from benchmarks.peers import drawing, measuring
from benchmarks.peers.merging import merged
from benchmarks.peers.own_systems import OWN_SYSTEMS
from benchmarks.peers.subject import SUBJECTS
from benchmarks.peers.systems import SYSTEMS, System
from benchmarks.records import origin, save

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = (
    "tensorflow", "tf-keras", "keras", "tensorflow-model-optimization", "litert-quantizer",
    "ai-edge-litert", "faiss-cpu", "numpy",
)  # fmt: skip
MODELS = flags.DEFINE_multi_enum("model", list(SUBJECTS), list(SUBJECTS), "Which teachers.")
OUT = flags.DEFINE_string("out", str(RESULTS), "The folder for the record and the pictures.")
SYSTEM = flags.DEFINE_multi_string(
    "system", [], "Only systems whose names begin so; the record keeps what it has of the others."
)
WORK = flags.DEFINE_string(
    "work", None, "A folder that keeps the files; those that are there are only timed."
)
ROUNDS = flags.DEFINE_integer(
    "rounds", 30, "How many rounds are timed; 0: nothing is.", lower_bound=0
)


def _chosen(systems: Mapping[str, System]) -> dict[str, System]:
    """The systems that are asked for, and the float32 file that all times are compared with."""
    starts = (measuring.PLAIN, *(SYSTEM.value or [""]))
    return {name: system for name, system in systems.items() if name.startswith(starts)}


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    """Where the files of a model go: below --work, or for as long as they are needed."""
    if WORK.value is None:
        with tempfile.TemporaryDirectory() as passing:
            yield Path(passing)
        return
    folder = Path(WORK.value) / name
    folder.mkdir(parents=True, exist_ok=True)
    yield folder


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
        systems = _chosen({**SYSTEMS, **OWN_SYSTEMS.get(name, {})})
        with _folder(name) as folder:
            made = measuring.record(measuring.measure(subject, folder, systems, ROUNDS.value))
        print(drawing.markdown(made))
        rows += made
    run = origin("peers", PACKAGES)
    record = merged(run, rows, out / "peers.json", all_anew=not SYSTEM.value)
    save(record, out / "peers.json")
    for name in MODELS.value:
        of_model = [row for row in record["rows"] if row["model"] == name]
        drawing.picture(of_model, out / f"peers_{name}.png")
    (out / "peers.md").write_text(drawing.page(record["rows"]))
    print(f"Record: {out / 'peers.json'}")


if __name__ == "__main__":
    app.run(main)
