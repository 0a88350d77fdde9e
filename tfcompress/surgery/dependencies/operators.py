"""What TensorFlow's operators in a Keras graph make of the names of their inputs' channels."""

from __future__ import annotations

import itertools
from typing import Any

from tfcompress.keras import tf
from tfcompress.surgery.dependencies.activations import ELEMENTWISE
from tfcompress.surgery.dependencies.flows import joined, passes
from tfcompress.surgery.dependencies.kinds import Flow
from tfcompress.surgery.dependencies.trace import Call, Trace
from tfcompress.surgery.dependencies.units import Labels


def operator(trace: Trace, call: Call) -> list[Labels]:
    """What a `TFOpLambda` or `SlicingOpLambda` does, by the name of its function."""
    flow = _OPERATORS.get(call.layer.symbol.rsplit(".", 1)[-1])
    return flow(trace, call) if flow else trace.unknown(call)


def _pairs(trace: Trace, call: Call) -> list[Labels]:
    constants = [
        value
        for value in itertools.chain(call.args[:2], (call.kwargs.get(n) for n in ("x", "y")))
        if value is not None and str(id(value)) not in call.names
    ]
    if any(tf.convert_to_tensor(value).shape.rank for value in constants):
        return trace.unknown(call)  # a constant for each channel, which nobody would cut
    return [trace.merge(call, call.inputs)]


def _slices(trace: Trace, call: Call) -> list[Labels]:
    asked = call.args[1] if len(call.args) > 1 else call.kwargs.get("slice_spec")
    asked = asked if isinstance(asked, tuple) else (asked,)
    rank = len(call.shapes[0])
    plain = all(isinstance(part, (int, dict)) for part in asked) and len(asked) <= rank
    whole = len(asked) < rank or asked[-1] == {"start": None, "stop": None, "step": None}
    return passes(trace, call) if plain and whole else trace.unknown(call)


def _reduces(trace: Trace, call: Call) -> list[Labels]:
    axis = call.kwargs.get("axis", call.args[1] if len(call.args) > 1 else None)
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    last = len(call.shapes[0]) - 1
    if any(not isinstance(one, int) or one in (-1, last) for one in axes):
        return trace.unknown(call)
    return passes(trace, call)


def _concatenates(trace: Trace, call: Call) -> list[Labels]:
    axis = call.kwargs.get("axis", call.args[1] if len(call.args) > 1 else None)
    return joined(trace, call, axis) if isinstance(axis, int) else trace.unknown(call)


_REDUCING = ("reduce_mean", "reduce_sum", "reduce_max", "reduce_min")
_OPERATORS: dict[str, Flow] = {
    **dict.fromkeys(ELEMENTWISE | {"stop_gradient", "identity"}, passes),
    **dict.fromkeys(("add", "subtract", "multiply", "maximum", "minimum", "truediv"), _pairs),
    **dict.fromkeys(("sub", "mul"), _pairs),
    **dict.fromkeys(_REDUCING, _reduces),
    "getitem": _slices,
    "concat": _concatenates,
}


def is_operator(layer: Any) -> bool:
    """Whether Keras made the layer of an operator in a graph."""
    return type(layer).__name__ in ("TFOpLambda", "SlicingOpLambda") and hasattr(layer, "symbol")
