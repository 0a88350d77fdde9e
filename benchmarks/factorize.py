"""Factorizing a table that should not be held in memory: python -m benchmarks.factorize.

A float32 table of decaying spectrum is made in a memory-mapped file, chunk by chunk. Then
`tfcompress.streaming.factorize_table` reads it twice, finds the best factors of a rank, and writes
the left one row by row as int8 or int4 codes with their scales, into memory-mapped files too. Rates
are of the table's bytes over the seconds of the whole call, as they are and as a share of the rate
at which one thread copies memory. The peak of memory is the whole process's, with TensorFlow and
the making of the table in it. On a busy machine BLAS is faster alone than in threads that wait for
each other: OPENBLAS_NUM_THREADS=1 in the environment asks for that, and the result says so.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.records import origin, save
from tfcompress import streaming

RESULTS = Path(__file__).with_name("results") / "factorize.json"
FLAGS = flags.FLAGS
COPIED = 64 << 20  # bytes: more than the caches hold
SAMPLE = 10_000  # rows whose error is measured
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sizes:
    """What is factorized.

    Attributes:
        rows: of the table.
        columns: of the table.
        rank: of its factors.
        decay: each singular value is so many times the one before.
    """

    rows: int = 5_000_000
    columns: int = 64
    rank: int = 16
    decay: float = 0.85

    @property
    def bytes(self) -> int:
        """Of the table in float32."""
        return 4 * self.rows * self.columns


@dataclass(frozen=True)
class Result:
    """What one call took and gave.

    Attributes:
        bits: of a code.
        seconds: of the whole call.
        gigabytes_per_second: of the table.
        share_of_copy: that rate over the rate of copying.
        bytes_after: of codes, scales and right factor.
        error: of a sample of rows, relative, codes included.
        error_of_the_rank: the same for the factors in float32.
    """

    bits: int
    seconds: float
    gigabytes_per_second: float
    share_of_copy: float
    bytes_after: int
    error: float
    error_of_the_rank: float


def make_table(sizes: Sizes, folder: Path, seed: int) -> Array:
    """The table, memory-mapped: float32 `[rows, columns]`."""
    table = streaming.in_folder(folder)("table", (sizes.rows, sizes.columns), np.float32)
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(sizes.columns, sizes.columns)))[0].astype(np.float32)
    spread = (sizes.decay ** np.arange(sizes.columns)).astype(np.float32)[:, None] * basis
    slices = list(streaming.row_slices(table.shape))
    for rows in track(slices, "Making the table", console=Console(stderr=True)):
        shape = (rows.stop - rows.start, sizes.columns)
        table[rows] = rng.standard_normal(shape, np.float32) @ spread
        streaming.release(table)
    table.flush()  # type: ignore[attr-defined]
    return np.load(folder / "table.npy", mmap_mode="r")


def copy_rate(size: int = COPIED, repeats: int = 7) -> float:
    """Bytes that one thread copies in a second, the median of some copies."""
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - begun)
    return size / statistics.median(seconds)


def measure(sizes: Sizes, table: Array, bits: int, folder: Path, copied: float) -> Result:
    """Factorizes the table once, and looks at a sample of its rows."""
    begun = time.perf_counter()
    made = streaming.factorize_table(table, sizes.rank, bits, streaming.in_folder(folder))
    seconds = time.perf_counter() - begun
    rate = sizes.bytes / seconds
    # Rows beside each other: a page that is read brings some of its neighbours into memory.
    ids = slice(sizes.rows // 2, sizes.rows // 2 + SAMPLE)
    sample = np.asarray(table[ids])
    projection = np.linalg.pinv(made.right) @ made.right
    return Result(
        bits=bits,
        seconds=round(seconds, 3),
        gigabytes_per_second=round(rate / 1e9, 3),
        share_of_copy=round(rate / copied, 4),
        bytes_after=made.codes.nbytes + made.scales.nbytes + made.right.nbytes,
        error=_deviation(made.rows(ids), sample),
        error_of_the_rank=_deviation(sample @ projection, sample),
    )


def _deviation(found: Array, expected: Array) -> float:
    return round(float(np.linalg.norm(found - expected) / np.linalg.norm(expected)), 5)


def peak_bytes() -> int:
    """The most memory that this process had at a time, mapped pages of files included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def record(
    sizes: Sizes, seed: int, copied: float, before: int, lines: Sequence[Result]
) -> dict[str, Any]:
    """Everything that says what was measured and how, as JSON data."""
    return {
        **origin("factorize", ("numpy",)),
        "seed": seed,
        **asdict(sizes),
        "table_bytes": sizes.bytes,
        "copy_gigabytes_per_second": round(copied / 1e9, 3),
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "as many as cores"),
        "peak_bytes_after_imports": before,
        "peak_bytes": peak_bytes(),
        "results": [asdict(line) for line in lines],
    }


def table_of(written: dict[str, Any]) -> Table:
    """The results to look at."""
    peak = written["peak_bytes"] / 1e6
    table = Table(title=f"{written['rows']:,} x {written['columns']}, peak memory {peak:,.0f} MB")
    for name in ("bits", "seconds", "GB/s", "of a copy", "MB after", "error", "of the rank"):
        table.add_column(name, justify="right")
    for line in written["results"]:
        table.add_row(
            str(line["bits"]),
            f"{line['seconds']:.2f}",
            f"{line['gigabytes_per_second']:.2f}",
            f"{line['share_of_copy']:.1%}",
            f"{line['bytes_after'] / 1e6:,.1f}",
            f"{line['error']:.4f}",
            f"{line['error_of_the_rank']:.4f}",
        )
    return table


def run(sizes: Sizes, seed: int, folder: Path) -> dict[str, Any]:
    """Makes the table in a folder, measures every number of bits, and says how."""
    before = peak_bytes()
    table = make_table(sizes, folder, seed)
    copied = copy_rate()
    lines = [measure(sizes, table, bits, folder, copied) for bits in (8, 4)]
    return record(sizes, seed, copied, before, lines)


def define_flags() -> None:
    """Says what the command line may hold; not at import, where another script's might stand."""
    flags.DEFINE_integer("rows", Sizes.rows, "Rows of the table.", lower_bound=1)
    flags.DEFINE_integer("columns", Sizes.columns, "Columns of the table.", lower_bound=1)
    flags.DEFINE_integer("rank", Sizes.rank, "Rank of the factors.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of the table.")
    flags.DEFINE_string("folder", None, "Where the table is put meanwhile; a temporary folder.")
    flags.DEFINE_string("out", str(RESULTS), "The JSON file to write.")


def main(argv: Sequence[str]) -> None:
    """Measures, prints the table and one line of JSON, and writes the file."""
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1]!r}, expected flags only.")
    sizes = Sizes(FLAGS.rows, FLAGS.columns, FLAGS.rank)
    with tempfile.TemporaryDirectory(dir=FLAGS.folder) as folder:
        written = run(sizes, FLAGS.seed, Path(folder))
    save(written, Path(FLAGS.out))
    Console(width=110).print(table_of(written))
    print(json.dumps(written))


if __name__ == "__main__":
    define_flags()
    app.run(main)
