"""What scoring every id of a table takes in a file: python -m benchmarks.table_scores.

One vector of 64 numbers is scored with all ids of a table. First come ways to write the sum over
codes of partial scores down, each with its codes as bytes, and one with the four bytes for a code
that the converter makes of them if it is let. Then come tables as tfcompress exports them: plain,
coded and shared. Random tables serve, for neither bytes nor time depend on what is in them. The
files of one table size take turns on one thread.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.progress import track
from rich.table import Table

import tfcompress as tfc
from benchmarks.records import origin, save
from tfcompress.export import flatbuffer
from tfcompress.export.convert import convert
from tfcompress.keras import keras, tf
from tfcompress.layers.coded import scores_in_file, unfolded
from tfcompress.techniques.code import Start

RESULTS = Path(__file__).with_name("results") / "table_scores.json"
FLAGS = flags.FLAGS
PACKAGES = ("tensorflow", "tf-keras", "ai-edge-litert", "litert-quantizer", "numpy")
CENTROIDS = 256
Array = np.ndarray[Any, Any]
Form = Callable[[Any, Any, Any], Any]  # vectors, codebooks, codes [ids, codes] to scores


@dataclass(frozen=True)
class Sizes:
    """What is scored.

    Attributes:
        ids: rows of the tables, one after the other.
        width: of a row.
        codes: of coded tables.
    """

    ids: tuple[int, ...] = (3707, 100_000)
    width: int = 64
    codes: tuple[int, ...] = (8, 16, 32)


def _partial(vectors: Any, books: Any, codes: int) -> Any:
    """Partial scores `[codes, centroids]` of one vector, as `scores_in_file` makes them."""
    parts = tf.reshape(vectors, [codes, books.shape[1]])
    products = tf.matmul(parts, books, transpose_b=True)
    blocks = tf.reshape(products, [codes * codes, -1])
    return tf.gather(blocks, tf.range(codes) * (codes + 1))


def _at_offsets(vectors: Any, books: Any, assignments: Any) -> Any:
    codes = assignments.shape[1]
    numbers = tf.cast(unfolded(tf.transpose(assignments), vectors), tf.int32)
    places = numbers + tf.range(codes)[:, tf.newaxis] * (books.shape[0] // codes)
    partial = tf.reshape(_partial(vectors, books, codes), [-1])
    return tf.reduce_sum(tf.gather(partial, places), 0)[tf.newaxis]


def _code_by_code(vectors: Any, books: Any, assignments: Any) -> Any:
    numbers = tf.unstack(unfolded(tf.transpose(assignments), vectors))
    partial = tf.unstack(_partial(vectors, books, assignments.shape[1]))
    gathered = [tf.gather(p, tf.cast(n, tf.int32)) for p, n in zip(partial, numbers, strict=True)]
    total = gathered[0]
    for one in gathered[1:]:
        total += one
    return total[tf.newaxis]


def _at_pairs(vectors: Any, books: Any, assignments: Any) -> Any:
    ids, codes = assignments.shape
    numbers = tf.cast(unfolded(tf.transpose(assignments), vectors), tf.int32)
    rows = tf.broadcast_to(tf.range(codes)[:, tf.newaxis], [codes, ids])
    places = tf.stack([rows, numbers], -1)
    return tf.reduce_sum(tf.gather_nd(_partial(vectors, books, codes), places), 0)[tf.newaxis]


def _folded(vectors: Any, books: Any, assignments: Any) -> Any:
    numbers = tf.cast(tf.transpose(assignments), tf.int32)
    partial = _partial(vectors, books, assignments.shape[1])
    return tf.reduce_sum(tf.gather(partial, numbers, axis=1, batch_dims=1), 0)[tf.newaxis]


FORMS: dict[str, Form] = {
    "GATHER in batches, SUM (tfcompress)": scores_in_file,
    "one GATHER at offsets, SUM": _at_offsets,
    "a GATHER for each code, ADD": _code_by_code,
    "GATHER_ND, SUM": _at_pairs,
    "GATHER in batches, SUM, codes as int32": _folded,
}


def formed(form: Form, assignments: Array, books: Array, vectors: Array) -> bytes:
    """A file that scores in this form, checked against NumPy.

    Raises:
        ArithmeticError: it computes something else.
    """
    width = vectors.shape[1]
    module = keras.Sequential()  # convert wants a model, and the forms are none
    call = tfc.Signature(
        lambda _, vectors: form(vectors, tf.constant(books), tf.constant(assignments)),
        {"vectors": tf.TensorSpec([1, width], tf.float32)},
    )
    content = flatbuffer.compact(convert(module, {"score": call}))
    parts = books.reshape(assignments.shape[1], -1, books.shape[1])
    rows = [part[own] for part, own in zip(parts, assignments.T, strict=True)]
    expected = vectors @ np.concatenate(rows, 1).T
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "form.tflite"
        path.write_bytes(content)
        found = tfc.LiteModel(path).run("score", {"vectors": vectors})["output"]
    if not np.allclose(found, expected, rtol=1e-3, atol=1e-3):
        raise ArithmeticError(f"{form} scores {found.ravel()[:3]}, not {expected.ravel()[:3]}.")
    return content


class Scorer(keras.Model):  # type: ignore[misc]
    """Vectors to scores with every row of a table."""

    def __init__(self, ids: int, width: int) -> None:
        super().__init__(name="scorer")
        self.table = keras.layers.Embedding(ids, width, name="table")
        self.table.build(None)

    def call(self, vectors: Any) -> Any:
        """Scores `[n, ids]`."""
        return tfc.scores(vectors, self.table)


@dataclass(frozen=True)
class AnyCodes(Start):
    """Codes at random, for which nobody has to wait."""

    def assignments(self, table: Array, codes: int, centroids: int) -> Array:
        """Random codes."""
        return np.random.default_rng(0).integers(0, centroids, (len(table), codes), np.uint8)


def techniques(ids: int, codes: Sequence[int]) -> dict[str, tuple[Any, ...]]:
    """Tables to compare, by name."""
    root = int(np.ceil(np.sqrt(ids)))
    coded: dict[str, tuple[Any, ...]] = {
        f"Code({n})": (tfc.Code(n, start=AnyCodes()),) for n in codes
    }
    coded |= {
        f"{name}, int8": (*how, tfc.Quantize(8, tfc.PerTensor())) for name, how in coded.items()
    }
    return {
        "plain": (),
        "plain, int8": (tfc.Quantize(8),),
        **coded,
        f"QuotientRemainder({root}, Product())": (tfc.Share(tfc.QuotientRemainder(root)),),
        f"QuotientRemainder({root}, Sum())": (tfc.Share(tfc.QuotientRemainder(root, tfc.Sum())),),
        f"DoubleHash({ids // 20})": (tfc.Share(tfc.DoubleHash(ids // 20)),),
        f"DoubleHash({ids // 20}), 100 kept": (tfc.Share(tfc.DoubleHash(ids // 20), keep=100),),
        f"DoubleHash({ids // 20}), any 100 kept": (
            tfc.Share(tfc.DoubleHash(ids // 20), 100, range(0, 200, 2)),
        ),
    }


def exported(model: Any, how: Sequence[Any], vectors: Array, folder: Path) -> Path:
    """The file of a model whose table is compressed in this way."""
    if how:
        model = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("table"), *how)]))
    spec = tf.TensorSpec(vectors.shape, tf.float32)
    call = tfc.Signature(lambda model, vectors: model(vectors), {"vectors": spec})
    made = tfc.export(model, folder, {"score": call}, {"score": [{"vectors": vectors}]})
    return made.model


@dataclass(frozen=True)
class Result:
    """One file.

    Attributes:
        what: how it scores.
        ids: how many ids.
        codes: of a form of the sum over codes; None: a table as it is exported.
        bytes: of the file.
        microseconds: median of a call.
    """

    what: str
    ids: int
    codes: int | None
    bytes: int
    microseconds: float


def measure(sizes: Sizes, rounds: int, seed: int) -> list[Result]:
    """Every file of every size."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(1, sizes.width)).astype(np.float32)
    lines = []
    for ids in sizes.ids:
        for codes in sizes.codes:
            lines += _compared(_forms(ids, codes, vectors, rng), ids, codes, vectors, rounds)
        lines += _compared(_tables(ids, sizes, vectors), ids, None, vectors, rounds)
    return lines


