"""Which tensors of a file are integers, and the ranges that training found for them."""

from __future__ import annotations

from typing import Any

from tfcompress.errors import ExportError
from tfcompress.export import flatbuffer
from tfcompress.layers import Integer
from tfcompress.layers.ranges import scale_and_zero_point
from tfcompress.surgery import walk


def in_integers(model: Any) -> frozenset[str]:
    """Paths of the weights, as `Stored` has them, that a file computes with in integers alone.

    Raises:
        ExportError: a layer whose activations were never seen, so that they have no range.
    """
    found = set()
    for held in walk(model):
        if not isinstance(held.layer, Integer):
            continue
        unseen = [place for place, ends in held.layer.ranges.items() if ends is None]
        if unseen:
            raise ExportError(
                f"The {unseen[0]} of {held.path} are to be 8-bit integers, and no range was found "
                "for them yet. Train the model, or call tfcompress.observe(model, batches)."
            )
        found |= {f"{held.path}.{name}" for name in held.layer.transforms}
    return frozenset(found)


def of_layer(layer: Any) -> dict[str, Any]:
    """What a report says of a layer's activations; nothing where they have no ranges.

    For inputs and outputs it is both ends of the range, the scale and the zero point.
    """
    if not isinstance(layer, Integer):
        return {}
    found = {}
    for place, ends in layer.ranges.items():
        if ends is not None:
            scale, zero = scale_and_zero_point(*ends)
            found[place] = {"low": ends[0], "high": ends[1], "scale": scale, "zero_point": zero}
    return {"activations": found}


def of_file(model: Any, content: bytes) -> dict[str, Any]:
    """What a report says of a file's activations; nothing where no layer has ranges for them.

    For each operator, in the order in which they run, it is the types of what goes in and comes
    out. Constants, which are weights, biases and shapes, are not among them.
    """
    if not any(isinstance(held.layer, Integer) for held in walk(model)):
        return {}
    file = flatbuffer.read(content)
    rows = []
    for number, graph in enumerate(file.subgraphs):
        for operator in graph.operators:
            kinds = {
                what: [
                    flatbuffer.type_name(graph.tensors[i]) for i in where if _moves(file, graph, i)
                ]
                for what, where in (("inputs", operator.inputs), ("outputs", operator.outputs))
            }
            name = flatbuffer.operator_name(file, operator)
            rows.append({"graph": number, "operator": name, **kinds})
    return {"activations": rows}


def _moves(file: Any, graph: Any, tensor: int) -> bool:
    if tensor < 0:
        return False
    data = file.buffers[graph.tensors[tensor].buffer].data
    return data is None or len(data) == 0
