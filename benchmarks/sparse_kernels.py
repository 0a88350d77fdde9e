"""What zeros save in a file: python -m benchmarks.sparse_kernels.

Networks of Dense layers and of 1x1 convolutions with random weights are pruned in several patterns
and sparsities, and written twice: with their zeros, and with sparse kernels. Each sparse file is
compared with the Keras model before anything is timed. All files of one network take turns on one
thread.
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
from tfcompress.export.sizes import operators
from tfcompress.export.verify import verify
from tfcompress.keras import keras, tf

RESULTS = Path(__file__).with_name("results") / "sparse_kernels.json"
FLAGS = flags.FLAGS
PACKAGES = ("tensorflow", "tf-keras", "ai-edge-litert", "numpy")
Array = np.ndarray[Any, Any]
PATTERNS: dict[str, Any] = {
    "single weights": (1, 1),
    "2 of 4": tfc.NofM(2, 4),
    "blocks of 4 inputs": (4, 1),
    "blocks of 16 inputs": (16, 1),
}


@dataclass(frozen=True)
class Sizes:
    """What is pruned.

    Attributes:
        units: of three Dense layers.
        filters: of three 1x1 convolutions.
        side: of their images.
        sparsities: shares of zeros.
    """

    units: int = 512
    filters: int = 128
    side: int = 28
    sparsities: tuple[float, ...] = (0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Result:
    """One file.

    Attributes:
        network: "Dense" or "Conv2D".
        pattern: in what shapes weights went.
        sparsity: share of zeros.
        sparse: whether it holds sparse kernels.
        filled_up: how many of these LiteRT fills up when it loads them.
        bytes: of the file.
        microseconds: median of a call.
    """

    network: str
    pattern: str
    sparsity: float
    sparse: bool
    filled_up: int
    bytes: int
    microseconds: float


def _dense(sizes: Sizes) -> tuple[Any, tuple[int, ...]]:
    layers = [keras.layers.Dense(sizes.units, "relu") for _ in range(3)]
    return keras.Sequential([keras.Input((sizes.units,)), *layers]), (1, sizes.units)


def _convolutions(sizes: Sizes) -> tuple[Any, tuple[int, ...]]:
    layers = [keras.layers.Conv2D(sizes.filters, 1, activation="relu") for _ in range(3)]
    shape = (sizes.side, sizes.side, sizes.filters)
    return keras.Sequential([keras.Input(shape), *layers]), (1, *shape)


NETWORKS: dict[str, Callable[[Sizes], tuple[Any, tuple[int, ...]]]] = {
    "Dense": _dense,
    "Conv2D": _convolutions,
}


def measure(sizes: Sizes, rounds: int, seed: int) -> list[Result]:
    """Every file of every network."""
    lines = []
    for network, make in NETWORKS.items():
        keras.utils.set_random_seed(seed)
        model, shape = make(sizes)
        lines += _compared(network, model, shape, sizes, rounds)
    return lines


def _compared(
    network: str, model: Any, shape: tuple[int, ...], sizes: Sizes, rounds: int
) -> list[Result]:
    wanted = [(p, s) for p in PATTERNS for s in sizes.sparsities if p != "2 of 4"]
    wanted.append(("2 of 4", 0.5))
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        files: dict[tuple[str, float, bool], Path] = {}
        for pattern, sparsity in track(wanted, network, console=Console(stderr=True)):
            how = tfc.Prune(sparsity, PATTERNS[pattern])
            pruned = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type(network), how)]))
            for sparse in (False, True):
                path = Path(folder) / f"{len(files)}.tflite"
                _write(path, pruned, x, sparse)
                files[pattern, sparsity, sparse] = path
        names = {str(key): path for key, path in files.items()}
        calls = dict.fromkeys(names, [{"x": x}] * 3)
        taken = tfc.compare_latency(names, "serve", calls, rounds=rounds)
        return [_result(network, key, path, taken[str(key)]) for key, path in files.items()]


def _write(path: Path, pruned: Any, x: Array, sparse: bool) -> None:
    inputs = {"x": tf.TensorSpec(x.shape, tf.float32)}
    signatures = {"serve": tfc.Signature(lambda model, x: model(x), inputs)}
    path.write_bytes(flatbuffer.compact(convert(tfc.finalize(pruned), signatures, sparse)))
    verify(path, pruned, signatures, {"serve": [{"x": x}]}, tolerance=1e-4)


def _result(network: str, key: tuple[str, float, bool], path: Path, time: float) -> Result:
    content = path.read_bytes()
    filled_up = operators(content).get("DENSIFY", 0)
    return Result(network, *key, filled_up, len(content), round(time, 1))


def table_of(lines: Sequence[Result]) -> Table:
    """The results to look at."""
    table = Table(title="Pruned networks in a file")
    for name in ("network", "pattern", "sparsity", "kernels"):
        table.add_column(name)
    for name in ("bytes", "µs"):
        table.add_column(name, justify="right")
    for line in lines:
        kernels = "dense"
        if line.sparse:
            kernels = "sparse, filled up" if line.filled_up else "sparse"
        shown = line.network, line.pattern, str(line.sparsity), kernels
        table.add_row(*shown, f"{line.bytes:,}", f"{line.microseconds:,.1f}")
    return table


def record(sizes: Sizes, rounds: int, seed: int, lines: Sequence[Result]) -> dict[str, Any]:
    """Everything that says what was measured and how, as JSON data."""
    return {
        **origin("sparse_kernels", PACKAGES),
        "seed": seed,
        "rounds": rounds,
        "threads": 1,
        **asdict(sizes),
        "results": [asdict(line) for line in lines],
    }


def define_flags() -> None:
    """Says what the command line may hold; not at import, where another script's might stand."""
    flags.DEFINE_integer("rounds", 40, "Rounds that are counted.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of the weights.")
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
