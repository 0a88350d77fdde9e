"""Where a file parts from the Keras model: the first layer whose output in the file deviates.

The file has no layers, and no names. So the same model is converted once more in float32, every
operator of both files is run in the open (`exposed`), and a layer is where the float file has its
output. The operators of both files pair off in their order: the one that ships has a few more,
between floats and integers. Layers that the converter folded away stand nowhere, and are told with
the next one that does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.apply import finalize
from tfcompress.export.convert import convert
from tfcompress.export.deviation import deviation
from tfcompress.export.exposed import Made, operator_outputs
from tfcompress.export.lookups import lift
from tfcompress.export.lowering import lowered
from tfcompress.export.placing import Answer, layer_answers, paired, place_of
from tfcompress.export.recurrent import unfused
from tfcompress.export.signature import Signature
from tfcompress.export.stand_in import mapped_tables

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Call:
    """One call of a signature.

    Attributes:
        signature: its name.
        inputs: as the Keras model takes them.
        asked: as the file takes them.
    """

    signature: str
    inputs: Mapping[str, Any]
    asked: Mapping[str, Any]


@dataclass(frozen=True)
class Placed:
    """A layer whose output stands in the file.

    Attributes:
        path: see `Answer`.
        kind: see `Answer`.
        operator: the first of its operators that deviates, or the last one, by name.
        number: the place of this operator in its graph.
        deviation: of the layer's output, see `deviation`.
        largest: the largest difference of a single number in it.
        folded: paths of layers before it whose outputs stand nowhere in the file.
    """

    path: str
    kind: str
    operator: str
    number: int
    deviation: float
    largest: float
    folded: tuple[str, ...] = ()

    def __str__(self) -> str:
        within = f", within it {', '.join(map(repr, self.folded))}" if self.folded else ""
        return (
            f"{self.path!r} ({self.kind}{within}): its output deviates by {self.deviation:.4f} of "
            f"its size, a single number by up to {self.largest:.3g}, at operator {self.number}, "
            f"{self.operator}"
        )


def explained(
    path: Path, model: Any, signatures: Mapping[str, Signature], call: Call, tolerance: float
) -> str:
    """A sentence on the first layer whose output in the file deviates by more than `tolerance`.

    Args:
        path: the file.
        model: the model as it was trained.
        signatures: the functions of both.
        call: on which they part.
        tolerance: the largest deviation of a layer's output.
    """
    if mapped_tables(model):
        return (
            "Which layer deviates was not looked for, because a table stays in its file: export "
            "the model with a small Embedding in its place to find it."
        )
    try:
        return _said(path.read_bytes(), model, signatures, call, tolerance)
    except Exception as error:  # whatever it is, what failed first is to be told
        return f"Which layer deviates could not be found: {type(error).__name__}: {error}."


def _said(
    content: bytes, model: Any, signatures: Mapping[str, Signature], call: Call, tolerance: float
) -> str:
    answers = layer_answers(model, signatures[call.signature], call.inputs)
    lifted = lift(finalize(model), signatures)
    plain = convert(unfused(lowered(lifted.model)), lifted.signatures)
    expected = operator_outputs(plain, call.signature, call.asked)
    received = operator_outputs(content, call.signature, call.asked)
    places = [place_of(answer, expected) for answer in answers]
    placed = _placed(answers, places, expected, received, tolerance)
    for count, one in enumerate(placed):
        if not one.deviation <= tolerance:
            return f"The first layer that deviates is {one}. Layers before it that agree: {count}."
    lost = _unplaced_end(answers, places)
    if lost is not None:
        return (
            f"The first layer that deviates is {lost.path!r} ({lost.kind}), or code behind the "
            f"layers before it: its output stands nowhere in the converted graph, also before "
            f"anything is quantized. Layers before it that agree: {len(placed)}."
        )
    if not placed:
        return "No layer's output stands in the file by itself."
    most = max(placed, key=lambda one: one.deviation)
    return f"No layer by itself deviates by more than that; the most does {most}."


def _placed(
    answers: Sequence[Answer],
    places: Sequence[int | None],
    expected: Sequence[Made],
    received: Sequence[Made],
    tolerance: float,
) -> list[Placed]:
    pairs = paired(expected, received)
    wrong = {
        theirs
        for ours, theirs in pairs.items()
        if not _apart(received[theirs].value, expected[ours].value) <= tolerance
    }
    found: list[Placed] = []
    folded: list[str] = []
    for answer, place in zip(answers, places, strict=True):
        if place is None or place not in pairs:
            folded += [answer.path] if answer.values else []
            continue
        last = received[pairs[place]]
        first = min(_needed(received, last.number) & wrong, default=last.number)
        value = np.asarray(expected[place].value)
        found.append(
            Placed(
                answer.path,
                answer.kind,
                received[first].operator,
                first,
                _apart(last.value, value),
                _largest(last.value, value),
                tuple(folded),
            )
        )
        folded = []
    return found


def _needed(made: Sequence[Made], last: int) -> set[int]:
    """An operator and all that it depends on."""
    todo, seen = [last], set()
    while todo:
        number = todo.pop()
        if number not in seen:
            seen.add(number)
            todo += made[number].reads
    return seen


def _apart(received: Array | None, expected: Array | None) -> float:
    if received is None or expected is None:
        return 0.0
    return deviation(received, expected)


def _largest(received: Array | None, expected: Array) -> float:
    if received is None or received.shape != expected.shape or not received.size:
        return float("inf")
    return float(np.max(np.abs(received.astype(np.float64) - expected)))


def _unplaced_end(answers: Sequence[Answer], places: Sequence[int | None]) -> Answer | None:
    """The first layer behind the last one that stands in the file."""
    known = [number for number, place in enumerate(places) if place is not None]
    rest = answers[known[-1] + 1 :] if known else list(answers)
    return next((answer for answer in rest if answer.values), None)
