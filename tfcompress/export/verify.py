"""Comparing a file's outputs with the Keras model's, before anybody trusts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.export.deviation import deviation
from tfcompress.export.fed_tables import TABLES
from tfcompress.export.parting import Call, explained
from tfcompress.export.runtime import LiteModel
from tfcompress.export.signature import Signature
from tfcompress.keras import tf
from tfcompress.layers.compressed import raw
from tfcompress.surgery import walk

Inputs = Mapping[str, Any]
Array = np.ndarray[Any, Any]


class Asked(Protocol):
    """What runs a file: `LiteModel`, or `ApartModel`."""

    path: Path

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
        size: root of the mean square of Keras's output.
    """

    signature: str
    output: str
    deviation: float
    calls: int
    size: float


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
        calls = [
            Call(name, inputs, as_asked)
            for inputs, as_asked in zip(batches[name], (asked or batches)[name], strict=True)
        ]
        apart = [differences(lite, answers(model, signature, call), call) for call in calls]
        for output in apart[0]:
            one = _agreement(name, output, [differs[output] for differs in apart])
            if not one.deviation <= tolerance:
                worst = calls[int(np.argmax([differs[output].deviation for differs in apart]))]
                where = explained(lite.path, model, signatures, worst, tolerance)
                raise ExportError(
                    f"The file's output {name}.{output} deviates from the Keras model's by "
                    f"{one.deviation:.4f} of its size on {one.calls} inputs; expected at most "
                    f"{tolerance}. {where} Look at what was quantized to few bits without "
                    "training, or pass a larger tolerance."
                )
            found.append(one)
    return found


@dataclass(frozen=True)
class Difference:
    """How far one output of one call is from the Keras model's.

    Attributes:
        deviation: see `Agreement`.
        size: root of the mean square of Keras's output; 0 of integers.
    """

    deviation: float
    size: float


def differences(
    lite: Asked, expected: Mapping[str, Array], call: Call, sizes: Mapping[str, float] | None = None
) -> dict[str, Difference]:
    """For each output of a call how far it is from the Keras model's.

    Args:
        lite: runs the file.
        expected: the Keras model's outputs.
        call: the inputs.
        sizes: for some outputs a size, as in `Difference`, that counts where Keras's is less.

    Raises:
        ExportError: the file does not run.
    """
    received, known = lite.run(call.signature, call.asked), sizes or {}
    return {
        output: Difference(
            deviation(received[output], value, known.get(output, 0.0) * value.size**0.5),
            root_mean_square(value),
        )
        for output, value in expected.items()
    }


def answers(model: Any, signature: Signature, call: Call) -> dict[str, Array]:
    """The Keras model's outputs of a call."""
    outputs = signature(model, **{k: tf.constant(v) for k, v in call.inputs.items()})
    return {name: np.asarray(value) for name, value in outputs.items()}


def root_mean_square(value: Array) -> float:
    """Of floats; 0 of integers.

    Example:
        >>> root_mean_square(np.array([3.0, 3.0])), root_mean_square(np.array([3, 3]))
        (3.0, 0.0)
    """
    if not np.issubdtype(value.dtype, np.floating) or not value.size:
        return 0.0
    return float(np.sqrt(np.mean(np.square(value.astype(np.float64)))))


def _agreement(signature: str, output: str, differs: Sequence[Difference]) -> Agreement:
    deviation_, size = (
        float(np.mean([getattr(one, field) for one in differs])) for field in ("deviation", "size")
    )
    return Agreement(signature, output, deviation_, len(differs), size)


def example_inputs(model: Any, signatures: Mapping[str, Signature]) -> dict[str, list[Inputs]]:
    """Inputs for a first look where none are given: small ids, standard normal floats.

    Keras takes ids as floats, too, where nobody said otherwise. So in a model that looks rows up
    the floats are ids as well: 0 and 1, and in between.
    """
    rng = np.random.default_rng(0)
    looks_up = any(isinstance(raw(held.layer), TABLES) for held in walk(model))
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
