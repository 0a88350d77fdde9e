"""Which layers a model holds, where, and under what path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from tfcompress.keras import Functional, Layer, Model, Sequential, keras
from tfcompress.where import LayerInfo


@dataclass(frozen=True)
class Held:
    """A layer of a model.

    Attributes:
        path: its first place in the model, e.g. `tower.blocks.0.query`.
        layer: the layer itself.
        paths: all its places; more than one where it is shared.
    """

    path: str
    layer: Any
    paths: tuple[str, ...]

    @property
    def info(self) -> LayerInfo:
        """What predicates may know of it; of a wrapper, also what the layer inside it is."""
        classes = (*type(inside(self.layer)).__mro__, *type(self.layer).__mro__)
        types = tuple(dict.fromkeys(c.__name__ for c in classes if issubclass(c, Layer)))
        sizes = (int(v.shape.num_elements() or 0) for v in variables(self.layer))
        return LayerInfo(self.path, types, sum(sizes))


def is_network(layer: Any) -> bool:
    """Whether Keras keeps the graph of its layers (Sequential and Functional models)."""
    return isinstance(layer, (Sequential, Functional))


def inside(layer: Any) -> Any:
    """The layer in an opaque wrapper, see `children`, or the layer itself."""
    return layer.layer if getattr(type(layer), "opaque", False) else layer


@cache
def internal_names() -> frozenset[str]:
    """Attribute names that Keras itself puts on layers and models; users' own are the others."""

    class Bare(Model):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs

    bare = Bare()
    bare.compile(optimizer="sgd", loss="mse")
    bare(keras.backend.zeros((1, 1)))
    layer = keras.layers.Dense(1)
    layer(keras.backend.zeros((1, 1)))
    dense = {"units", "activation", "use_bias", "kernel", "bias"}
    return frozenset(vars(bare)) | (frozenset(vars(layer)) - dense)


def own_attributes(layer: Any) -> dict[str, Any]:
    """The attributes of a layer that are not Keras's own bookkeeping."""
    return {n: v for n, v in vars(layer).items() if n not in internal_names()}


def children(layer: Any) -> list[tuple[str, Any]]:
    """The layers held directly, as (path below `layer`, layer); metrics are not layers here.

    A class with `opaque = True` (the wrapper of a compressed layer) is one layer to the outside,
    and so is one that is taken whole (a recurrent layer with its cell).
    """
    if getattr(type(layer), "opaque", False) or isinstance(layer, tuple(_WHOLE)):
        return []
    return held_layers(layer)


_TokenList = keras.src.layers.preprocessing.index_lookup.VocabWeightHandler
_WHOLE: set[type] = set()


def take_whole(layer_class: type) -> None:
    """Makes layers of this class one layer to the outside, whatever layers they hold."""
    _WHOLE.add(layer_class)


def held_layers(layer: Any) -> list[tuple[str, Any]]:
    """The same, opaque layers looked into."""
    if is_network(layer):
        inner = [c for c in layer.layers if not isinstance(c, keras.layers.InputLayer)]
        return [(child.name, child) for child in inner]
    found: list[tuple[str, Any]] = []
    for name, value in own_attributes(layer).items():
        found.extend(layers_in(name, value))
    return found


def layers_in(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The layers in a value and in lists, tuples and dicts of it, each with its path."""
    if isinstance(value, Layer):
        if not isinstance(value, keras.metrics.Metric):
            yield path, value
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from layers_in(f"{path}.{index}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from layers_in(f"{path}.{key}", item)


def variables(layer: Any) -> list[Any]:
    """Every variable of a layer and those below it, each once, built or not."""
    found = {}
    for part in layer._flatten_layers():
        for variable in own_variables(part):
            found[id(variable)] = variable
    return list(found.values())


def own_variables(layer: Any) -> list[Any]:
    """The variables that a layer itself made."""
    return without_tokens([*layer._trainable_weights, *layer._non_trainable_weights])


def without_tokens(weights: list[Any]) -> list[Any]:
    """Those of the weights that are variables; an adapted lookup has its list of tokens there."""
    return [weight for weight in weights if not isinstance(weight, _TokenList)]


def walk(model: Any) -> list[Held]:
    """Every layer below `model`, parents before their children, each once."""
    paths: dict[int, list[str]] = {}
    layers: dict[int, Any] = {}

    def visit(prefix: str, layer: Any, above: tuple[int, ...]) -> None:
        for name, child in children(layer):
            if id(child) in above:
                continue
            path = f"{prefix}{name}"
            paths.setdefault(id(child), []).append(path)
            layers.setdefault(id(child), child)
            visit(f"{path}.", child, (*above, id(child)))

    visit("", model, (id(model),))
    return [Held(paths[key][0], layers[key], tuple(paths[key])) for key in layers]
