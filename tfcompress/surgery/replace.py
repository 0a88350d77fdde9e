"""Putting new layers in the places of old ones, wherever these are held."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tfcompress.errors import StaleReferenceError, SurgeryError
from tfcompress.keras import Functional, keras, tf, tfrs
from tfcompress.surgery.datasets import rebound
from tfcompress.surgery.leaks import find_leak
from tfcompress.surgery.walk import children, is_network, own_attributes, walk

_TopK = tfrs.layers.factorized_top_k.TopK
_Streaming = tfrs.layers.factorized_top_k.Streaming


class Replacements:
    """New layers for old ones, by identity; remembers how to put everything back."""

    def __init__(self) -> None:
        self._new: dict[int, Any] = {}
        self._old: list[Any] = []  # keeps the old layers alive, so that their ids stay theirs
        self._undo: list[Callable[[], None]] = []

    def put(self, old: Any, new: Any) -> None:
        """Asks for `new` wherever `old` is held."""
        self._new[id(old)] = new
        self._old.append(old)

    def get(self, layer: Any) -> Any:
        """The layer that stands for `layer` now."""
        return self._new.get(id(layer), layer)

    def __contains__(self, layer: Any) -> bool:
        return id(layer) in self._new

    @property
    def old(self) -> list[Any]:
        """The layers that were replaced."""
        return list(self._old)

    @property
    def new(self) -> list[Any]:
        """The layers that stand for them."""
        return list(self._new.values())

    def assign(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute and notes what was there."""
        put_back = functools.partial(_set, owner, name, getattr(owner, name))
        _set(owner, name, value)
        self._undo.append(put_back)

    def forget_calls(self, layer: Any) -> None:
        """Clears the graph nodes of a layer that is about to be called in a new graph."""
        for name in ("_inbound_nodes_value", "_outbound_nodes_value"):
            if name in vars(layer):
                self._undo.append(functools.partial(vars(layer).update, {name: vars(layer)[name]}))
                vars(layer)[name] = []

    def undo(self) -> None:
        """Puts every attribute back, last change first."""
        while self._undo:
            self._undo.pop()()


def _set(owner: Any, name: str, value: Any) -> None:
    # Keras lists what it tracks in the order of assignment, and weights in the order of that list;
    # the new layer takes the old one's place in it, and among the attributes.
    old, names = getattr(owner, name), list(vars(owner))
    tracked = list(getattr(owner, "_self_tracked_trackables", ()))
    setattr(owner, name, value)
    state = {n: vars(owner)[n] for n in names if n in vars(owner)} | vars(owner)
    vars(owner).clear()
    vars(owner).update(state)
    new = getattr(owner, name)
    place = next((i for i, item in enumerate(tracked) if item is old), None)
    now = getattr(owner, "_self_tracked_trackables", [])
    if place is not None and now and now[-1] is new:
        now.insert(place, now.pop())


def replace_layers(model: Any, replacements: Replacements) -> Any:
    """`model` with every replaced layer's new one in its places.

    Subclassed models and layers are changed in place; a Sequential or Functional model that holds
    a replaced layer is built anew around its other layers. Returns the model, the new one where
    the outermost model had to be built anew.

    Raises:
        SurgeryError: a place that cannot be written to.
        StaleReferenceError: a closure, dataset or index would go on using a replaced layer.
            In either case everything was put back.
    """
    try:
        _replace_below(model, replacements, set())
        new = replacements.get(model)
        fresh = [*replacements.new, *_rebind_datasets(new, replacements)]
        _refuse_stale(new, replacements.old, [layer for layer in fresh if not is_network(layer)])
    except Exception:
        replacements.undo()
        raise
    return new


def _rebind_datasets(model: Any, replacements: Replacements) -> list[Any]:
    rebound_ones = []

    new_ones = {id(layer) for layer in replacements.new}

    def layer_for(called: Any) -> Any:
        if called in replacements:
            return replacements.get(called)
        # A tower of the user's own class is still itself, with new layers below it.
        changed = any(id(layer) in new_ones for layer in called._flatten_layers())
        return called if changed else None

    for owner in [model, *(held.layer for held in walk(model))]:
        for name, value in own_attributes(owner).items():
            if isinstance(value, tf.data.Dataset):
                new = rebound(value, layer_for)
                if new is not value:
                    replacements.assign(owner, name, new)
                    rebound_ones.append(new)
    return rebound_ones


