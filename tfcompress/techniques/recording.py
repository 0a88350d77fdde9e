"""Measuring what the units of a model's layers put out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.keras import keras, tf
from tfcompress.surgery import walk
from tfcompress.techniques.cuttable import cuttable

Measures = tuple[tuple[str, tuple[float, ...]], ...]


def mean_magnitudes(
    model: Any, batches: Iterable[Any], forward: Callable[[Any, Any], Any] | None = None
) -> Measures:
    """For every layer whose units can be removed, each unit's mean magnitude; see `ByActivation`.

    Raises:
        SpecError: no batch.
    """
    recorders = {
        item.path: _Recorder() for item in walk(model) if cuttable(item.layer) and item.layer.built
    }
    layers = {item.path: item.layer for item in walk(model)}
    count = 0
    with _eagerly():
        for batch in batches:
            count += 1
            with _listening({path: layers[path] for path in recorders}, recorders):
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


@contextmanager
def _eagerly() -> Iterator[None]:
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@contextmanager
def _listening(layers: dict[str, Any], recorders: dict[str, _Recorder]) -> Iterator[None]:
    # Past Keras's tracking of attributes, and gone again afterwards.
    heard = []
    try:
        for path, layer in layers.items():
            heard.append(_heard(layer))
            vars(heard[-1])["call"] = _recording(layer, heard[-1].call, recorders[path])
        yield
    finally:
        for one in heard:
            vars(one).pop("call", None)


def _heard(layer: Any) -> Any:
    # Heads are seen where they go into the output projection.
    return layer._output_dense if isinstance(layer, keras.layers.MultiHeadAttention) else layer


def _recording(layer: Any, call: Callable[..., Any], recorder: _Recorder) -> Callable[..., Any]:
    heads = isinstance(layer, keras.layers.MultiHeadAttention)

    @tf.autograph.experimental.do_not_convert
    def recorded(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = call(inputs, *args, **kwargs)
        first = outputs[0] if isinstance(outputs, (list, tuple)) else outputs
        recorder.add(inputs if heads else first, -2 if heads else -1)
        return outputs

    return recorded
