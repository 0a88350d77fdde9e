"""Where a converted graph holds activations on 8-bit grids, and between which ends.

Rounding an activation converts to a pair of operators, QUANTIZE and DEQUANTIZE, at the very place
where training rounded. They are read and taken out; litert-quantizer then makes integer operators
between the tensors whose ranges are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfcompress.export import flatbuffer
from tfcompress.layers.ranges import LEVELS

Ends = tuple[float, float]
Place = tuple[int, int]
_MARKS = ("QUANTIZE", "DEQUANTIZE")
# Rounding before these is rounding after them: they move values, or choose one of several.
TRANSPARENT = ("MAX_POOL_2D", "RESHAPE", "TRANSPOSE")
# What else LiteRT computes in integers, between tensors that each have a range of their own.
COMPUTED = ("ADD", "MEAN")
_FLOAT = flatbuffer.schema.TensorType.FLOAT32


def take_ranges(model: Any) -> dict[Place, Ends]:
    """The ends for every tensor, by graph and number, that has them; takes the pairs out.

    Where several layers read a tensor and saw different ranges of it, it gets the widest.
    """
    ranges: dict[Place, Ends] = {}
    for number, graph in enumerate(model.subgraphs):
        same = _Same()
        found = _not_inherited(model, graph, _taken_out(model, graph))
        for operator in graph.operators:
            if flatbuffer.operator_name(model, operator) in TRANSPARENT:
                same.join(int(operator.inputs[0]), int(operator.outputs[0]))
        widest: dict[int, Ends] = {}
        for tensor, (low, high) in ((t, ends) for t, several in found.items() for ends in several):
            before = widest.get(same.of(tensor), (low, high))
            widest[same.of(tensor)] = (min(low, before[0]), max(high, before[1]))
        for tensor in range(len(graph.tensors)):
            if same.of(tensor) in widest:
                ranges[number, tensor] = widest[same.of(tensor)]
    return ranges


class _Same:
    """Tensors that hold the same values, or some of them (union-find)."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}

    def of(self, tensor: int) -> int:
        """One of the tensors that stands for all of them."""
        while tensor in self._first:
            tensor = self._first[tensor]
        return tensor

    def join(self, one: int, other: int) -> None:
        """From now on these two are the same."""
        one, other = self.of(one), self.of(other)
        if one != other:
            self._first[other] = one


def _taken_out(model: Any, graph: Any) -> dict[int, set[Ends]]:
    """Every tensor that is rounded, with the ends between which it is; takes the pairs out."""
    instead: dict[int, int] = {}
    found: dict[int, set[Ends]] = {}
    kept = []
    for operator in graph.operators:
        if flatbuffer.operator_name(model, operator) not in _MARKS:
            kept.append(operator)
            continue
        before, after = int(operator.inputs[0]), int(operator.outputs[0])
        instead[after] = instead.get(before, before)
        grid = graph.tensors[after].quantization
        if grid is not None and grid.scale is not None:
            found.setdefault(instead[after], set()).add(_ends(grid))
    graph.operators = kept
    for tensor in instead:  # nobody reads it any more
        graph.tensors[tensor].type, graph.tensors[tensor].quantization = _FLOAT, None
    _redirect(model, graph, lambda tensor: instead.get(int(tensor), int(tensor)))
    return found


def _not_inherited(model: Any, graph: Any, found: dict[int, set[Ends]]) -> dict[int, set[Ends]]:
    """The ends without those that the converter repeats behind an operator, where training did not.

    It takes MEAN and others for operators whose outputs have their inputs' grid. Where another
    range was trained, or nothing needs one, the trained model is followed.
    """
    for operator in graph.operators:
        name = flatbuffer.operator_name(model, operator)
        if name in TRANSPARENT:
            continue
        before = set().union(*(found.get(int(i), set()) for i in operator.inputs))
        for output in map(int, operator.outputs):
            own = found.get(output, set()) - before
            if own:
                found[output] = own
            elif name == "MEAN":
                found.pop(output, None)
    return found


def _ends(grid: Any) -> Ends:
    scale, zero = float(grid.scale[0]), int(grid.zeroPoint[0])  # of the converter's bytes, from 0
    return -zero * scale, (LEVELS - zero) * scale


def _redirect(model: Any, graph: Any, to: Callable[[Any], int]) -> None:
    for operator in graph.operators:
        operator.inputs = np.array([to(i) for i in operator.inputs], np.int32)
    graph.outputs = np.array([to(i) for i in graph.outputs], np.int32)
    for signature in model.signatureDefs or []:
        if model.subgraphs[signature.subgraphIndex] is graph:
            for entry in signature.outputs:
                entry.tensorIndex = to(entry.tensorIndex)


def in_integers(model: Any, number: int, operator: Any, ranges: dict[Place, Ends]) -> bool:
    """Whether an operator without weights can be computed in integers: all its ranges are known."""
    name = flatbuffer.operator_name(model, operator)
    if name not in TRANSPARENT + COMPUTED:
        return False
    tensors = model.subgraphs[number].tensors
    floats = [i for i in (*operator.inputs, *operator.outputs) if tensors[i].type == _FLOAT]
    return bool(floats) and all((number, int(i)) in ranges for i in floats)


def by_name(model: Any, ranges: dict[Place, Ends]) -> dict[str, dict[str, Any]]:
    """The ranges as litert-quantizer takes the results of a calibration."""
    return {
        model.subgraphs[number].tensors[tensor].name.decode(): {
            "min": np.array([[low]], np.float32),
            "max": np.array([[high]], np.float32),
        }
        for (number, tensor), (low, high) in ranges.items()
    }
