"""Which layers are used by code that no graph shows, and must keep their shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfcompress.keras import Functional, Layer, Sequential, keras
from tfcompress.surgery.walk import (
    Held,
    children,
    inside,
    is_network,
    layers_in,
    own_attributes,
    own_variables,
    variables,
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


def owned(layers: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Every layer with each variable of its own; what a Keras layer holds (a cell) is part of it.

    Args:
        layers: parents before their children.
    """
    parts: set[int] = set()
    for layer in layers:
        if id(layer) in parts:
            continue
        whole = not is_network(layer) and type(layer).__module__.startswith(keras.__name__)
        if whole or inside(layer) is not layer:
            below = list(layer._flatten_layers(include_self=False))
            parts.update(id(part) for part in below)
            yield from ((layer, variable) for variable in variables(layer))
        else:
            yield from ((layer, variable) for variable in own_variables(layer))


def _tied(model: Any, held: list[Held]) -> Iterator[tuple[int, str]]:
    owners: dict[int, Any] = {}
    for layer, variable in owned([model, *(item.layer for item in held)]):
        other = owners.setdefault(id(variable), layer)
        if other is not layer:
            for one, name in ((layer, other.name), (other, layer.name)):
                yield id(one), f"one of its weights is held by {name!r}, too"


def _once(layers: list[Layer]) -> list[Layer]:
    return list({id(layer): layer for layer in layers}.values())
