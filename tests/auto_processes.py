"""experiments.auto with random trials beside it, on made-up data: python tests/auto_processes.py DIR.

The flags of two scripts cannot be defined in one process, so that this one is the script's alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tfcompress as tfc  # first: it chooses the Keras that everything else uses

# isort: split
import numpy as np
from absl.testing import flagsaver
from small_clicks import some_clicks

from experiments import auto
from experiments.data import clicks, movielens
from experiments.models import click_files, files, store, tf
from experiments.models.ranking import RankingConfig
from experiments.models.sasrec import SASRecConfig

ITEMS = 120
TRAINING = {"seed": 1, "batch": 8, "epochs": 1, "peak_learning_rate": 1e-3, "warmup_steps": 1}
RECIPES = {
    "retrieval": {
        "student": {"length": 6, "feedforward": [24, 16]},
        "distillation": {
            "linear": None, "temperature": 1.0, "weight": 1.0, "positions": 24, "fresh": 3,
            "dropped": 0.0,
        },
    },
    "ranking": {
        "student": {"dim": 6, "reading": 8, "deep": [8], "fields": 7},
        "distillation": {"temperature": 1.0, "weight": 1.0, "pairs": 100},
    },
}  # fmt: skip


def walks() -> movielens.MovieLens:
    """Users who walk through the items."""
    starts = np.random.default_rng(0).integers(0, ITEMS, 60)
    users = [((start + np.arange(14)) % ITEMS + 1).astype(np.int32) for start in starts]
    return movielens.MovieLens(("", *(f"item {i}" for i in range(ITEMS))), users)


def make_teacher(kind: str, folder: Path) -> None:
    """What `experiments.publish` leaves, untrained."""
    tf.keras.utils.set_random_seed(0)
    if kind == "retrieval":
        model = store.build(SASRecConfig(ITEMS, length=8, dim=16, feedforward=32))
        signatures = files.signatures(model.config)
    else:
        data = some_clicks()
        sizes = {"sizes": data.sizes, "slots": data.genres.shape[1]}
        model = store.build(RankingConfig(**sizes, dim=8, deep=(32,)))
        signatures = click_files.signatures(model.config)
    config = {name: value for name, value in model.get_config().items() if name != "name"}
    kinds = {} if kind == "retrieval" else {"architecture": "ranking"}
    content = json.dumps({"model": kinds | config})
    tfc.export(model, folder, signatures=signatures, files={"config.json": content})
    store.save_model(model, folder)


def run(kind: str, place: Path, trials: int) -> None:
    """The command line, on these data."""
    folder, config = place / kind / "teacher", place / kind / "recipe.json"
    if not folder.exists():
        make_teacher(kind, folder)
        spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))])
        (place / kind / "spec.json").write_text(spec.to_json())
        recipe = {**RECIPES[kind], "spec": str(place / kind / "spec.json"), "training": TRAINING}
        config.write_text(json.dumps(recipe))
    given = {"teacher": str(folder), "config": str(config), "out": str(place / kind / "out")}
    usual = {"share": 0.6, "epochs": 1, "attempts": 2, "beside_epochs": 0.2, "beside": trials}
    result = place / kind / f"results-{trials}.json"
    with flagsaver.flagsaver(**given, **usual, results=str(result)):
        auto.main(["auto"])


if __name__ == "__main__":
    movielens.load = lambda folder: walks()
    clicks.load = lambda folder: some_clicks()
    auto.flags.FLAGS(["auto", "--out=."])
    for kind in RECIPES:
        for trials in (2, 3):
            run(kind, Path(sys.argv[1]), trials)
