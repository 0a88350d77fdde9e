"""Finding what still refers to a layer that should no longer be used."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Sequence
from typing import Any

from tfcompress.keras import Layer, tf
from tfcompress.surgery.datasets import captures
from tfcompress.surgery.walk import is_network, own_attributes, variables


def find_leak(model: Any, forbidden: list[Any], trusted: Sequence[Any] = ()) -> str | None:
    """The path of the first reference from `model` to one of `forbidden`, described, or None.

    Looks through attributes, containers, closures, bound methods, `functools.partial` and the
    variables that datasets captured.

    Args:
        model: where to look.
        forbidden: layers and variables that must not be reached.
        trusted: objects that may use them, and are not looked into.
    """
    search = _Search(forbidden, trusted)
    return next(search.under(type(model).__name__, model), None)


class _Search:
    def __init__(self, forbidden: list[Any], trusted: Sequence[Any]) -> None:
        self._forbidden = {id(item): item for item in forbidden}
        self._variables = [item for item in forbidden if isinstance(item, tf.Variable)]
        for item in forbidden:
            if isinstance(item, Layer):
                self._variables.extend(variables(item))
        self._seen = {id(item) for item in trusted}

    def under(self, path: str, value: Any) -> Iterator[str]:
        if id(value) in self._forbidden:
            name = getattr(value, "name", type(value).__name__)
            yield f"{path} refers to {type(value).__name__} {name!r}"
            return
        if id(value) in self._seen or isinstance(value, (str, bytes, int, float, type(None))):
            return
        self._seen.add(id(value))
        if isinstance(value, tf.data.Dataset):
            if captures(value, self._variables):
                yield f"{path} is a dataset that captured the weights of a layer"
            return
        for name, part in _parts(value):
            yield from self.under(f"{path}{name}", part)


_OPAQUE = ("tensorflow", "tf_keras", "numpy", "builtins")  # packages whose objects are no users'


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Layer):
        items = dict(own_attributes(value))
        if is_network(value):
            items.update({layer.name: layer for layer in value.layers})
        yield from ((f".{name}", item) for name, item in items.items())
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, functools.partial):
        yield " (partial)", [value.func, value.args, value.keywords]
    elif isinstance(value, types.FunctionType):
        yield from _closure(value)
    elif type(value).__module__.split(".")[0] not in _OPAQUE:
        yield from ((f".{name}", item) for name, item in getattr(value, "__dict__", {}).items())


def _closure(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        try:
            yield f" (variable {name!r} of {function.__name__})", cell.cell_contents
        except ValueError:  # a cell that was never filled
            continue
    yield f" (defaults of {function.__name__})", function.__defaults__ or ()
