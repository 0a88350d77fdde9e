"""Measuring what the units of a model's layers put out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.keras import keras
from tfcompress.surgery import listening, walk
from tfcompress.surgery.listen import Note
from tfcompress.techniques.cuttable import cuttable

Measures = tuple[tuple[str, tuple[float, ...]], ...]


def mean_magnitudes(
    model: Any, batches: Iterable[Any], forward: Callable[[Any, Any], Any] | None = None
) -> Measures:
    """For every layer whose units can be removed, each unit's mean magnitude; see `ByActivation`.

    Raises:
        SpecError: no batch.
    """
    cut = [item for item in walk(model) if cuttable(item.layer) and item.layer.built]
    recorders = {item.path: _Recorder() for item in cut}
    count = 0
    with listening([_note(item.layer, recorders[item.path]) for item in cut]):
        for batch in batches:
            count += 1
            forward(model, batch) if forward is not None else model(batch)
    if not count:
        raise SpecError("ByActivation.measure received no batch; expected at least one.")
    return tuple((path, one.means()) for path, one in recorders.items() if one.count)


class _Recorder:
    def __init__(self) -> None:
        self.total: Any = 0.0
        self.count = 0

    def add(self, values: Any, axis: int) -> None:
        """Adds the magnitudes of a tensor, summed over every axis but one."""
        magnitudes = np.moveaxis(np.abs(np.asarray(values, np.float64)), axis, -1)
        rows = magnitudes.reshape(-1, magnitudes.shape[-1])
        self.total = self.total + rows.sum(axis=0)
        self.count += len(rows)

    def means(self) -> tuple[float, ...]:
        """The mean of each unit."""
        return tuple(float(value) for value in self.total / self.count)


def _note(layer: Any, recorder: _Recorder) -> tuple[Any, Note]:
    # Heads are seen where they go into the output projection.
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return layer._output_dense, lambda inputs, outputs: recorder.add(inputs, -2)
    return layer, lambda inputs, outputs: recorder.add(_first(outputs), -1)


def _first(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, (list, tuple)) else outputs
