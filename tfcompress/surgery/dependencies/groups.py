"""Groups: units that several layers make together, and can only lose together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.surgery.dependencies.kinds import Kind, attribute
from tfcompress.surgery.dependencies.trace import Trace
from tfcompress.surgery.dependencies.units import Labels

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Member:
    """A layer that makes units of a group.

    Attributes:
        path: where it is held.
        layer: the layer.
        places: for each of its channels the place of its unit in the group, -1 where it is of
            another group.
        weights: its kernels, each with the unit's axis first, and the places along that axis.
    """

    path: str
    layer: Any
    places: Array
    weights: tuple[tuple[Array, Array], ...]


@dataclass(frozen=True)
class Scales:
    """A BatchNormalization behind a group: its scales, and the places of their units."""

    path: str
    gamma: Array
    places: Array


@dataclass(frozen=True)
class Group:
    """Units that the same layers make.

    Attributes:
        units: their names, int64 `[units]`.
        members: the layers that make them.
        scales: the normalizations that they go through.
    """

    units: Labels
    members: tuple[Member, ...]
    scales: tuple[Scales, ...]

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.units)


def groups_of(trace: Trace) -> list[Group]:
    """The units that may go, those together that the same layers make."""
    makers: dict[int, list[int]] = {}
    for key, layer in trace.layers.items():
        for unit in dict.fromkeys(trace.units.roots(units_of(trace, layer))):
            if trace.units.reason(unit) is None:
                makers.setdefault(int(unit), []).append(key)
    together: dict[tuple[int, ...], list[int]] = {}
    for unit, keys in makers.items():
        together.setdefault(tuple(keys), []).append(unit)
    return [_group(trace, keys, np.array(units)) for keys, units in together.items()]


def units_of(trace: Trace, layer: Any) -> Labels:
    """The names of the units that a layer makes; empty where it makes none of its own."""
    kind, ports = trace.kind(layer), trace.ports.get(id(layer), {})
    return ports.get(kind.units or "", _NONE) if kind is not None else _NONE


_NONE = np.zeros(0, np.int64)


def _group(trace: Trace, keys: tuple[int, ...], units: Labels) -> Group:
    place = np.full(trace.units.count, -1, np.int64)
    place[units] = np.arange(len(units))

    def places(labels: Labels) -> Array:
        return place[trace.units.roots(labels)]

    members = tuple(_member(trace, key, places) for key in keys)
    found = (_scales(trace, layer, places) for layer in trace.layers.values())
    return Group(units, members, tuple(s for s in found if s is not None and s.places.max() >= 0))


def _member(trace: Trace, key: int, places: Any) -> Member:
    layer = trace.layers[key]
    kind, ports = trace.kind(layer), trace.ports[key]
    weights = tuple(_kernels(layer, kind, ports, places)) if kind else ()
    return Member(trace.paths[key], layer, places(units_of(trace, layer)), weights)


def _kernels(
    layer: Any, kind: Kind, ports: dict[str, Labels], places: Any
) -> Iterator[tuple[Array, Array]]:
    for path, axes in kind.weights(layer).items():
        value = attribute(layer, path)
        if value is None or path.endswith("bias"):
            continue
        made = [n for n, axis in enumerate(axes) if axis is not None and axis.port == kind.units]
        for number in made[-1:]:  # a recurrent kernel's columns make units, its rows read them
            axis = axes[number]
            along = places(axis(ports[axis.port])) if axis is not None else places(_NONE)
            yield np.moveaxis(np.asarray(value), number, 0), along


def _scales(trace: Trace, layer: Any, places: Any) -> Scales | None:
    gamma = getattr(layer, "gamma", None)
    ports = trace.ports.get(id(layer), {})
    kind = trace.kind(layer)
    if gamma is None or kind is None or "gamma" not in kind.weights(layer):
        return None
    return Scales(trace.paths[id(layer)], np.asarray(gamma), places(ports["inputs"]))
