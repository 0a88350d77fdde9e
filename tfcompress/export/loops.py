"""How often the loops of a TFLite graph turn, where the file says so."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.export import flatbuffer

_INT32 = flatbuffer.schema.TensorType.INT32


def turns(model: Any, graph: Any, loop: Any) -> int:
    """How often a WHILE of this graph runs its body; 1 where the file does not say.

    What is understood is what the converter makes of a loop over a number of steps: it goes on
    while a counter that each turn raises by a constant is less than a limit.
    """
    condition, body = (model.subgraphs[number] for number in body_and_condition(loop)[::-1])
    if len(condition.operators) != 1:
        return 1
    (test,) = condition.operators
    if flatbuffer.operator_name(model, test) != "LESS":
        return 1
    begins = [_number(model, graph, tensor) for tensor in loop.inputs]
    counter, limit = (int(tensor) for tensor in test.inputs)
    if counter not in condition.inputs:
        return 1
    place = [int(tensor) for tensor in condition.inputs].index(counter)
    first, step = begins[place], _step(model, body, place)
    last = _limit(model, (condition, body), begins, limit)
    if first is None or step is None or last is None or step < 1:
        return 1
    return max(-(-(last - first) // step), 0)


def body_and_condition(loop: Any) -> tuple[int, int]:
    """The numbers of the graphs that a WHILE runs and asks whether to go on."""
    options = loop.builtinOptions
    return int(options.bodySubgraphIndex), int(options.condSubgraphIndex)


def _number(model: Any, graph: Any, tensor: int) -> int | None:
    """A constant whole number; None: it is none."""
    if tensor < 0:
        return None
    held = graph.tensors[tensor]
    data = model.buffers[held.buffer].data
    if held.type != _INT32 or data is None or len(data) != 4:
        return None
    return int(np.asarray(data, np.uint8).view(np.int32)[0])


def _step(model: Any, body: Any, place: int) -> int | None:
    """What a turn adds to the loop's value at a place."""
    before, after = int(body.inputs[place]), int(body.outputs[place])
    for operator in body.operators:
        if after in operator.outputs and flatbuffer.operator_name(model, operator) == "ADD":
            added = [int(tensor) for tensor in operator.inputs if tensor != before]
            return _number(model, body, added[0]) if len(added) == 1 else None
    return None


def _limit(
    model: Any, graphs: tuple[Any, Any], begins: list[int | None], tensor: int
) -> int | None:
    """The number that the counter is compared with: a constant, also one that turns hand on."""
    condition, body = graphs
    places = [int(one) for one in condition.inputs]
    if tensor not in places:
        return _number(model, condition, tensor)
    place = places.index(tensor)
    return begins[place] if body.inputs[place] == body.outputs[place] else None
