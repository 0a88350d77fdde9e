"""Recurrent layers: their weights are in a cell, gate beside gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfcompress.keras import keras
from tfcompress.surgery.dependencies.kinds import IN, OUT, Axes, Axis, Kind
from tfcompress.surgery.dependencies.trace import Call, Trace
from tfcompress.surgery.dependencies.units import Labels


def _recurs(trace: Trace, call: Call) -> list[Labels]:
    layer = call.layer
    trace.bind(call, "inputs", call.inputs[0])
    outputs = trace.own(call, "outputs", layer.units)
    for state in call.inputs[1:]:  # an initial state is a state: unit by unit
        trace.merge(call, [outputs, state])
    trace.refuse_mixing(call, outputs, ("activation", "recurrent_activation"))
    if layer.stateful:
        trace.units.pin(outputs, f"{trace.at(layer)} is stateful, and its states have a fixed size")
    return [outputs] * len(call.widths)


def _gated(gates: int) -> Callable[[Any], dict[str, Axes]]:
    def weights(layer: Any) -> dict[str, Axes]:
        columns = Axis("outputs", tile=gates)
        bias = getattr(layer.cell, "bias", None)
        two = bias is not None and bias.shape.rank == 2  # a GRU that resets after multiplying
        return {
            "cell.kernel": (IN, columns),
            "cell.recurrent_kernel": (OUT, columns),
            "cell.bias": (None, columns) if two else (columns,),
        }

    return weights


def _recurrent(gates: int) -> Kind:
    return Kind(_recurs, _gated(gates), "outputs", {"outputs": "units"})


# By the class itself: a subclass may compute something else.
RECURRENT: dict[type, Kind] = {
    keras.layers.SimpleRNN: _recurrent(1),
    keras.layers.GRU: _recurrent(3),
    keras.layers.LSTM: _recurrent(4),
}
