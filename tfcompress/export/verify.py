"""Comparing a file's outputs with the Keras model's, before anybody trusts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.export.runtime import LiteModel
from tfcompress.export.signature import Signature
from tfcompress.keras import keras, tf
from tfcompress.layers import TableLayer
from tfcompress.layers.compressed import raw
from tfcompress.surgery import walk

Inputs = Mapping[str, Any]
Array = np.ndarray[Any, Any]
_TABLES = (keras.layers.Embedding, TableLayer)


class Asked(Protocol):
    """What runs a file: `LiteModel`, or `ApartModel`."""

    def run(self, signature: str, inputs: Inputs) -> dict[str, Array]:
        """The outputs of a call."""


@dataclass(frozen=True)
class Agreement:
    """How far one output of a file is from the Keras model's, over all verified calls.

    Attributes:
        signature: which function.
        output: which of its outputs.
        deviation: for floats the norm of the difference over the norm of Keras's output; for
            integers (ids) the share of entries, along the last axis, that are not in Keras's.
        calls: how many inputs were compared.
    """

    signature: str
    output: str
    deviation: float
    calls: int


def verify(
    file: Path | Asked,
    model: Any,
    signatures: Mapping[str, Signature],
    batches: Mapping[str, Sequence[Inputs]],
    tolerance: float,
    asked: Mapping[str, Sequence[Inputs]] | None = None,
) -> list[Agreement]:
    """Loads and runs the file on the given inputs and compares it with the model.

    Args:
        file: the file, or what runs it; a path is run by a `LiteModel`.
        model: the model as it was trained.
        signatures: the functions of both.
        batches: for each signature the inputs of some calls.
        tolerance: the largest deviation, see `Agreement`.
        asked: the same calls as the file takes them, where it takes ids in place of tokens.

    Raises:
        ExportError: the file does not load or run, gives something that is not a number, or
            deviates further.
    """
    lite = LiteModel(file) if isinstance(file, Path) else file
    found = []
    for name, signature in signatures.items():
        deviations: dict[str, list[float]] = {}
        calls = zip(batches[name], (asked or batches)[name], strict=True)
        for inputs, as_asked in calls:
            expected = signature(model, **{k: tf.constant(v) for k, v in inputs.items()})
            received = lite.run(name, as_asked)
            for output, value in expected.items():
                deviation = _deviation(received[output], np.asarray(value))
                deviations.setdefault(output, []).append(deviation)
        found += [Agreement(name, o, float(np.mean(d)), len(d)) for o, d in deviations.items()]
    for one in found:
        if not one.deviation <= tolerance:
            raise ExportError(
                f"The file's output {one.signature}.{one.output} deviates from the Keras model's "
                f"by {one.deviation:.4f} of its size on {one.calls} inputs; expected at most "
                f"{tolerance}. Look at what was quantized to few bits without training, or pass a "
                "larger tolerance."
            )
    return found


def _deviation(received: Array, expected: Array) -> float:
    if received.shape != expected.shape:
        return float("inf")
    if np.issubdtype(expected.dtype, np.floating):
        if not np.isfinite(received).all():
            return float("inf")
        size = float(np.linalg.norm(expected.astype(np.float64)))
        return float(np.linalg.norm(received.astype(np.float64) - expected)) / max(size, 1e-12)
    rows = zip(_rows(received), _rows(expected), strict=True)
    missing = sum(len(set(a.tolist()) - set(b.tolist())) for a, b in rows)
    return missing / max(expected.size, 1)


def _rows(values: Array) -> Array:
    return values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)


def example_inputs(model: Any, signatures: Mapping[str, Signature]) -> dict[str, list[Inputs]]:
    """Inputs for a first look where none are given: small ids, standard normal floats.

    Keras takes ids as floats, too, where nobody said otherwise. So in a model that looks rows up
    the floats are ids as well: 0 and 1, and in between.
    """
    rng = np.random.default_rng(0)
    looks_up = any(isinstance(raw(held.layer), _TABLES) for held in walk(model))
    draw: Callable[..., Any] = rng.uniform if looks_up else rng.normal
    floats = partial(draw, 0.0, 2.0 if looks_up else 1.0)
    return {
        name: [{k: _example(spec, rng, floats) for k, spec in s.inputs.items()} for _ in range(4)]
        for name, s in signatures.items()
    }


def _example(spec: Any, rng: np.random.Generator, floats: Callable[..., Any]) -> Array:
    shape = [3 if size is None else size for size in spec.shape]
    if spec.dtype == tf.string:
        return np.full(shape, "", dtype=object)
    if spec.dtype.is_floating:
        return np.asarray(floats(size=shape), spec.dtype.as_numpy_dtype)
    return rng.integers(0, 2, size=shape).astype(spec.dtype.as_numpy_dtype)
