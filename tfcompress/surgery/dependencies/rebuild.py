"""Layers built anew with the units that are left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfcompress.keras import tf
from tfcompress.surgery.dependencies.kinds import Axes, Axis, attribute
from tfcompress.surgery.dependencies.trace import Trace
from tfcompress.surgery.dependencies.units import Labels

Array = np.ndarray[Any, Any]


class Cuts:
    """What is left of each layer when some units go.

    Args:
        trace: the channels of the model.
        gone: names of the units that go, as `Units.roots` gives them.
    """

    def __init__(self, trace: Trace, gone: set[int]) -> None:
        self._trace = trace
        self._stays = np.ones(trace.units.count, bool)
        self._stays[list(gone)] = False

    def kept(self, labels: Labels) -> Array:
        """Which channels are left, bool `[channels]`."""
        return self._stays[self._trace.units.roots(labels)]

    def layers(self) -> list[Any]:
        """The layers that lose channels at one of their ports."""
        return [
            layer
            for key, layer in self._trace.layers.items()
            if any(not self.kept(names).all() for names in self._trace.ports.get(key, {}).values())
        ]

    def ports(self, layer: Any) -> dict[str, tuple[int, int]]:
        """For each port of the layer, how many channels it had and how many are left."""
        ports = self._trace.ports[id(layer)]
        return {port: (len(names), int(self.kept(names).sum())) for port, names in ports.items()}

    def shape(self, layer: Any, axes: Axes, before: Sequence[int]) -> tuple[int, ...]:
        """The shape of a weight with the units that are left, for its shape before."""
        left = (self._along(layer, axis, size) for axis, size in zip(axes, before, strict=True))
        return tuple(len(index) for index in left)

    def rebuilt(self, layer: Any) -> Any:
        """A new layer of the same class and name with what is left of the weights."""
        new, kind = type(layer).from_config(self._config(layer)), self._trace.kind(layer)
        shape = self._trace.shapes[id(layer)]
        left = {port: after for port, (_, after) in self.ports(layer).items()}
        with tf.name_scope(layer.name):
            if not new.built:
                new.build(tf.TensorShape((*shape[:-1], left.get("inputs", shape[-1]))))
                new.built = True
            if kind is not None:
                kind.finish(new)
        for old, same in zip(layer.weights, new.weights, strict=True):
            if old.shape == same.shape:  # what no axis of is cut
                same.assign(old)
        for path, index in self._entries(layer):
            value = np.asarray(attribute(layer, path))
            attribute(new, path).assign(value[np.ix_(*index)])
        return new

    def _config(self, layer: Any) -> dict[str, Any]:
        kind = self._trace.kind(layer)
        config: dict[str, Any] = dict(layer.get_config())
        ports = self.ports(layer)
        left = {port: after for port, (_, after) in ports.items()}
        if kind is not None:
            config.update({name: left[port] for port, name in kind.sizes.items()})
            config.update(kind.config(layer, left))
        if "inputs" in left and left["inputs"] != ports["inputs"][0]:
            config.pop("batch_input_shape", None)  # what the user said of it holds no longer
        return config

    def _entries(self, layer: Any) -> Iterator[tuple[str, list[Array]]]:
        kind = self._trace.kind(layer)
        for path, axes in kind.weights(layer).items() if kind is not None else ():
            value = attribute(layer, path)
            if value is not None:
                pairs = zip(axes, value.shape, strict=True)
                yield path, [self._along(layer, axis, size) for axis, size in pairs]

    def _along(self, layer: Any, axis: Axis | None, size: int) -> Array:
        if axis is None:
            return np.arange(size)
        return np.flatnonzero(self.kept(axis(self._trace.ports[id(layer)][axis.port])))
