"""How a layer's weights are spread, as it computes with them; of large ones by a sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.histograms import SAMPLE, histogram, places
from tfcompress.keras import tf
from tfcompress.layers.compressed import Compressed, raw
from tfcompress.layers.mapped import MappedEmbedding
from tfcompress.layers.weights import weight_of, weight_roles

Histograms = dict[str, dict[str, Any]]


def weight_histograms(layer: Any) -> Histograms:
    """For each compressible weight of a built layer, by name, its `histogram`.

    Weights of a compressed layer are masked and on their grids. No weight is read whole but where
    a grid has to be found, and nothing of one is kept.
    """
    inner = raw(layer)
    if isinstance(inner, MappedEmbedding):
        return _present({"table": _of_rows(inner)})
    names = [role.name for role in weight_roles(inner)] if inner.built else []
    return _present({name: _of_weight(layer, name) for name in names})


def _present(found: dict[str, dict[str, Any] | None]) -> Histograms:
    return {name: one for name, one in found.items() if one is not None}


def _of_weight(layer: Any, name: str) -> dict[str, Any] | None:
    transformed = isinstance(layer, Compressed) and name in layer.transforms
    value = layer.effective(name) if transformed else weight_of(raw(layer), name)
    flat = tf.reshape(tf.convert_to_tensor(value), [-1])
    total = int(flat.shape[0])
    chosen = places(total)
    return histogram((flat if chosen is None else tf.gather(flat, chosen)).numpy(), total)


def _of_rows(table: MappedEmbedding) -> dict[str, Any] | None:
    count, width = table.table.shape
    rows = max(1, SAMPLE // width)
    ids = np.unique(np.random.default_rng(0).integers(0, count, min(rows, count)))
    try:
        return histogram(table.on_grid(table.table.rows(ids)), count * width)
    except SpecError:
        return None  # of numbers that are not finite export says where they are
