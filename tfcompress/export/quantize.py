"""Storing the weights of a converted model on the grids that its layers were trained on."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from litert_quantizer import algorithm_manager, qtyping, quantizer

from tfcompress.errors import ExportError
from tfcompress.export import flatbuffer
from tfcompress.export.find import Stored, find_owner, find_place
from tfcompress.export.folded import with_scales_as_folded
from tfcompress.export.grids import grid_ends
from tfcompress.export.ranges import (
    COMPUTED,
    TRANSPARENT,
    Ends,
    Place,
    by_name,
    in_integers,
    take_ranges,
)
from tfcompress.layers import FakeQuantizer, HalfPrecision
from tfcompress.layers.grid import stored_bits
from tfcompress.layers.ranges import BITS

MARK = "tfcompress/{}/"
_BETWEEN = "integer/"
_NAMED_OTHERWISE = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}  # by litert-quantizer
_FLOAT16 = algorithm_manager.AlgorithmName.FLOAT_CASTING


def quantize(content: bytes, weights: list[Stored], integers: Collection[str] = ()) -> bytes:
    """The model with these weights in their bits; everything else stays float32.

    Operators with the weights whose paths are in `integers` get 8-bit inputs and outputs, and so
    do operators between them that need no more to be computed in integers. The weights lie on
    symmetric grids. litert-quantizer's min-max algorithm is given the ends of these grids, which
    no weight need reach, and so writes exactly them.

    Raises:
        ExportError: a weight that the converter folded away, that two layers store differently,
            or that LiteRT cannot store so.
    """
    if not weights:
        return content
    model = flatbuffer.read(content)
    weights = with_scales_as_folded(weights, _constants(model))
    ranges = take_ranges(model) if integers else {}
    marked, ends = mark(model, weights, ranges), _name_ends(model, weights)
    _check_ranges(model, weights, integers, ranges)
    worker = quantizer.Quantizer(flatbuffer.pack(model))
    for index, operators in marked.items():
        for name in operators:
            _ask(worker, index, name, weights[index], weights[index].path in integers)
    for name in TRANSPARENT + COMPUTED if integers else ():
        worker.add_static_config(_BETWEEN, qtyping.TFLOperationName(name), BITS, BITS)
    # Its progress bars and prints are of no use to ours.
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        result = bytes(worker.quantize({**ends, **by_name(model, ranges)}).quantized_model)
    _check(result, weights)
    return result


def _ask(worker: Any, index: int, operator: str, weight: Stored, in_integers: bool) -> None:
    grid = weight.quantizer
    try:
        where = (
            MARK.format(index),
            qtyping.TFLOperationName(_NAMED_OTHERWISE.get(operator, operator)),
        )
        if isinstance(grid, HalfPrecision):
            worker.add_weight_only_config(*where, grid.bits, algorithm_key=_FLOAT16)
        elif in_integers:
            worker.add_static_config(*where, BITS, stored_bits(grid.bits), granularity(grid))
        else:
            worker.add_dynamic_config(*where, stored_bits(grid.bits), granularity(grid))
    except ValueError as error:
        raise ExportError(
            f"{weight.path} is an input of the operator {operator}, whose weights LiteRT cannot "
            f"store in {grid.bits} bits on this grid. Leave the layer out of the "
            "Quantize rule; where its table is looked up at fixed ids, which the converter does "
            "beforehand, let the ids depend on the model's input."
        ) from error


def granularity(grid: FakeQuantizer) -> Any:
    """What litert-quantizer calls the weights that share a scale."""
    if grid.channel_axis is None:
        return qtyping.QuantGranularity.TENSORWISE
    if grid.block:
        return getattr(qtyping.QuantGranularity, f"BLOCKWISE_{grid.block}")
    return qtyping.QuantGranularity.CHANNELWISE


def _check_ranges(
    model: Any, weights: list[Stored], integers: Collection[str], ranges: dict[Place, Ends]
) -> None:
    """That inputs and outputs of every operator that is to compute in integers have a range."""
    owners = _owners(model, weights)
    for number, graph in enumerate(model.subgraphs):
        for operator in graph.operators:
            owned = [owners[b] for b in _buffers(graph, operator) if b in owners]
            path = weights[owned[0]].path if owned else ""
            if path not in integers:
                continue
            for what, tensor in (("inputs", operator.inputs[0]), ("outputs", operator.outputs[0])):
                if (number, int(tensor)) not in ranges:
                    raise ExportError(
                        f"{path} is to be computed in integers, and the {what} of its "
                        f"{flatbuffer.operator_name(model, operator)} have no range: training "
                        "rounded them nowhere. Give the layer behind it (BatchNormalization, "
                        "ReLU) QuantizeActivations too, or take it from this one."
                    )


def _buffers(graph: Any, operator: Any) -> list[int]:
    return [graph.tensors[i].buffer for i in operator.inputs if i >= 0]


def mark(model: Any, weights: list[Stored], ranges: dict[Place, Ends]) -> dict[int, set[str]]:
    """Names the outputs of every operator after the weight it uses; which operators use which."""
    owners = _owners(model, weights)
    used: dict[int, set[str]] = {index: set() for index in range(len(weights))}
    for number, graph in enumerate(model.subgraphs):
        for place, operator in enumerate(graph.operators):
            marks = [owners[b] for b in _buffers(graph, operator) if b in owners]
            between = in_integers(model, number, operator, ranges)
            prefix = MARK.format(marks[0]) if marks else _BETWEEN if between else "float/"
            for slot, output in enumerate(operator.outputs):
                graph.tensors[output].name = f"{prefix}{number}/{place}/{slot}".encode()
            for index in marks:
                used[index].add(flatbuffer.operator_name(model, operator))
    lost = [weights[index].path for index, names in used.items() if not names]
    if lost:
        raise ExportError(
            f"The weight {lost[0]} is not in the converted graph: the converter computed with it "
            "beforehand (a table looked up at fixed ids, a kernel multiplied by a constant). "
            "Leave the layer out of the Quantize rule, or let its input depend on the model's."
        )
    return used


def _name_ends(model: Any, weights: list[Stored]) -> dict[str, dict[str, Any]]:
    """Names each weight of a grid for itself, and says where by that name its grids end."""
    ends = {}
    for number, graph in enumerate(model.subgraphs):
        for place, tensor in enumerate(graph.tensors):
            value = flatbuffer.constant(model, tensor)
            found = None if value is None else find_place(value, weights)
            if value is None or found is None or weights[found[0]].codes is None:
                continue
            name = f"weight/{number}/{place}"
            tensor.name = name.encode()
            end = grid_ends(value, weights[found[0]], found[1])
            ends[name] = {"min": -end, "max": end}
    return ends


def _constants(model: Any) -> Iterator[Any]:
    for graph in model.subgraphs:
        values = (flatbuffer.constant(model, tensor) for tensor in graph.tensors)
        yield from (value for value in values if value is not None)


def _owners(model: Any, weights: list[Stored]) -> dict[int, int]:
    owners: dict[int, int] = {}
    sizes = {w.value.size for w in weights}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            value = flatbuffer.constant(model, tensor)
            if value is None or value.size not in sizes or tensor.buffer in owners:
                continue
            index = find_owner(value, weights)
            if index is not None:
                owners[tensor.buffer] = index
    return owners


def _check(content: bytes, weights: list[Stored]) -> None:
    """That no weight was left in float without a word."""
    model = flatbuffer.read(content)
    left = _owners(model, weights)
    if left:
        weight = weights[next(iter(left.values()))]
        raise ExportError(
            f"litert-quantizer left {weight.path} in float32 instead of {weight.quantizer.bits} "
            "bits. Choose another granularity or number of bits, or leave the layer out."
        )
