"""What a training step costs more with a technique in place: python -m benchmarks.training_step.

Beside each of tfcompress's variants stands TF-MOT's, on copies of the same Functional model of
Dense layers, with the same optimizer, batch, sparsity and pruning schedule. They are measured at
128 and at 2,048 examples in a batch: what is done to weights takes as long at both, and what is
done with examples does not. A table of a million rows follows, see `step_tables`.

A step is one call of Keras's own `train_function` on a batch that stays the same, and for TF-MOT's
pruning, as in `fit`, its `UpdatePruningStep` callback before that. The variants take short turns,
in another order every time, so that what else the machine does meets all of them alike: the ratio
is that of a turn's median step to the plain model's in the same round, and of these the median over
rounds. The rare steps that move a mask fall out of a median. What they cost is seen where the mask
moves at every step, and `with_moves` adds the hundredth of it that a mask moved every 100 steps
pays. Steps that XLA compiles stand beside the plain step like all others; what a technique adds to
them is their ratio over that of the plain step that XLA compiles.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.records import origin, save
from benchmarks.step_models import (
    ALWAYS,
    BOTH,
    PLAIN,
    RARELY,
    Sizes,
    Step,
    compiled_variants,
    stepper,
    variants,
)
from benchmarks.step_tables import TableSizes, steps_of_tables
from tfcompress.keras import keras, tf

RESULTS = Path(__file__).with_name("results") / "training_step.json"
FLAGS = flags.FLAGS
PACKAGES = ("tensorflow", "tf-keras", "tensorflow-model-optimization", "numpy")
WARM_UP = 3  # rounds that are not counted
BATCHES = (128, 2048)
Taken = dict[tuple[str, str], np.ndarray[Any, Any]]


def measure(sizes: Sizes, rounds: int, steps: int, seed: int) -> Taken:
    """Seconds of every counted step of every variant: float64 `[rounds, steps]`."""
    keras.utils.set_random_seed(seed)
    take = {name: stepper(model, sizes) for name, model in variants(sizes).items()}
    for name, model in compiled_variants(sizes).items():
        take[name] = stepper(model, sizes, jit_compile=True)
    return in_turns(take, rounds, steps, seed)


def in_turns(take: dict[tuple[str, str], Step], rounds: int, steps: int, seed: int) -> Taken:
    """Seconds of every counted step of each: float64 `[rounds, steps]`.

    A few rounds go before that are not counted.
    """
    taken = {name: np.zeros((rounds, steps)) for name in take}
    rng = np.random.default_rng(seed)
    console = Console(stderr=True)
    for number in track(range(-WARM_UP, rounds), "Training, in turns", console=console):
        for index in rng.permutation(len(take)):
            name = list(take)[index]
            times = _timed(take[name], steps)
            if number >= 0:
                taken[name][number] = times
    return taken


def _timed(step: Step, steps: int) -> list[float]:
    marks = [time.perf_counter()]
    for _ in range(steps):
        step()
        marks.append(time.perf_counter())
    return np.diff(marks).tolist()


@dataclass(frozen=True)
class Result:
    """What a variant's step takes.

    Attributes:
        model: "Dense", or "table".
        batch: examples in a step.
        what: what is done to the model.
        by: whose code does it.
        median_ms: median step.
        ratio: median over rounds of the median step over the plain model's.
        low: lower quartile over rounds.
        high: upper quartile.
        with_moves: the ratio with the mask's moves spread over all steps.
    """

    model: str
    batch: int
    what: str
    by: str
    median_ms: float
    ratio: float
    low: float
    high: float
    with_moves: float


def results(taken: Taken, model: str, batch: int) -> list[Result]:
    """A line for each variant of a model."""
    plain = np.median(taken[PLAIN], axis=1)
    ratios = {name: np.median(seconds, axis=1) / plain for name, seconds in taken.items()}
    lines = []
    for (what, by), seconds in taken.items():
        low, ratio, high = np.percentile(ratios[what, by], [25, 50, 75])
        moves = 0.0
        if what in (RARELY, BOTH):
            moves = float(np.median(ratios[ALWAYS, by] - ratios[RARELY, by])) / 100
        numbers = (np.median(seconds) * 1e3, ratio, low, high, ratio + moves)
        lines.append(Result(model, batch, what, by, *(round(float(n), 4) for n in numbers)))
    return lines


def rounds_at(batch: int, rounds: int) -> int:
    """How many rounds count at a batch: fewer where steps are long."""
    return max(rounds // max(batch // 512, 1), 1)


def table_of(lines: Sequence[Result]) -> Table:
    """The results to look at."""
    table = Table(title="A training step")
    for name in ("model", "batch", "what", "by"):
        table.add_column(name)
    for name in ("median ms", "to plain", "quartiles", "with moves"):
        table.add_column(name, justify="right")
    for line in lines:
        quartiles = f"{line.low:.3f} to {line.high:.3f}"
        numbers = f"{line.median_ms:.2f}", f"{line.ratio:.3f}", quartiles, f"{line.with_moves:.3f}"
        table.add_row(line.model, f"{line.batch:,}", line.what, line.by, *numbers)
    return table


def record(
    sizes: tuple[Sizes, TableSizes], rounds: int, steps: int, seed: int, lines: Sequence[Result]
) -> dict[str, Any]:
    """Everything that says what was measured and how, as JSON data."""
    dense, table = sizes
    return {
        **origin("training_step", PACKAGES),
        "seed": seed,
        "rounds": rounds,
        "steps_per_round": steps,
        # 0 is TensorFlow's default: as many as there are cores.
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
        "widths": dense.widths,
        "sparsity": dense.sparsity,
        "table": asdict(table),
        "results": [asdict(line) for line in lines],
    }


def define_flags() -> None:
    """Says what the command line may hold; not at import, where another script's might stand."""
    flags.DEFINE_integer("rounds", 60, "Rounds that count at 128 examples.", lower_bound=1)
    flags.DEFINE_integer("steps", 8, "Steps of each variant in a round.", lower_bound=1)
    flags.DEFINE_integer("threads", 2, "Threads within an operation.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of weights, data and the order of turns.")
    flags.DEFINE_string("out", str(RESULTS), "The JSON file to write.")


def main(argv: Sequence[str]) -> None:
    """Measures, prints the table and one line of JSON, and writes the file."""
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1]!r}, expected flags only.")
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    dense, table = Sizes(), TableSizes()
    lines = []
    for batch in BATCHES:
        rounds = rounds_at(batch, FLAGS.rounds)
        taken = measure(replace(dense, batch=batch), rounds, FLAGS.steps, FLAGS.seed)
        lines += results(taken, "Dense", batch)
    taken = in_turns(steps_of_tables(table), FLAGS.rounds, FLAGS.steps, FLAGS.seed)
    lines += results(taken, "table", table.batch)
    written = record((dense, table), FLAGS.rounds, FLAGS.steps, FLAGS.seed, lines)
    save(written, Path(FLAGS.out))
    Console(width=110).print(table_of(lines))
    print(json.dumps(written))


if __name__ == "__main__":
    define_flags()
    app.run(main)