def _forms(ids: int, codes: int, vectors: Array, rng: np.random.Generator) -> dict[str, bytes]:
    assignments = rng.integers(0, CENTROIDS, (ids, codes)).astype(np.uint8)
    shape = (codes * CENTROIDS, vectors.shape[1] // codes)
    books = rng.normal(size=shape).astype(np.float32)
    title = f"{ids:,} ids, {codes} codes"
    return {
        name: formed(form, assignments, books, vectors)
        for name, form in track(FORMS.items(), title, console=Console(stderr=True))
    }


def _tables(ids: int, sizes: Sizes, vectors: Array) -> dict[str, bytes]:
    keras.utils.set_random_seed(0)
    model = Scorer(ids, sizes.width)
    model(vectors)
    made = {}
    title = f"{ids:,} ids, tables"
    several = techniques(ids, sizes.codes).items()
    with tempfile.TemporaryDirectory() as folder:
        for name, how in track(several, title, console=Console(stderr=True)):
            made[name] = exported(model, how, vectors, Path(folder) / "m").read_bytes()
    return made


def _compared(
    contents: dict[str, bytes], ids: int, codes: int | None, vectors: Array, rounds: int
) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{i}.tflite" for i, name in enumerate(contents)}
        for name, path in paths.items():
            path.write_bytes(contents[name])
        calls = dict.fromkeys(paths, [{"vectors": vectors}] * 5)
        taken = tfc.compare_latency(paths, "score", calls, rounds=rounds)
    return [
        Result(name, ids, codes, len(contents[name]), round(taken[name], 1)) for name in contents
    ]


def table_of(lines: Sequence[Result]) -> Table:
    """The results to look at."""
    table = Table(title="Scores of one vector with every id")
    table.add_column("what")
    for name in ("ids", "codes", "bytes", "µs"):
        table.add_column(name, justify="right")
    for line in lines:
        codes = "" if line.codes is None else str(line.codes)
        numbers = f"{line.ids:,}", codes, f"{line.bytes:,}", f"{line.microseconds:,.0f}"
        table.add_row(line.what, *numbers)
    return table


def record(sizes: Sizes, rounds: int, seed: int, lines: Sequence[Result]) -> dict[str, Any]:
    """Everything that says what was measured and how, as JSON data."""
    return {
        **origin("table_scores", PACKAGES),
        "seed": seed,
        "rounds": rounds,
        "threads": 1,
        **asdict(sizes),
        "results": [asdict(line) for line in lines],
    }


def define_flags() -> None:
    """Says what the command line may hold; not at import, where another script's might stand."""
    flags.DEFINE_integer("rounds", 20, "Rounds that are counted.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of tables and vectors.")
    flags.DEFINE_string("out", str(RESULTS), "The JSON file to write.")


def main(argv: Sequence[str]) -> None:
    """Measures, prints the table, and writes the file."""
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1]!r}, expected flags only.")
    lines = measure(Sizes(), FLAGS.rounds, FLAGS.seed)
    written = record(Sizes(), FLAGS.rounds, FLAGS.seed, lines)
    save(written, Path(FLAGS.out))
    Console(width=110).print(table_of(lines))


if __name__ == "__main__":
    define_flags()
    app.run(main)
