"""Following every channel through the networks of a model, from where it is made to where it ends.

Nothing is run: the graphs that Keras keeps of Sequential and Functional models are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfcompress.keras import tf
from tfcompress.surgery.dependencies.activations import mixes_channels
from tfcompress.surgery.dependencies.kinds import Flow, Kind
from tfcompress.surgery.dependencies.outside import owned, readable, roots_and_outside
from tfcompress.surgery.dependencies.units import Labels, Units
from tfcompress.surgery.walk import is_network, walk

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Call:
    """One call of a layer in a graph.

    Attributes:
        layer: the layer.
        inputs: for each input tensor the names of its channels, which are its last axis.
        shapes: the input tensors' shapes, the batch first.
        output_shapes: the output tensors' shapes.
        args: the call's positional arguments.
        kwargs: the call's named arguments.
        names: the names by the identity of the tensor among `args` and `kwargs`.
    """

    layer: Any
    inputs: list[Labels]
    shapes: list[Shape]
    output_shapes: list[Shape]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    names: dict[str, Labels]

    @property
    def widths(self) -> list[int]:
        """How many channels each output tensor has; 0 where the graph does not say."""
        return [_width(shape) for shape in self.output_shapes]

    def labels_of(self, tensor: Any) -> Labels:
        """The names of the channels of one argument."""
        return self.names[str(id(tensor))]


class Trace:
    """The names of the channels at every port of every layer.

    Attributes:
        units: the names.
        ports: by the layer's identity, for each port the names of its channels.
        layers: by identity, the layers that were called.
        shapes: by identity, the shape of a layer's first input in its first call.
        outside: by identity, why a layer is not followed.
    """

    def __init__(
        self,
        model: Any,
        kinds: Mapping[int, Kind | None],
        flow_of: Callable[[Any], Flow | None],
    ) -> None:
        held = walk(model)
        self.units = Units()
        self.ports: dict[int, dict[str, Labels]] = {}
        self.layers: dict[int, Any] = {}
        self.shapes: dict[int, Shape] = {}
        self._kinds = kinds
        self._flow_of = flow_of
        self.paths = {id(item.layer): item.path for item in held}
        layers = [item.layer for item in held]
        self._owners = {id(variable): layer for layer, variable in owned(layers)}
        self._roots, self.outside = roots_and_outside(model, held)

    def kind(self, layer: Any) -> Kind | None:
        """How the layer is cut; None where it is not."""
        return self._kinds.get(id(layer))

    def at(self, layer: Any) -> str:
        """The layer, for a sentence."""
        return f"{self.paths.get(id(layer), layer.name)!r} ({type(layer).__name__})"

    def follow(self) -> Trace:
        """Reads every network that is called from outside, with what it calls."""
        for network in self._roots:
            entering = [
                self.units.fresh(_width(shape), f"they are the inputs of {network.name!r}")
                for shape in (tuple(t.shape) for t in network.inputs)
            ]
            for labels in self._network(network, entering):
                self.units.pin(labels, f"they are the outputs of {network.name!r}")
        return self

    def _network(self, network: Any, entering: Sequence[Labels]) -> list[Labels]:
        names = {
            str(id(tensor)): labels for tensor, labels in zip(network.inputs, entering, strict=True)
        }
        for depth in sorted(network._nodes_by_depth, reverse=True):
            for node in network._nodes_by_depth[depth]:
                if not node.is_input:
                    made = self._call(_call_of(node, names))
                    names.update(zip(node.flat_output_ids, made, strict=True))
        return [names[str(id(tensor))] for tensor in network.outputs]

    def _call(self, call: Call) -> list[Labels]:
        layer = call.layer
        self.layers[id(layer)] = layer
        self.shapes.setdefault(id(layer), call.shapes[0] if call.shapes else ())
        self._pin_variables_among(call)
        if is_network(layer):
            for labels in call.inputs:  # its Input says how many there are
                self.units.pin(labels, f"they are the inputs of {layer.name!r}")
            return self._network(layer, call.inputs) if readable(layer) else self.unknown(call)
        kind = self.kind(layer)
        if kind is not None:
            return kind.flow(self, call)
        flow = self._flow_of(layer)
        return flow(self, call) if flow is not None else self.unknown(call)

    def _pin_variables_among(self, call: Call) -> None:
        for value in tf.nest.flatten([call.args, call.kwargs]):
            layer = self._owners.get(id(value))
            if layer is not None:
                self._refuse(layer, f"one of its weights is read by {self.at(call.layer)}")

    def _refuse(self, layer: Any, reason: str) -> None:
        self.outside.setdefault(id(layer), reason)
        for labels in self.ports.get(id(layer), {}).values():
            self.units.pin(labels, reason)

    def own(self, call: Call, port: str, width: int) -> Labels:
        """The names of a layer's own units, the same at every call."""
        ports = self.ports.setdefault(id(call.layer), {})
        if port not in ports:
            ports[port] = self.units.fresh(width, self.outside.get(id(call.layer)))
        return ports[port]

    def bind(self, call: Call, port: str, labels: Labels) -> None:
        """The layer's weights have entries for these channels; those of its calls are united."""
        ports = self.ports.setdefault(id(call.layer), {})
        if port in ports:
            self.merge(call, [ports[port], labels])
            return
        ports[port] = labels
        reason = self.outside.get(id(call.layer))
        if reason is not None:
            self.units.pin(labels, f"{self.at(call.layer)} reads them, and {reason}")

    def merge(self, call: Call, several: Sequence[Labels]) -> Labels:
        """Unites the channels of tensors; where they do not match one to one, they must stay."""
        widest = max(several, key=len)
        reason = f"{self.at(call.layer)} spreads one channel over others"
        for labels in several:
            if len(labels) == len(widest):
                self.units.unite(widest, labels)
                continue
            self.units.pin(labels, reason)
            if len(labels) != 1:  # one channel is spread over any number of others
                self.units.pin(widest, reason)
        return widest

    def refuse_mixing(self, call: Call, labels: Labels, attributes: tuple[str, ...]) -> None:
        """Pins units that go through a function which may look at others."""
        for name in attributes:
            function = getattr(call.layer, name, None)
            if mixes_channels(function):
                what = getattr(function, "__name__", type(function).__name__)
                self.units.pin(labels, f"{what} in {self.at(call.layer)} may look at all of them")

    def unknown(self, call: Call) -> list[Labels]:
        """Whatever goes into the layer or comes out of it must stay."""
        self._refuse(
            call.layer,
            "what it computes cannot be followed (see its data_format, axis, groups and outputs)",
        )
        for labels in call.inputs:
            self.units.pin(labels, f"{self.at(call.layer)} reads them, which cannot be followed")
        reason = f"{self.at(call.layer)} writes them, which cannot be followed"
        return [self.units.fresh(width, reason) for width in call.widths]


def _call_of(node: Any, names: Mapping[str, Labels]) -> Call:
    inputs = [names[key] for key in node.flat_input_ids]
    return Call(
        node.layer,
        inputs,
        [tuple(t.shape) for t in node.keras_inputs],
        [tuple(t.shape) for t in tf.nest.flatten(node.outputs)],
        tuple(node.call_args),
        dict(node.call_kwargs),
        dict(zip(node.flat_input_ids, inputs, strict=True)),
    )


def _width(shape: Shape) -> int:
    return int(shape[-1] or 0) if len(shape) > 1 else 0
