"""TF-MOT on the rebuilt teacher: python -m benchmarks.peers.tfmot_training.

TF-MOT refuses the subclassed teacher. Here it gets what a determined user would give it: the same
model as one Functional graph, wrapped layer by layer, trained on beside the teacher, and stripped.
What comes out is kept under benchmarks/results/peers, so that python -m benchmarks.peers need not
train.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from absl import app, flags

from benchmarks.peers import functional
from benchmarks.peers.kept import KEPT, TEACHER, WAYS, arrays_of, rebuilt, restored
from benchmarks.peers.plain_distillation import Distillation, PlainDistiller
from benchmarks.peers.tfmot_ways import Way
from benchmarks.records import machine, versions
from experiments import ranking
from experiments.data import movielens
from experiments.files import replacing, save_arrays
from experiments.models import store
from tfcompress.keras import keras

PACKAGES = ("tensorflow", "tf-keras", "tensorflow-model-optimization", "numpy")
HOW = Distillation(alpha=0.1, temperature=1.0, positions=2048)
BATCH, RATE, SEED, K = 128, 5e-4, 1, 10
WAY = flags.DEFINE_multi_enum("way", list(WAYS), list(WAYS), "Which ways to train.")
EPOCHS = flags.DEFINE_integer("tfmot_epochs", 4, "Epochs of fine-tuning.", lower_bound=1)


def finetune(teacher: Any, way: Way, windows: Any, epochs: int) -> functional.Rebuilt:
    """The rebuilt teacher, trained on beside the teacher by Keras's own `fit`.

    Args:
        teacher: a trained SASRec. way: what TF-MOT does.
        windows: int32 [n, length + 1]. epochs: passes over them, at least 1.
    """
    keras.utils.set_random_seed(SEED)
    steps = epochs * (len(windows) // BATCH)
    model = rebuilt(teacher, way, teacher.config.length, steps)
    distiller = PlainDistiller(model, teacher, HOW)
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    distiller.compile(keras.optimizers.Adam(rate))
    whole = windows[: len(windows) // BATCH * BATCH]
    distiller.fit(
        whole, batch_size=BATCH, epochs=epochs, verbose=2, callbacks=way.callbacks(), shuffle=True
    )
    return model


def keep(name: str, made: dict[str, Any], epochs: int, teacher: Path, data: Any) -> None:
    """Writes a folder of results/peers, with what validation says of the rounded weights."""
    out, way = KEPT / name, WAYS[name]
    save_arrays(out / store.WEIGHTS, made)
    (out / store.CONFIG).write_text((teacher / store.CONFIG).read_text())
    model = restored(out, way)
    score = store.scorer(model)
    ranks = ranking.evaluate(score, data, "validation", model.config.length)
    hit_rate, ndcg = ranking.hr_ndcg(ranks, K)
    content = {
        "way": {"type": type(way).__name__, **asdict(way)},
        "distillation": asdict(HOW),
        "epochs": epochs, "batch": BATCH, "peak_learning_rate": RATE, "seed": SEED,
        "validation": {f"hr@{K}": hit_rate, f"ndcg@{K}": ndcg},
        "command": "python -m benchmarks.peers.tfmot_training",
        "versions": versions(PACKAGES), "machine": machine(),
    }  # fmt: skip
    with replacing(out / "results.json") as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())
    print(f"{name}: NDCG@{K} on validation {ndcg:.4f}", flush=True)


def main(argv: list[str]) -> None:
    """Runs the command line."""
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    data, teacher = movielens.load(), store.load_model(TEACHER)
    windows = movielens.windows(data, teacher.config.length)
    for name in WAY.value:
        model = finetune(teacher, WAYS[name], windows, EPOCHS.value)
        keep(name, arrays_of(model, WAYS[name]), EPOCHS.value, TEACHER, data)


if __name__ == "__main__":
    app.run(main)
