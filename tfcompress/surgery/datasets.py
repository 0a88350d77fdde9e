"""Datasets that run a layer: what they captured, and the same dataset over another layer.

A `FactorizedTopK` metric of TFRS often holds `items.batch(128).map(item_tower)`. Such a dataset
keeps the variables of the tower it was mapped with, also after the tower was replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfcompress.keras import Layer, tf


def captured_handles(dataset: Any) -> set[int]:
    """Identities of every resource handle that the dataset's functions captured."""
    handles: set[int] = set()
    for stage in _stages(dataset):
        for function in stage._functions():
            handles.update(id(tensor) for tensor in function.function.captured_inputs)
    return handles


def captures(dataset: Any, variables: list[Any]) -> bool:
    """Whether the dataset's functions use one of these variables."""
    handles = captured_handles(dataset)
    return any(id(part.handle) in handles for v in variables for part in _parts(v))


def _parts(variable: Any) -> list[Any]:
    return list(getattr(variable, "_values", None) or [variable])


def _stages(dataset: Any) -> list[Any]:
    found = [dataset]
    for source in dataset._inputs():
        found.extend(_stages(source))
    return found


def rebound(dataset: Any, layer_for: Callable[[Any], Any]) -> Any:
    """The dataset with its layer calls made by the layers that `layer_for` gives.

    Where the last stage is `.map(layer)` it is mapped anew; every other dataset comes back as it
    is (a layer inside a lambda is out of reach; `find_leak` reports it).
    """
    functions = list(dataset._functions())
    sources = list(dataset._inputs())
    if len(functions) != 1 or len(sources) != 1:
        return dataset
    called = getattr(functions[0], "_func", None)
    if not isinstance(called, Layer) or "Map" not in type(dataset).__name__:
        return dataset
    new = layer_for(called)
    return dataset if new is None else sources[0].map(new, num_parallel_calls=tf.data.AUTOTUNE)
