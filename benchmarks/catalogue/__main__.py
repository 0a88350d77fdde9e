"""A million items, the best hundred of them, and what it takes: python -m benchmarks.catalogue.

The catalogue is made (`vectors`), every file and every index of faiss is written into a folder,
and then all are asked by vectors of users that no compression has seen: recall of the exact best
100 of float32, and the median time of a call on one thread, all taking turns. With `--folder` what
is written stays, and a second run measures what is there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.table import Table

from benchmarks.catalogue import files, measuring, neighbours
from benchmarks.catalogue.vectors import Catalogue, catalogue_of, resemblance
from benchmarks.records import origin, save

RESULTS = Path(__file__).parents[1] / "results" / "catalogue.json"
TEACHER = Path(__file__).parents[2] / "saved_models" / "ml1m-teacher"
FLAGS = flags.FLAGS
_CONSOLE = Console(stderr=True)


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Attributes:
        rows: items that are made.
        sample: vectors that compression may look at.
        asking: vectors that recall and time are measured with.
        rounds: of timing, at most as many as `asking`.
    """

    rows: int = 1_000_000
    sample: int = 8_192
    asking: int = 400
    rounds: int = 40


def kept_catalogue(sizes: Sizes, seed: int, folder: Path) -> Catalogue:
    """The catalogue as it is in the folder, made where it is not."""
    file = folder / "vectors.npz"
    if not file.exists():
        made = catalogue_of(TEACHER, sizes.rows, sizes.sample, sizes.asking, seed)
        np.savez(file, **vars(made))
        np.save(folder / "sample.npy", made.sample)
    with np.load(file) as read:
        return Catalogue(**dict(read))


def indexes(asked: Sequence[str]) -> list[neighbours.Turned]:
    """The indexes that are asked for; all where nothing is."""
    return [index for index in neighbours.INDEXES if not asked or index.factory in asked]


def write_all(catalogue: Catalogue, folder: Path, asked: Sequence[str]) -> None:
    """Writes indexes and files that are not in the folder yet."""
    (folder / "files").mkdir(exist_ok=True)
    files.write_files(
        catalogue.items, folder / "sample.npy", catalogue.asking, folder / "files", asked
    )
    for index in indexes(asked):
        file = neighbours.file_of(index, folder)
        if not file.exists():
            _CONSOLE.print(f"Making {file.name}")
            neighbours.write_index(index, catalogue.items, file)


def run(sizes: Sizes, seed: int, folder: Path, asked: Sequence[str] = ()) -> dict[str, Any]:
    """Makes what is missing, asks and times all of it, and says how."""
    catalogue = kept_catalogue(sizes, seed, folder)
    write_all(catalogue, folder, asked)
    truth = measuring.truth_of(catalogue, seed)
    names = files.names(folder, asked)
    made = {name: folder / "files" / name / "model.tflite" for name in names}
    found = measuring.asked_files(truth, sizes.rows, made)
    found += measuring.asked_indexes(truth, sizes.rows, folder, indexes(asked))
    packages = ("numpy", "tensorflow", "litert-quantizer", "ai-edge-litert", "faiss-cpu")
    return {
        **origin("catalogue", packages),
        "seed": seed,
        "threads": 1,
        "k": files.K,
        **asdict(sizes),
        "resemblance": resemblance(catalogue, seed),
        "results": [asdict(row) for row in measuring.timed(found, sizes.rounds)],
    }


def table_of(written: dict[str, Any]) -> Table:
    """The results to look at."""
    table = Table(title=f"{written['rows']:,} items, the best {written['k']}, one thread")
    table.add_column("found by")
    for name in ("MB", "bytes an item", "recall", "by items", "ms", "of float32"):
        table.add_column(name, justify="right")
    for line in written["results"]:
        table.add_row(
            line["name"],
            f"{line['bytes'] / 1e6:,.1f}",
            f"{line['bytes_an_item']:.1f}",
            f"{line['recall']:.4f}",
            f"{line['recall_of_items']:.4f}",
            f"{line['ms']:.2f}",
            f"{line['ms'] / line['ms_of_float32']:.2f}",
        )
    return table


def define_flags() -> None:
    """Says what the command line may hold; not at import, where another script's might stand."""
    flags.DEFINE_integer("rows", Sizes.rows, "Items that are made.", lower_bound=4_000)
    flags.DEFINE_integer("sample", Sizes.sample, "Vectors to compress by.", lower_bound=1)
    flags.DEFINE_integer("asking", Sizes.asking, "Vectors that ask.", lower_bound=1)
    flags.DEFINE_integer("rounds", Sizes.rounds, "Rounds of timing.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of the items, and of what is drawn.")
    flags.DEFINE_string("folder", None, "Keeps everything there; else in a temporary folder.")
    flags.DEFINE_string("out", str(RESULTS), "The JSON file to write.")
    flags.DEFINE_multi_string(
        "found", [], "Files by name and indexes by factory, float32 among them; else all."
    )
    flags.DEFINE_bool("only_make", False, "Write vectors, files and indexes, and measure nothing.")


def main(argv: Sequence[str]) -> None:
    """Measures, prints the table, and writes the file."""
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1]!r}, expected flags only.")
    sizes = Sizes(FLAGS.rows, FLAGS.sample, FLAGS.asking, min(FLAGS.rounds, FLAGS.asking))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(FLAGS.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if FLAGS.only_make:
            write_all(kept_catalogue(sizes, FLAGS.seed, folder), folder, FLAGS.found)
            return
        written = run(sizes, FLAGS.seed, folder, FLAGS.found)
    save(written, Path(FLAGS.out))
    Console(width=110).print(table_of(written))


if __name__ == "__main__":
    define_flags()
    app.run(main)
