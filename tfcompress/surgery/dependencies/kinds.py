"""Layers with weights: which axis of which weight counts which channels.

Each kind of layer is declared once: what it makes of the names of its inputs' channels (its flow),
and for every weight, axis by axis, whose channels it has an entry for. Cutting is then the same
for all of them: take the entries whose units are left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.keras import keras
from tfcompress.surgery.dependencies.units import Labels

if TYPE_CHECKING:
    from tfcompress.surgery.dependencies.trace import Call, Trace


@dataclass(frozen=True)
class Axis:
    """The channels that an axis of a weight has entries for.

    Attributes:
        port: whose channels: "inputs", "outputs", "heads", ...
        tile: the whole row of them, so often (the gates of a recurrent kernel).
        repeat: each of them, so often in a row (a depth multiplier).
    """

    port: str
    tile: int = 1
    repeat: int = 1

    def __call__(self, labels: Labels) -> Labels:
        """The names along the axis, for the names of the port's channels."""
        return np.tile(np.repeat(labels, self.repeat), self.tile)


Axes = tuple[Axis | None, ...]
Flow = Callable[["Trace", "Call"], list[Labels]]


@dataclass(frozen=True)
class Kind:
    """How a class of layer is cut.

    Attributes:
        flow: the names of its outputs' channels, for a call.
        weights: for a layer, the axes of each weight, by attribute path (`cell.kernel`). What is
            not there keeps its shape.
        units: the port that Shrink removes units of; None: it only follows other layers.
        sizes: the constructor's argument for the number of a port's channels.
        config: changes of the constructor's arguments, for (layer, channels left at each port).
        finish: makes the weights of a new layer that its `build` would leave for later.
    """

    flow: Flow
    weights: Callable[[Any], dict[str, Axes]] = lambda layer: {}
    units: str | None = None
    sizes: dict[str, str] = field(default_factory=dict)
    config: Callable[[Any, dict[str, int]], dict[str, Any]] = lambda layer, left: {}
    finish: Callable[[Any], None] = lambda layer: None


IN, OUT = Axis("inputs"), Axis("outputs")


def fixed(**weights: Axes) -> Callable[[Any], dict[str, Axes]]:
    """Axes that are the same for every layer of a class."""
    return lambda layer: weights


def maps(trace: Trace, call: Call) -> list[Labels]:
    """Every output is made of every input: the outputs are units of the layer's own."""
    trace.bind(call, "inputs", call.inputs[0])
    outputs = trace.own(call, "outputs", call.widths[0])
    trace.refuse_mixing(call, outputs, ("activation",))
    return [outputs] * len(call.widths)


def looks_up(trace: Trace, call: Call) -> list[Labels]:
    """The inputs are ids; the outputs are units of the layer's own."""
    return [trace.own(call, "outputs", call.widths[0])]


def _scales_each(trace: Trace, call: Call) -> list[Labels]:
    trace.bind(call, "inputs", call.inputs[0])
    return [call.inputs[0]]


def _normalizes(trace: Trace, call: Call) -> list[Labels]:
    if list(call.layer.axis) not in ([-1], [len(call.shapes[0]) - 1]):
        return trace.unknown(call)  # its statistics are taken over all channels
    return _scales_each(trace, call)


def _depthwise(trace: Trace, call: Call) -> list[Labels]:
    trace.bind(call, "inputs", call.inputs[0])
    outputs = np.repeat(call.inputs[0], call.layer.depth_multiplier)
    trace.refuse_mixing(call, outputs, ("activation",))
    return [outputs]


def channels_last(flow: Flow) -> Flow:
    """The flow, for layers whose channels are the last axis and are not in groups."""

    def checked(trace: Trace, call: Call) -> list[Labels]:
        layer = call.layer
        grouped = getattr(layer, "groups", 1) != 1
        return (
            trace.unknown(call)
            if layer.data_format != "channels_last" or grouped
            else flow(trace, call)
        )

    return checked


def _depth(layer: Any) -> dict[str, Axes]:
    outputs = Axis("inputs", repeat=layer.depth_multiplier)
    kernel = (*[None] * (layer.depthwise_kernel.shape.rank - 2), IN, None)
    return {"depthwise_kernel": kernel, "bias": (outputs,)}


def _separable(layer: Any) -> dict[str, Axes]:
    space = (None,) * layer.rank
    between = Axis("inputs", repeat=layer.depth_multiplier)
    return {
        "depthwise_kernel": (*space, IN, None),
        "pointwise_kernel": (*space, between, OUT),
        "bias": (OUT,),
    }


def _slopes(layer: Any) -> dict[str, Axes]:
    shared = len(layer.alpha.shape) in (layer.shared_axes or ())
    return {"alpha": (*[None] * (layer.alpha.shape.rank - 1), None if shared else IN)}


def conv(space: int) -> Kind:
    """A convolution over that many axes."""
    kernel = (*[None] * space, IN, OUT)
    return Kind(
        channels_last(maps), fixed(kernel=kernel, bias=(OUT,)), "outputs", {"outputs": "filters"}
    )


def _transposed(space: int) -> Kind:
    kernel = (*[None] * space, OUT, IN)
    return Kind(
        channels_last(maps), fixed(kernel=kernel, bias=(OUT,)), "outputs", {"outputs": "filters"}
    )


_L = keras.layers
_NORM = fixed(gamma=(IN,), beta=(IN,), moving_mean=(IN,), moving_variance=(IN,))
# By the class itself: a subclass may compute something else.
KINDS: dict[type, Kind] = {
    _L.Dense: Kind(maps, fixed(kernel=(IN, OUT), bias=(OUT,)), "outputs", {"outputs": "units"}),
    _L.Embedding: Kind(
        looks_up, fixed(embeddings=(None, OUT)), "outputs", {"outputs": "output_dim"}
    ),
    _L.Conv1D: conv(1),
    _L.Conv2D: conv(2),
    _L.Conv3D: conv(3),
    _L.Conv2DTranspose: _transposed(2),
    _L.DepthwiseConv1D: Kind(channels_last(_depthwise), _depth),
    _L.DepthwiseConv2D: Kind(channels_last(_depthwise), _depth),
    _L.SeparableConv1D: Kind(channels_last(maps), _separable, "outputs", {"outputs": "filters"}),
    _L.SeparableConv2D: Kind(channels_last(maps), _separable, "outputs", {"outputs": "filters"}),
    _L.BatchNormalization: Kind(_normalizes, _NORM),
    _L.PReLU: Kind(_scales_each, _slopes),
}


def attribute(layer: Any, path: str) -> Any:
    """The weight at an attribute path, or None where the layer has none."""
    for name in path.split("."):
        layer = getattr(layer, name, None)
    return layer


def owner(layer: Any, path: str) -> Any:
    """The layer that holds the weight at an attribute path."""
    return attribute(layer, path.rpartition(".")[0]) if "." in path else layer
