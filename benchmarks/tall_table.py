"""A table of 640 million weights becomes one file: python -m benchmarks.tall_table.

A float32 table (10 M x 64, 2.56 GB, rows of varying norms) is made in a memory-mapped file, chunk
by chunk. For each way of storing it a process of its own builds a model that looks histories up in
it, and exports `recommend`: history to the best 100 of all rows, and the vector that they were
found for. `peak_bytes` is the most that the system counted of it (`ru_maxrss`), imports and touched
pages of the table among it. Before the file moves into place it is loaded and run in one more
process, which holds LiteRT without TensorFlow; `peak_bytes_of_litert` is the most of that one, with
the touched pages of the file and LiteRT's own packed copy of the weights.

Then another process asks the file, and computes the same in NumPy: codes and scales are read out
of the file by their offsets, chunk by chunk, and multiplied out and with the vector in float32.
`agreement` is the share of the 100 ids that are the same; `agreement_once` of a second signature
that does not score its best 200 again (see `tfcompress.top_k`). Times are of the file, one thread.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.progress import track
from rich.table import Table

import tfcompress as tfc
from benchmarks.dequantize import FileTable
from benchmarks.factorize import peak_bytes
from benchmarks.records import origin, save
from tfcompress import streaming
from tfcompress.keras import keras, tf

RESULTS = Path(__file__).with_name("results") / "tall_table.json"
FLAGS = flags.FLAGS
K, HISTORY = 100, 20
STORED = {
    "int4, blocks of 32": tfc.Quantize(4, tfc.PerBlock(32)),
    "int4, a scale for each row": tfc.Quantize(4, tfc.PerChannel()),
    "int4, one scale": tfc.Quantize(4, tfc.PerTensor(), tfc.Deviations(3.0)),
}
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sizes:
    """What is exported.

    Attributes:
        rows: of the table.
        columns: of the table.
        queries: histories that are asked.
    """

    rows: int = 10_000_000
    columns: int = 64
    queries: int = 8


def make_table(sizes: Sizes, folder: Path, seed: int) -> Path:
    """Writes `table.npy`, float32 `[rows, columns]`: directions at random, log-normal norms."""
    table = streaming.in_folder(folder)("table", (sizes.rows, sizes.columns), np.float32)
    rng = np.random.default_rng(seed)
    slices = list(streaming.row_slices(table.shape, 64 << 20))
    for rows in track(slices, "Making the table", console=Console(stderr=True)):
        part = rng.standard_normal((rows.stop - rows.start, sizes.columns), np.float32)
        table[rows] = part * rng.lognormal(0.0, 0.3, (len(part), 1)).astype(np.float32)
        streaming.release(table)
    table.flush()  # type: ignore[attr-defined]
    return folder / "table.npy"


class Recommender(keras.Model):  # type: ignore[misc]
    """The mean of a history, one Dense layer, and the best rows of the same table.

    Args:
        table: the path of a `.npy` file.
    """

    def __init__(self, table: Path) -> None:
        super().__init__()
        self.items = tfc.MappedEmbedding(table)
        self.out = keras.layers.Dense(self.items.output_dim, name="out")

    def call(self, history: Any) -> Any:
        """Vectors `[n, width]` of histories `[n, events]`."""
        return self.out(tf.reduce_mean(self.items(history), axis=1))

    def recommend(self, history: Any, among: int | None = None) -> dict[str, Any]:
        """The best items, their scores, and the vector that they were found for."""
        vector = self(history)
        items, scores = tfc.top_k(vector, self.items, K, among)
        return {"items": items, "scores": scores, "vector": vector}


def _once(model: Any, history: Any) -> dict[str, Any]:
    return model.recommend(history, among=K)


def histories(sizes: Sizes, seed: int) -> Array:
    """Ids, int32 `[queries, HISTORY]`."""
    rng = np.random.default_rng(seed + 1)
    return rng.integers(0, sizes.rows, (sizes.queries, HISTORY)).astype(np.int32)


def export(table: Path, name: str, folder: Path, sizes: Sizes, seed: int) -> dict[str, Any]:
    """Exports one way of storing the table, in this process; what it took."""
    imported = peak_bytes()
    keras.utils.set_random_seed(seed)
    begun = time.perf_counter()
    model = Recommender(table)
    asked = histories(sizes, seed)
    model(asked[:1])
    student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("items"), STORED[name])]))
    history = {"history": tf.TensorSpec([1, HISTORY], tf.int32)}
    made = tfc.export(
        student,
        folder,
        {
            "recommend": tfc.Signature(Recommender.recommend, history),
            "once": tfc.Signature(_once, history),
        },
        {key: [{"history": row[None]} for row in asked[:2]] for key in ("recommend", "once")},
    )
    return {
        "stored": name,
        "seconds": round(time.perf_counter() - begun, 1),
        "peak_bytes_after_imports": imported,
        "peak_bytes": peak_bytes(),
        "peak_bytes_of_litert": made.report["peak_bytes_of_litert"],
        **made.report["sizes"],
        "bytes_an_item": round(made.report["sizes"]["bytes"] / sizes.rows, 2),
    }


def ask(file: Path, sizes: Sizes, seed: int) -> dict[str, Any]:
    """Asks a file, and NumPy the same of the table that it holds."""
    lite, stored = tfc.LiteModel(file), FileTable(file, (sizes.rows, sizes.columns))
    calls = [{"history": row[None]} for row in histories(sizes, seed)]
    answers = [lite.run("recommend", call) for call in calls]
    once = [lite.run("once", call)["items"][0] for call in calls]
    vectors = np.concatenate([answer["vector"] for answer in answers])
    best, scores = exact(stored, vectors)
    found = np.concatenate([answer["items"] for answer in answers])
    error = np.concatenate([answer["scores"] for answer in answers]) - scores
    return {
        "agreement": shared(found, best),
        "agreement_once": shared(np.stack(once), best),
        "largest_error_of_a_score": float(np.abs(error).max() / np.abs(scores).max()),
        "milliseconds": round(timed(lite, "recommend", calls), 1),
        "milliseconds_once": round(timed(lite, "once", calls), 1),
        "peak_bytes_asked": peak_bytes(),
    }


def exact(table: FileTable, vectors: Array) -> tuple[Array, Array]:
    """The best K rows of each vector and their scores, by NumPy."""
    ids = np.zeros((len(vectors), 0), np.int64)
    best = np.zeros((len(vectors), 0), np.float32)
    for rows in streaming.row_slices(table.shape, 64 << 20):
        scores = vectors @ table[rows].T
        ids = np.concatenate(
            [ids, np.broadcast_to(np.arange(rows.start, rows.stop), scores.shape)], 1
        )
        best = np.concatenate([best, scores], 1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :K]
        ids, best = np.take_along_axis(ids, order, 1), np.take_along_axis(best, order, 1)
    return ids, best


def shared(found: Array, expected: Array) -> float:
    """The share of the ids of each row that are in the other's."""
    rows = zip(found.tolist(), expected.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in rows]))


