"""What layers without weights make of the names of their inputs' channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfcompress.keras import keras
from tfcompress.surgery.dependencies.kinds import Flow, Kind
from tfcompress.surgery.dependencies.trace import Call, Trace
from tfcompress.surgery.dependencies.units import Labels


def passes(trace: Trace, call: Call) -> list[Labels]:
    """Each channel is computed of itself alone."""
    return [call.inputs[0]] * len(call.widths)


def passes_channels_last(trace: Trace, call: Call) -> list[Labels]:
    """The same, where the channels are the last axis."""
    last = getattr(call.layer, "data_format", "channels_last") == "channels_last"
    return passes(trace, call) if last else trace.unknown(call)


def drops(trace: Trace, call: Call) -> list[Labels]:
    """Each channel stays what it is, unless a shape of the noise was written down with a width."""
    written = (getattr(call.layer, "noise_shape", None) or (None,))[-1]
    return passes(trace, call) if written in (None, 1) else trace.unknown(call)


def activates(trace: Trace, call: Call) -> list[Labels]:
    """An activation function, of a channel at a time or not."""
    trace.refuse_mixing(call, call.inputs[0], ("activation",))
    return passes(trace, call)


def merges(trace: Trace, call: Call) -> list[Labels]:
    """Channel by channel one of several."""
    return [trace.merge(call, call.inputs)]


def concatenates(trace: Trace, call: Call) -> list[Labels]:
    """Channels in a row, or along another axis, channel by channel."""
    return joined(trace, call, call.layer.axis)


def joined(trace: Trace, call: Call, axis: int) -> list[Labels]:
    """The names of tensors that are concatenated along an axis."""
    if axis in (-1, len(call.shapes[0]) - 1):
        return [np.concatenate(call.inputs)]
    return merges(trace, call)


def reshapes(trace: Trace, call: Call) -> list[Labels]:
    """Every position keeps its row of channels, or they are laid out flat."""
    before, after = call.shapes[0], call.output_shapes[0]
    if after[-1] == before[-1] and after[-1] is not None:
        outputs = call.inputs[0]
    elif len(after) == 2 and None not in before[1:]:
        outputs = np.tile(call.inputs[0], math.prod(size or 1 for size in before[1:-1]))
    else:
        return trace.unknown(call)
    trace.bind(call, "outputs", outputs)
    return [outputs]


def permutes(trace: Trace, call: Call) -> list[Labels]:
    """The channels stay where they are, or become positions."""
    last = call.layer.dims[-1] == len(call.shapes[0]) - 1
    return passes(trace, call) if last else trace.unknown(call)


def multiplies_out(trace: Trace, call: Call) -> list[Labels]:
    """A product over the channels, of two tensors that have the same ones."""
    axes = call.layer.axes if isinstance(call.layer.axes, (list, tuple)) else [call.layer.axes] * 2
    over_channels = all(
        axis in (-1, len(shape) - 1) for axis, shape in zip(axes, call.shapes, strict=True)
    )
    if not over_channels or call.layer.normalize:
        return trace.unknown(call)
    trace.merge(call, call.inputs)
    reason = f"{trace.at(call.layer)} makes them of whole rows"
    return [trace.units.fresh(width, reason) for width in call.widths]


def normalizes_rows(trace: Trace, call: Call) -> list[Labels]:
    """A LayerNormalization: every channel is measured by all others, unless it is along others."""
    axes = call.layer.axis if isinstance(call.layer.axis, (list, tuple)) else [call.layer.axis]
    if not {-1, len(call.shapes[0]) - 1} & set(axes):
        return passes(trace, call)
    trace.units.pin(
        call.inputs[0],
        f"{trace.at(call.layer)} takes its mean and variance over all of them",
    )
    return passes(trace, call)


def _flat(layer: Any, left: dict[str, int]) -> dict[str, Any]:
    target = list(layer.target_shape)
    return {"target_shape": (*target[:-1], left["outputs"])}


_L = keras.layers
_SAME = (
    _L.GaussianDropout, _L.GaussianNoise, _L.SpatialDropout1D,
    _L.ReLU, _L.LeakyReLU, _L.ELU, _L.ThresholdedReLU, _L.ActivityRegularization, _L.RepeatVector,
)  # fmt: skip
_ALONG = (
    _L.SpatialDropout2D, _L.MaxPooling1D, _L.MaxPooling2D, _L.AveragePooling1D,
    _L.AveragePooling2D, _L.GlobalMaxPooling1D, _L.GlobalMaxPooling2D, _L.GlobalAveragePooling1D,
    _L.GlobalAveragePooling2D, _L.UpSampling1D, _L.UpSampling2D, _L.ZeroPadding1D,
    _L.ZeroPadding2D, _L.Cropping1D, _L.Cropping2D,
)  # fmt: skip
_MERGES = (_L.Add, _L.Subtract, _L.Multiply, _L.Average, _L.Maximum, _L.Minimum)
# By the class itself: a subclass may compute something else.
FLOWS: dict[type, Flow] = {
    **dict.fromkeys(_SAME, passes),
    **dict.fromkeys(_ALONG, passes_channels_last),
    **dict.fromkeys(_MERGES, merges),
    _L.Dropout: drops,
    _L.AlphaDropout: drops,
    _L.Activation: activates,
    _L.Concatenate: concatenates,
    _L.Permute: permutes,
    _L.Dot: multiplies_out,
    _L.LayerNormalization: normalizes_rows,
}
# Without weights, but with a size among the constructor's arguments.
RESHAPES: dict[type, Kind] = {
    _L.Flatten: Kind(lambda trace, call: _flattens(trace, call)),
    _L.Reshape: Kind(reshapes, config=_flat),
}


def _flattens(trace: Trace, call: Call) -> list[Labels]:
    last = call.layer.data_format == "channels_last"
    return reshapes(trace, call) if last else trace.unknown(call)