def _refuse_stale(model: Any, old: list[Any], fresh: list[Any]) -> None:
    leak = find_leak(model, old, trusted=fresh)
    if leak:
        raise StaleReferenceError(
            f"{leak}, which would go on being used after it is compressed. Expected layers reached "
            "through attributes, lists or dicts. Make that object from the compressed model "
            "instead: remove it, apply the spec, then build it anew (a FactorizedTopK metric: with "
            "the new tower)."
        )
    for held in walk(model):
        indexes = isinstance(held.layer, _TopK) and not isinstance(held.layer, _Streaming)
        if indexes and old and getattr(held.layer, "_candidates", None) is not None:
            raise StaleReferenceError(
                f"{held.path} is an index of candidates computed before the model is compressed; "
                "expected candidates computed by the compressed model. Remove the metric, apply "
                "the spec, and index the candidates anew."
            )


def _replace_below(layer: Any, replacements: Replacements, seen: set[int]) -> None:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    below = [child for _, child in children(layer)]
    for child in below:
        if child not in replacements:
            _replace_below(child, replacements, seen)
    if not any(child in replacements for child in below):
        return
    if is_network(layer):
        layer_for = functools.partial(_kept, layer, replacements)
        replacements.put(layer, rebuild_network(layer, layer_for))
    else:
        _replace_attributes(layer, replacements)


def _kept(network: Any, replacements: Replacements, layer: Any) -> Any:
    new = replacements.get(layer)
    # With the calls of the old graph beside those of the new one, `layer.output` would be
    # ambiguous; where every call belongs to the old graph, they go with it.
    nodes = sum(key.rsplit("_ib-", 1)[0] == layer.name for key in network._network_nodes)
    if new is layer and not is_network(layer) and nodes == len(layer._inbound_nodes):
        replacements.forget_calls(layer)
    return new


def _replace_attributes(owner: Any, replacements: Replacements) -> None:
    for name, value in own_attributes(owner).items():
        new = _substituted(value, replacements)
        if new is value:
            continue
        try:
            replacements.assign(owner, name, new)
        except Exception as error:
            raise SurgeryError(
                f"Could not set {type(owner).__name__}.{name} to its compressed layer ({error}); "
                "expected an attribute that can be assigned. Hold the layer in a plain attribute, "
                "list or dict."
            ) from error


def _substituted(value: Any, replacements: Replacements) -> Any:
    # Lists are built anew rather than written to: Keras refuses to save a tracked list in which
    # an element was exchanged.
    if isinstance(value, keras.layers.Layer):
        return replacements.get(value)
    if isinstance(value, dict):
        items = {key: _substituted(item, replacements) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in value) else value
    if isinstance(value, (list, tuple)):
        parts = [_substituted(item, replacements) for item in value]
        if all(new is old for new, old in zip(parts, value, strict=True)):
            return value
        return tuple(parts) if isinstance(value, tuple) else parts
    return value


def rebuild_network(
    network: Any,
    layer_for: Callable[[Any], Any],
    attribute_for: Callable[[str, Any], Any] | None = None,
) -> Any:
    """A Sequential or Functional model of the same graph and class, with other layers.

    Args:
        network: the model to follow.
        layer_for: gives for each layer the one to call in its place.
        attribute_for: gives for each name and value of an attribute of the user's own the new
            value; by default the same, with the other layers in it.
    """
    new = keras.models.clone_model(network, clone_function=layer_for)
    if isinstance(network, keras.Sequential) and network.built and not new.built:
        new.build(network._build_input_shape)
    if type(new) is not type(network) and isinstance(network, Functional):
        new.__class__ = type(network)
    for name, value in own_attributes(network).items():
        if name not in vars(new):
            own = attribute_for(name, value) if attribute_for else _through(value, layer_for)
            setattr(new, name, own)
    new._trainable = network._trainable  # the setter would set its layers' as well
    return new


def _through(value: Any, layer_for: Callable[[Any], Any]) -> Any:
    if isinstance(value, keras.layers.Layer):
        return layer_for(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_through(item, layer_for) for item in value)
    if isinstance(value, dict):
        return {key: _through(item, layer_for) for key, item in value.items()}
    return value
