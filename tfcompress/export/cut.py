"""Parts of a TFLite file as files of their own: its first operators, or a single one."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfcompress.export import flatbuffer


def first_operators(model: Any, graph: int, count: int) -> Any:
    """The `ModelT` of the first `count` operators of a graph, as its only thing to run.

    Its outputs are all that later operators and the graph's own outputs take from these, so that
    nothing of them can be left out when it runs. Without operators it gives its inputs back.
    """
    whole = model.subgraphs[graph]
    cut = copy.copy(whole)
    cut.operators = whole.operators[:count]
    made = [*(i for op in cut.operators for i in op.outputs)]
    later = {i for op in whole.operators[count:] for i in op.inputs} | set(whole.outputs)
    cut.outputs = [i for i in made if i in later] or made[-1:] or whole.inputs
    return _alone(model, graph, cut)


def single_operator(model: Any, graph: int, number: int) -> Any:
    """The `ModelT` of one operator of a graph; what it computes with and is no constant goes in.

    One that has constants alone, as the DEQUANTIZE of a weight, comes with the next that takes it.
    """
    whole = model.subgraphs[graph]
    cut = copy.copy(whole)
    cut.operators = [whole.operators[number]]
    if not _given(model, whole, cut.operators):
        made = set(cut.operators[0].outputs)
        takers = [op for op in whole.operators[number + 1 :] if made & set(op.inputs)]
        cut.operators += takers[:1]
    cut.inputs = _given(model, whole, cut.operators)
    cut.outputs = cut.operators[-1].outputs
    return _alone(model, graph, cut)


def _given(model: Any, graph: Any, operators: list[Any]) -> list[int]:
    """What operators take that is no constant and not made by them."""
    made = {i for op in operators for i in op.outputs} | {-1}
    taken = dict.fromkeys(int(i) for op in operators for i in op.inputs if i not in made)
    return [i for i in taken if not _is_constant(model, graph.tensors[i])]


def _is_constant(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return tensor.isVariable or (data is not None and len(data) > 0)


def _alone(model: Any, number: int, cut: Any) -> Any:
    """A model of one graph, and of those that it calls, with what they hold."""
    graphs = [cut if index == number else graph for index, graph in enumerate(model.subgraphs)]
    kept = list(dict.fromkeys(_reached(graphs, number)))
    alone = copy.copy(model)
    alone.subgraphs = [_calling(graphs[index], kept) for index in kept]
    used = {tensor for graph in alone.subgraphs for tensor in _buffers(graph)}
    empty = flatbuffer.schema.BufferT()
    alone.buffers = [b if i in used else empty for i, b in enumerate(model.buffers)]
    alone.signatureDefs = alone.metadata = alone.metadataBuffer = alone.description = None
    return alone


def _buffers(graph: Any) -> Iterator[int]:
    used = {i for op in graph.operators for i in [*op.inputs, *op.outputs] if i >= 0}
    used |= set(graph.inputs) | set(graph.outputs)
    for index in used:
        tensor = graph.tensors[index]
        yield tensor.buffer
        details = None if tensor.quantization is None else tensor.quantization.details
        for name in ("scales", "zeroPoints"):
            other = getattr(details, name, 0)
            if other > 0:
                yield graph.tensors[other].buffer


def _calls(operator: Any) -> dict[str, int]:
    """Which other graphs an operator runs, by the setting of it that says so."""
    found = {}
    for field in ("builtinOptions", "builtinOptions2"):
        settings = getattr(operator, field, None)
        for name, value in (vars(settings) if settings is not None else {}).items():
            if name == "subgraph" or name.endswith("SubgraphIndex"):
                found[f"{field}.{name}"] = int(value)
    return found


def _reached(graphs: Sequence[Any], number: int) -> Iterator[int]:
    todo, seen = [number], set()
    while todo:
        index = todo.pop(0)
        if index not in seen:
            seen.add(index)
            yield index
            todo += [i for op in graphs[index].operators for i in _calls(op).values() if i >= 0]


def _calling(graph: Any, kept: Sequence[int]) -> Any:
    """The graph with the graphs that it calls under their new numbers."""
    result = copy.copy(graph)
    result.inputs = np.asarray(graph.inputs, np.int32)
    result.outputs = np.asarray(graph.outputs, np.int32)
    result.operators = [_renumbered(operator, kept) for operator in graph.operators]
    return result


def _renumbered(operator: Any, kept: Sequence[int]) -> Any:
    calls = _calls(operator)
    if not calls:
        return operator
    result = copy.deepcopy(operator)
    for path, index in calls.items():
        field, name = path.split(".")
        if index >= 0:
            setattr(getattr(result, field), name, kept.index(index))
    return result
