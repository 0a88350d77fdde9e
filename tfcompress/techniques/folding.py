"""Weights that a file holds on other grids than training, because of the layer behind theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tfcompress.keras import keras
from tfcompress.layers.compressed import raw
from tfcompress.measure import FLOAT_BITS, LayerForm, WeightForm
from tfcompress.techniques.readers import Graph

_layers = keras.layers
# A converter multiplies their kernels by what a BatchNormalization behind them multiplies with.
# It does so with a DepthwiseConv2D's as well, which has no kernel of one scale in the first place.
_TAKING = (_layers.Dense, _layers.Conv2D)


def scales_as_folded(form: LayerForm, graph: Graph) -> LayerForm:
    """The form with a scale for each channel where a BatchNormalization multiplies each otherwise.

    A kernel with one scale does not lie on a grid with one scale any more, see `export.folded`.
    That is the most: where all channels are multiplied by the same number, the file has one scale.

    Args:
        form: of a layer.
        graph: of its model; one that says nothing (a subclassed model's) leaves the form.
    """
    layer = raw(form.layer)
    if type(layer) not in _TAKING or form.kind != type(layer).__name__:
        return form
    return form.with_weights(_by_channel) if _is_normalized(graph, form.layer) else form


def _is_normalized(graph: Graph, layer: Any) -> bool:
    calls = graph.readers_by_call(layer)
    linear = raw(layer).activation in (None, keras.activations.linear)
    return linear and bool(calls) and all(_is_one_norm(readers) for readers in calls)


def _is_one_norm(readers: list[Any]) -> bool:
    return len(readers) == 1 and type(readers[0]) is _layers.BatchNormalization


def _by_channel(weight: WeightForm) -> WeightForm:
    one = weight.scales == 1 and weight.bits < FLOAT_BITS and weight.channel_axis is not None
    return replace(weight, scales=weight.channels) if one else weight
