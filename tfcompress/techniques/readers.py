"""Which layers read what others put out, as far as the graph of a model says so."""

from __future__ import annotations

from typing import Any

from tfcompress.keras import keras
from tfcompress.layers.compressed import raw
from tfcompress.surgery import walk

_layers = keras.layers
# They put out what they are given, or the largest of it: rounding before them is rounding after.
_PASSING = (
    _layers.Dropout,
    _layers.Flatten,
    _layers.MaxPooling2D,
    _layers.Permute,
    _layers.Reshape,
)


class Graph:
    """The connections of a model's layers, wrappers aside.

    Example:
        >>> a, b, c = keras.layers.Dense(2), keras.layers.Dropout(0.5), keras.layers.Dense(1)
        >>> graph = Graph(keras.Sequential([keras.Input((3,)), a, b, c]))
        >>> graph.readers(a) == [b], graph.readers(c), graph.read_by(c) == [a]
        (True, [], True)
    """

    def __init__(self, model: Any) -> None:
        networks = [model, *(held.layer for held in walk(model))]
        last = [one for network in networks for one in getattr(network, "_output_layers", ())]
        self._last = {id(raw(layer)) for layer in last}

    def readers(self, layer: Any) -> list[Any]:
        """The layers that read what a layer puts out; none where a network puts it out as well."""
        return [one for readers in self.readers_by_call(layer) for one in readers]

    def readers_by_call(self, layer: Any) -> list[list[Any]]:
        """The same for each call of the layer that is read."""
        if id(raw(layer)) in self._last:
            return []
        read = _nodes(layer, "_outbound_nodes")
        calls = [
            [raw(node.outbound_layer) for node in read if any(p is call for p in node.parent_nodes)]
            for call in _nodes(layer, "_inbound_nodes")
        ]
        return [readers for readers in calls if readers]

    def readers_past(self, layer: Any) -> list[Any]:
        """The layers that read what a layer puts out, past those that pass values on."""
        found: list[Any] = []
        for one in self.readers(layer):
            found += self.readers_past(one) if isinstance(one, _PASSING) else [one]
        return found

    def read_by(self, layer: Any) -> list[Any]:
        """The layers whose outputs a layer reads, past those that pass values on; inputs, too."""
        found: list[Any] = []
        for node in _nodes(layer, "_inbound_nodes"):
            for before in (raw(parent.layer) for parent in node.parent_nodes):
                found += self.read_by(before) if isinstance(before, _PASSING) else [before]
        return found


def _nodes(layer: Any, which: str) -> list[Any]:
    inner = raw(layer)
    return [*getattr(layer, which), *(getattr(inner, which) if inner is not layer else ())]
