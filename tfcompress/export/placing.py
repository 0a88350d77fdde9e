"""Where the outputs of a model's layers are among the operators of its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from tfcompress.export.deviation import deviation
from tfcompress.export.exposed import Made
from tfcompress.export.signature import Signature
from tfcompress.keras import tf
from tfcompress.layers.compressed import raw
from tfcompress.surgery import listening, walk

Array = np.ndarray[Any, Any]
_SAME = 1e-3  # what a layer's output in the float file may stray by
_BETWEEN = {"QUANTIZE", "DEQUANTIZE", "DENSIFY"}


@dataclass(frozen=True, eq=False)
class Answer:
    """What one call of a layer gave in the Keras model.

    Attributes:
        path: of the layer.
        kind: its class, of a compressed one that of the layer inside.
        values: its outputs that are floats.
    """

    path: str
    kind: str
    values: tuple[Array, ...]


def layer_answers(model: Any, signature: Signature, inputs: Mapping[str, Any]) -> list[Answer]:
    """What each layer of a model gives in a call, in the order in which they are done."""
    answers: list[Answer] = []

    def note(path: str, kind: str) -> Any:
        def heard(_: Any, outputs: Any) -> None:
            found = [np.asarray(v) for v in tf.nest.flatten(outputs) if _is_float(v)]
            answers.append(Answer(path, kind, tuple(found)))

        return heard

    held = walk(model)
    notes = [(one.layer, note(one.path, type(raw(one.layer)).__name__)) for one in held]
    with listening(notes):
        signature(model, **{name: tf.constant(value) for name, value in inputs.items()})
    return answers


def _is_float(value: Any) -> bool:
    kind = getattr(value, "dtype", None)
    return isinstance(value, tf.Tensor) and kind is not None and bool(kind.is_floating)


def place_of(answer: Answer, made: Sequence[Made]) -> int | None:
    """The first operator that gives what a layer gives, whatever its shape; None: there is none."""
    for value in answer.values:
        flat = value.reshape(-1)
        for one in made:
            found = one.value
            if found is None or found.size != flat.size or found.dtype.kind != "f":
                continue
            if flat.size and deviation(found.reshape(-1), flat) <= _SAME:
                return one.number
    return None


def paired(expected: Sequence[Made], received: Sequence[Made]) -> dict[int, int]:
    """For operators of one graph their counterparts in another of the same model."""
    first, second = (
        [one for one in made if one.operator not in _BETWEEN] for made in (expected, received)
    )
    keys = [[_key(one) for one in made] for made in (first, second)]
    matcher = SequenceMatcher(None, keys[0], keys[1], autojunk=False)
    return {
        first[block.a + step].number: second[block.b + step].number
        for block in matcher.get_matching_blocks()
        for step in range(block.size)
    }


def _key(one: Made) -> tuple[str, tuple[int, ...] | None]:
    return one.operator, None if one.value is None else one.value.shape
