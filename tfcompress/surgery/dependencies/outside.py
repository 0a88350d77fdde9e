"""Which layers are used by code that no graph shows, and must keep their shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfcompress.keras import Functional, Layer, Sequential
from tfcompress.surgery.walk import (
    Held,
    children,
    held_layers,
    inside,
    is_network,
    layers_in,
    own_attributes,
)


def readable(network: Any) -> bool:
    """Whether the network's graph is all that its call does."""
    if isinstance(network, Sequential) and not network._graph_initialized:
        return False
    base = Sequential if isinstance(network, Sequential) else Functional
    return type(network).call is base.call and network.built


def roots_and_outside(model: Any, held: list[Held]) -> tuple[list[Any], dict[int, str]]:
    """The networks that others than networks call, and for layers used outside of graphs, why.

    Args:
        model: the whole model.
        held: `walk(model)`.

    Returns:
        (networks, reasons by the layer's identity).
    """
    roots = [model] if is_network(model) else []
    reasons = dict(_tied(model, held))
    for caller in [model, *(item.layer for item in held)]:
        for layer in _called_by_code(caller):
            if is_network(layer) and readable(layer):
                roots.append(layer)
            else:
                reasons.setdefault(id(layer), _used_by(caller))
    return [root for root in _once(roots) if readable(root)], reasons


def _used_by(caller: Any) -> str:
    who = f"{type(caller).__name__} {caller.name!r}"
    if is_network(caller) and type(caller) in (Functional, Sequential):
        return f"it is called by {who}, of which Keras has no graph; give it an Input"
    return f"it is used by the code of {who}, which cannot be followed"


def _called_by_code(caller: Any) -> Iterator[Any]:
    if not is_network(caller):
        yield from (layer for _, layer in children(caller))
        return
    if not readable(caller):
        yield from (layer for _, layer in children(caller))
    for name, value in own_attributes(caller).items():
        if type(caller) not in (Functional, Sequential):  # a class of the user's, with methods
            yield from (layer for _, layer in layers_in(name, value))


def _tied(model: Any, held: list[Held]) -> Iterator[tuple[int, str]]:
    # What a wrapper holds is one layer with it; what a layer holds has its own weights.
    owners: dict[int, Any] = {}
    for layer in [model, *(item.layer for item in held)]:
        for variable in _own(layer):
            other = owners.setdefault(id(variable), layer)
            if other is not layer:
                for one, name in ((layer, other.name), (other, layer.name)):
                    yield id(one), f"one of its weights is held by {name!r}, too"


def _own(layer: Any) -> list[Any]:
    own = [*layer._trainable_weights, *layer._non_trainable_weights]
    if inside(layer) is not layer:
        for _, below in [("", inside(layer)), *held_layers(inside(layer))]:
            own += [*below._trainable_weights, *below._non_trainable_weights]
    return list({id(variable): variable for variable in own}.values())


def _once(layers: list[Layer]) -> list[Layer]:
    return list({id(layer): layer for layer in layers}.values())
