"""What a training step costs more with a technique in place: python -m benchmarks.training_step.

Beside each of tfcompress's variants stands TF-MOT's, on copies of the same Functional model of
Dense layers, with the same optimizer, batch, sparsity and pruning schedule. A step is one call of
Keras's own `train_function` on a batch that stays the same, and for TF-MOT's pruning, as in `fit`,
its `UpdatePruningStep` callback before that. The variants take short turns, in another order every
time, so that what else the machine does meets all of them alike: the ratio is that of a turn's
median step to the plain model's in the same round, and of these the median over rounds. The rare
steps that move a mask fall out of a median. What they cost is seen where the mask moves at every
step, and `with_moves` adds the hundredth of it that a mask moved every 100 steps pays.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.progress import track
from rich.table import Table

import tfcompress as tfc
from experiments.machine import cpu_model
from tfcompress.keras import keras, tf, tfmot

RESULTS = Path(__file__).with_name("results") / "training_step.json"
FLAGS = flags.FLAGS
PACKAGES = ("tensorflow", "tf-keras", "tensorflow-model-optimization", "numpy")
PLAIN = ("nothing", "Keras")
RARELY, ALWAYS = "prune, mask moves every 100 steps", "prune, mask moves every step"
BOTH = "prune (every 100 steps) and quantize weights"
WARM_UP = 3  # rounds that are not counted
Step = Callable[[], Any]


@dataclass(frozen=True)
class Sizes:
    """What is trained.

    Attributes:
        widths: of the input, the hidden layers and the output.
        batch: examples in a step.
        sparsity: share of zeros where the model is pruned.
    """

    widths: tuple[int, ...] = (256, 512, 512, 512, 10)
    batch: int = 128
    sparsity: float = 0.8


def plain_model(sizes: Sizes) -> Any:
    """A Functional model of Dense layers; its outputs are logits."""
    outputs = inputs = keras.Input((sizes.widths[0],))
    for width in sizes.widths[1:-1]:
        outputs = keras.layers.Dense(width, activation="relu")(outputs)
    return keras.Model(inputs, keras.layers.Dense(sizes.widths[-1])(outputs))


def _copy(model: Any) -> Any:
    # TF-MOT's wrappers take the layers that they are given, and write to them.
    new = keras.models.clone_model(model)
    new.set_weights(model.get_weights())
    return new


def _compressed(model: Any, *techniques: Any) -> Any:
    return tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), *techniques)]))


def _prune(sizes: Sizes, frequency: int) -> tfc.Prune:
    return tfc.Prune(sizes.sparsity, schedule=tfc.ConstantSparsity(frequency=frequency))


def _tfmot_pruned(model: Any, sizes: Sizes, frequency: int) -> Any:
    sparsity = tfmot.sparsity.keras
    schedule = sparsity.ConstantSparsity(sizes.sparsity, begin_step=0, frequency=frequency)
    return sparsity.prune_low_magnitude(_copy(model), pruning_schedule=schedule)


class _WeightsAlone(tfmot.quantization.keras.QuantizeConfig):  # type: ignore[misc]
    """TF-MOT's quantizer on what tfcompress quantizes: the kernels, per channel."""

    _quantizer = tfmot.quantization.keras.quantizers.LastValueQuantizer(
        num_bits=8, per_axis=True, symmetric=True, narrow_range=True
    )

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        """The kernel."""
        return [(layer.kernel, self._quantizer)]

    def set_quantize_weights(self, layer: Any, quantize_weights: Any) -> None:
        """Puts the quantized kernel in."""
        layer.kernel = quantize_weights[0]

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
        """None."""
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
        """Nothing to set."""
        del layer, quantize_activations  # AutoGraph wants a statement

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """None."""
        return []

    def get_config(self) -> dict[str, Any]:
        """No arguments."""
        return {}


def _tfmot_weights_alone(model: Any) -> Any:
    quantization = tfmot.quantization.keras

    def annotated(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Dense):
            return quantization.quantize_annotate_layer(layer, _WeightsAlone())
        return layer

    with quantization.quantize_scope({"_WeightsAlone": _WeightsAlone}):
        return quantization.quantize_apply(
            keras.models.clone_model(_copy(model), clone_function=annotated),
            quantized_layer_name_prefix="",
        )


def _tfmot_both(model: Any, sizes: Sizes) -> Any:
    """Pruned first, then trained on its grid with its zeros preserved: TF-MOT has no other way."""
    pruned = _tfmot_pruned(model, sizes, frequency=1)
    stepper(pruned, sizes)()
    stripped = tfmot.sparsity.keras.strip_pruning(pruned)
    return tfmot.quantization.keras.quantize_apply(
        tfmot.quantization.keras.quantize_annotate_model(stripped),
        tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme(),
    )


