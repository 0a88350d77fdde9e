"""What every operator of a file gives, heard by making it an output of the file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.export import flatbuffer
from tfcompress.export.runtime import LiteModel

Array = np.ndarray[Any, Any]
_NAME = "operator {}"


@dataclass(frozen=True, eq=False)
class Made:
    """What one operator gave in a call.

    Attributes:
        number: its place in its graph.
        operator: e.g. FULLY_CONNECTED.
        value: its first output, integers with a scale as the floats that they stand for; None: it
            depends on nothing that goes in, or is nothing that could be an output.
        reads: the operators whose outputs it takes.
    """

    number: int
    operator: str
    value: Array | None
    reads: tuple[int, ...]


def operator_outputs(content: bytes, signature: str, inputs: Mapping[str, Any]) -> list[Made]:
    """For each operator of a signature's graph, in the order in which they run, what it gives.

    An operator that runs graphs of its own (WHILE, IF) is one operator.

    Args:
        content: of a TFLite file.
        signature: what is called.
        inputs: of the call.

    Raises:
        ExportError: the file has no such signature, or LiteRT does not run it so.
    """
    model = flatbuffer.read(content)
    graph, asked = _graph_of(model, signature)
    numbers = _that_vary(graph)
    names = _expose(graph, asked, numbers)
    found = _run(model, signature, inputs)
    values = {n: _floats(found[name], _first(graph, n)) for n, name in names.items()}
    makers = {int(i): n for n, op in enumerate(graph.operators) for i in op.outputs}
    return [
        Made(
            number,
            flatbuffer.operator_name(model, operator),
            values.get(number),
            tuple(sorted({makers[int(i)] for i in operator.inputs if int(i) in makers})),
        )
        for number, operator in enumerate(graph.operators)
    ]


def _graph_of(model: Any, signature: str) -> tuple[Any, Any]:
    for one in model.signatureDefs or []:
        if one.signatureKey.decode() == signature:
            return model.subgraphs[one.subgraphIndex], one
    raise ExportError(
        f"The file has no signature {signature!r}; expected one of "
        f"{[one.signatureKey.decode() for one in model.signatureDefs or []]}."
    )


def _that_vary(graph: Any) -> list[int]:
    """Operators whose first output depends on what goes in, and could be an output of the graph."""
    moving, found = {int(i) for i in graph.inputs}, []
    for number, operator in enumerate(graph.operators):
        if any(int(i) in moving or _varies(graph, int(i)) for i in operator.inputs):
            moving |= {int(i) for i in operator.outputs}
            if _is_number(graph.tensors[operator.outputs[0]]):
                found.append(number)
    return found


def _expose(graph: Any, asked: Any, numbers: list[int]) -> dict[int, str]:
    """Makes the first output of each operator one of the graph, and says how it is called there."""
    known = {int(one.tensorIndex): one.name.decode() for one in asked.outputs}
    names = {}
    for number in numbers:
        first = int(graph.operators[number].outputs[0])
        if first not in known:
            known[first] = _NAME.format(number)
            graph.outputs = [*graph.outputs, first]
            asked.outputs = [*asked.outputs, _output(number, first)]
        names[number] = known[first]
    graph.outputs = np.asarray(graph.outputs, np.int32)
    return names


def _output(number: int, tensor: int) -> Any:
    entry = flatbuffer.schema.TensorMapT()
    entry.name, entry.tensorIndex = _NAME.format(number).encode(), tensor
    return entry


def _first(graph: Any, number: int) -> Any:
    return graph.tensors[graph.operators[number].outputs[0]]


def _run(model: Any, signature: str, inputs: Mapping[str, Any]) -> dict[str, Array]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exposed.tflite"
        path.write_bytes(flatbuffer.pack(model))
        return LiteModel(path).run(signature, inputs)


def _varies(graph: Any, tensor: int) -> bool:
    return tensor >= 0 and bool(graph.tensors[tensor].isVariable)


def _is_number(tensor: Any) -> bool:
    try:
        return np.dtype(flatbuffer.type_name(tensor)).kind in "fiub"
    except TypeError:
        return False


def _floats(value: Array, tensor: Any) -> Array:
    found = tensor.quantization
    if found is None or found.scale is None or not np.issubdtype(value.dtype, np.integer):
        return value
    zero = 0 if found.zeroPoint is None else found.zeroPoint[0]
    real: Array = (value.astype(np.float32) - np.float32(zero)) * np.float32(found.scale[0])
    return real
