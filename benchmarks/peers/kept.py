"""Trained peers as they are kept in a repository: weights in float16, and how they came about.

They lie under benchmarks/results/peers and are made by `python -m benchmarks.peers.smaller` and
`python -m benchmarks.peers.tfmot_training`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import functional
from benchmarks.peers.tfmot_ways import Clustering, Pruning, QuantizationAware, Way, table
from experiments.models import store

KEPT = Path(__file__).parents[1] / "results" / "peers"
TEACHER = Path(__file__).parents[2] / "saved_models" / "ml1m-teacher"
SIZES = ("narrow-32", "narrow-16")
WAYS: Mapping[str, Way] = {
    "tfmot-pruned-50": Pruning(0.5),
    "tfmot-pruned-75": Pruning(0.75),
    "tfmot-clustered-16": Clustering(16),
    "tfmot-quantized": QuantizationAware(),
}


def folder_of(name: str) -> Path:
    """Where a trained peer is kept.

    Raises:
        FileNotFoundError: if it was not trained; it says by which command it is.
    """
    if not (KEPT / name / store.WEIGHTS).exists():
        script = "tfmot_training" if name in WAYS else "smaller"
        raise FileNotFoundError(
            f"{name} is not trained yet, expected its weights under results/peers. Run python -m "
            f"benchmarks.peers.{script}."
        )
    return KEPT / name


def rebuilt(teacher: Any, way: Way, rows: int, steps: int = 1) -> functional.Rebuilt:
    """The teacher as a graph that answers for the last `rows` places, wrapped for `steps` steps."""
    graph = functional.taught(functional.trunk(teacher.config, rows), teacher)
    return functional.Rebuilt(teacher.config, way.wrap(graph, steps), teacher.item_bias, table)


def arrays_of(model: functional.Rebuilt, way: Way) -> dict[str, Any]:
    """What is kept, in float16: the stripped weights, or the ranges, too, where they are needed."""
    if isinstance(way, QuantizationAware):
        kept = model
    else:
        stripped = way.strip(model.graph)
        kept = functional.returned(stripped, model.item_bias.numpy(), model.config)
    names = [f"{place:03d}/{weight.name}" for place, weight in enumerate(kept.weights)]
    pairs = zip(names, kept.get_weights(), strict=True)
    return {name: np.asarray(weight).astype(np.float16) for name, weight in pairs}


def restored(folder: Path, way: Way, rows: int | None = None) -> Any:
    """The model that is kept in a folder.

    Args:
        folder: see `arrays_of`. way: that it was made by.
        rows: of a quantized graph, how many of the last places it answers for; by default 1.
    """
    if not isinstance(way, QuantizationAware):
        return store.load_model(folder)
    teacher = store.load_model(TEACHER)
    model = rebuilt(teacher, way, rows or 1)
    with np.load(folder / store.WEIGHTS) as arrays:
        model.set_weights([arrays[name] for name in arrays.files])
    return model