def variants(sizes: Sizes) -> dict[tuple[str, str], Any]:
    """(what is done, by whom) → the model, all from the same weights."""
    model = plain_model(sizes)
    quantize = tfc.Quantize(bits=8)
    tfmot_quantized = tfmot.quantization.keras.quantize_model(_copy(model))
    return {
        PLAIN: _copy(model),
        ("nothing, again", "Keras"): _copy(model),
        (RARELY, "tfcompress"): _compressed(model, _prune(sizes, 100)),
        (RARELY, "TF-MOT"): _tfmot_pruned(model, sizes, 100),
        (ALWAYS, "tfcompress"): _compressed(model, _prune(sizes, 1)),
        (ALWAYS, "TF-MOT"): _tfmot_pruned(model, sizes, 1),
        ("quantize weights", "tfcompress"): _compressed(model, quantize),
        ("quantize weights", "TF-MOT"): _tfmot_weights_alone(model),
        ("quantize weights and activations", "TF-MOT"): tfmot_quantized,
        (BOTH, "tfcompress"): _compressed(model, _prune(sizes, 100), quantize),
        ("pruned before, quantize weights and activations", "TF-MOT"): _tfmot_both(model, sizes),
    }


def stepper(model: Any, sizes: Sizes) -> Step:
    """A function that trains the model for one step."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(sizes.batch, sizes.widths[0])).astype(np.float32)
    y = rng.integers(0, sizes.widths[-1], sizes.batch)
    batches = iter(tf.data.Dataset.from_tensors((x, y)).cache().repeat())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=loss)
    train = model.make_train_function()
    if not any(hasattr(layer, "pruning_step") for layer in model.layers):
        return lambda: train(batches)
    callback = tfmot.sparsity.keras.UpdatePruningStep()
    callback.set_model(model)
    callback.on_train_begin()

    def step() -> Any:
        callback.on_train_batch_begin(0)
        return train(batches)

    return step


def measure(
    sizes: Sizes, rounds: int, steps: int, seed: int
) -> dict[tuple[str, str], np.ndarray[Any, Any]]:
    """Seconds of every counted step of every variant: float64 `[rounds, steps]`.

    A few rounds go before that are not counted.
    """
    keras.utils.set_random_seed(seed)
    take = {name: stepper(model, sizes) for name, model in variants(sizes).items()}
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
        what: what is done to the model.
        by: whose code does it.
        median_ms: median step.
        ratio: median over rounds of the median step over the plain model's.
        low: lower quartile over rounds.
        high: upper quartile.
        with_moves: the ratio with the mask's moves spread over all steps.
    """

    what: str
    by: str
    median_ms: float
    ratio: float
    low: float
    high: float
    with_moves: float


def results(taken: dict[tuple[str, str], np.ndarray[Any, Any]]) -> list[Result]:
    """A line for each variant."""
    plain = np.median(taken[PLAIN], axis=1)
    ratios = {name: np.median(seconds, axis=1) / plain for name, seconds in taken.items()}
    lines = []
    for (what, by), seconds in taken.items():
        low, ratio, high = np.percentile(ratios[what, by], [25, 50, 75])
        moves = 0.0
        if what in (RARELY, BOTH):
            moves = float(np.median(ratios[ALWAYS, by] - ratios[RARELY, by])) / 100
        numbers = (np.median(seconds) * 1e3, ratio, low, high, ratio + moves)
        lines.append(Result(what, by, *(round(float(n), 4) for n in numbers)))
    return lines


def table_of(lines: Sequence[Result]) -> Table:
    """The results to look at."""
    table = Table(title="A training step")
    for name in ("what", "by"):
        table.add_column(name)
    for name in ("median ms", "to plain", "quartiles", "with moves"):
        table.add_column(name, justify="right")
    for line in lines:
        quartiles = f"{line.low:.3f} to {line.high:.3f}"
        numbers = f"{line.median_ms:.2f}", f"{line.ratio:.3f}", quartiles, f"{line.with_moves:.3f}"
        table.add_row(line.what, line.by, *numbers)
    return table


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.system(),
        "python": platform.python_version(),
    }


def record(
    sizes: Sizes, rounds: int, steps: int, seed: int, lines: Sequence[Result]
) -> dict[str, Any]:
    """Everything that says what was measured and how, as JSON data."""
    return {
        "benchmark": "training_step",
        "command": shlex.join(["python", "-m", "benchmarks.training_step", *sys.argv[1:]]),
        "seed": seed,
        "rounds": rounds,
        "steps_per_round": steps,
        # 0 is TensorFlow's default: as many as there are cores.
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
        **asdict(sizes),
        "machine": machine(),
        "versions": {
            "tfcompress": tfc.__version__,
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "results": [asdict(line) for line in lines],
    }


def define_flags() -> None:
    """Says what the command line may hold; not at import, where another script's might stand."""
    flags.DEFINE_integer("rounds", 80, "Rounds that are counted.", lower_bound=1)
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
    sizes = Sizes()
    lines = results(measure(sizes, FLAGS.rounds, FLAGS.steps, FLAGS.seed))
    written = record(sizes, FLAGS.rounds, FLAGS.steps, FLAGS.seed, lines)
    Path(FLAGS.out).parent.mkdir(parents=True, exist_ok=True)
    Path(FLAGS.out).write_text(json.dumps(written, indent=2) + "\n")
    Console(width=110).print(table_of(lines))
    print(json.dumps(written))


if __name__ == "__main__":
    define_flags()
    app.run(main)