def timed(lite: tfc.LiteModel, signature: str, calls: Sequence[Mapping[str, Any]]) -> float:
    """The median milliseconds of a call."""
    taken = []
    for call in calls:
        run = lite.prepared(signature, call)
        begun = time.perf_counter()
        run()
        taken.append(1e3 * (time.perf_counter() - begun))
    return float(np.median(taken))


def _in_a_process(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.tall_table", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(sizes: Sizes, seed: int, folder: Path, stored: Sequence[str]) -> dict[str, Any]:
    """Makes the table, exports and asks each file in processes of their own, and says how."""
    table = make_table(sizes, folder, seed)
    given = [f"--{name}={value}" for name, value in {**asdict(sizes), "seed": seed}.items()]
    lines = []
    for name in stored:
        made = folder / "made"
        line = _in_a_process(*given, f"--table={table}", f"--export={name}", f"--into={made}")
        lines.append(line | _in_a_process(*given, f"--ask={made / 'model.tflite'}"))
    return record(sizes, seed, lines)


def record(sizes: Sizes, seed: int, lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Everything that says what was measured and how, as JSON data."""
    packages = ("numpy", "tensorflow", "litert-quantizer", "ai-edge-litert")
    return {
        **origin("tall_table", packages),
        "seed": seed,
        **asdict(sizes),
        "table_bytes": 4 * sizes.rows * sizes.columns,
        "results": list(lines),
    }


def table_of(written: dict[str, Any]) -> Table:
    """The results to look at."""
    table = Table(title=f"{written['rows']:,} x {written['columns']}")
    table.add_column("stored")
    numbers = "MB", "bytes an item", "seconds", "peak MB", "LiteRT MB", "top 100", "once", "ms"
    for name in (*numbers, "once"):
        table.add_column(name, justify="right")
    for line in written["results"]:
        table.add_row(
            line["stored"],
            f"{line['bytes'] / 1e6:,.1f}",
            f"{line['bytes_an_item']:.1f}",
            f"{line['seconds']:.1f}",
            f"{line['peak_bytes'] / 1e6:,.0f}",
            f"{line['peak_bytes_of_litert'] / 1e6:,.0f}",
            f"{line['agreement']:.4f}",
            f"{line['agreement_once']:.4f}",
            f"{line['milliseconds']:.1f}",
            f"{line['milliseconds_once']:.1f}",
        )
    return table


def define_flags() -> None:
    """Says what the command line may hold; not at import, where another script's might stand."""
    flags.DEFINE_integer("rows", Sizes.rows, "Rows of the table.", lower_bound=2 * K)
    flags.DEFINE_integer("columns", Sizes.columns, "Columns of the table.", lower_bound=32)
    flags.DEFINE_integer("queries", Sizes.queries, "Histories that are asked.", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "Of the table, the model and the histories.")
    flags.DEFINE_string("folder", None, "Where everything is put meanwhile; a temporary folder.")
    flags.DEFINE_string("out", str(RESULTS), "The JSON file to write.")
    flags.DEFINE_string("table", None, "The table to export, in a process of its own.")
    flags.DEFINE_enum("export", None, list(STORED), "How to store it there.")
    flags.DEFINE_string("into", None, "Where to export it to.")
    flags.DEFINE_string("ask", None, "The file to ask, in a process of its own.")


def main(argv: Sequence[str]) -> None:
    """Measures, prints the table and one line of JSON, and writes the file."""
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1]!r}, expected flags only.")
    sizes = Sizes(FLAGS.rows, FLAGS.columns, FLAGS.queries)
    if FLAGS.export:
        into = Path(FLAGS.into)
        print(json.dumps(export(Path(FLAGS.table), FLAGS.export, into, sizes, FLAGS.seed)))
        return
    if FLAGS.ask:
        print(json.dumps(ask(Path(FLAGS.ask), sizes, FLAGS.seed)))
        return
    with tempfile.TemporaryDirectory(dir=FLAGS.folder) as folder:
        written = run(sizes, FLAGS.seed, Path(folder), list(STORED))
    save(written, Path(FLAGS.out))
    Console(width=110).print(table_of(written))
    print(json.dumps(written))


if __name__ == "__main__":
    define_flags()
    app.run(main)
