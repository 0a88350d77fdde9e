"""Layers that make their own layers only when they are built, such as MultiHeadAttention.

A saved model is read before it is built. Where a layer inside such a layer was replaced, the outer
one has to make its layers first, and for that it needs the shapes that it was built for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.surgery.walk import walk

_SHAPES = ("query", "value", "key")


def shapes_of(model: Any, paths: Iterable[str]) -> dict[str, Any]:
    """For each layer that holds one of `paths`, what it was built for; "" is the model."""
    at = {held.path: held.layer for held in walk(model)} | {"": model}
    found = {owner: _shapes(at[owner]) for owner in _owners(paths) if owner in at}
    return {owner: shapes for owner, shapes in found.items() if shapes is not None}


def _owners(paths: Iterable[str]) -> list[str]:
    """Every path above these, outer ones first."""
    found = {""}
    for path in paths:
        parts = path.split(".")
        found.update(".".join(parts[:count]) for count in range(1, len(parts)))
    return sorted(found, key=lambda owner: (owner.count("."), len(owner)))


def _shapes(layer: Any) -> Any:
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return [_sizes(getattr(layer, f"_{name}_shape", None)) for name in _SHAPES]
    shape = _sizes(getattr(layer, "_build_input_shape", None))
    return shape if shape is not None else _called_with(layer)


def _called_with(layer: Any) -> Any:
    # Keras reads a saved layer by `build` alone, which need not note the shape; a call does.
    spec = tf.nest.flatten(getattr(layer, "_saved_model_inputs_spec", None))
    return _sizes(spec[0].shape) if spec and getattr(spec[0], "shape", None) is not None else None


def _sizes(shape: Any) -> Any:
    if isinstance(shape, (tf.TensorShape, tuple)) and all(
        size is None or isinstance(size, int) for size in tuple(shape)
    ):
        return list(shape)
    return None


def make_layers(model: Any, shapes: dict[str, Any], paths: Iterable[str]) -> None:
    """Lets each layer make the layers it lacks, outer ones first."""
    paths = list(paths)
    for owner in _owners(paths):
        at = {held.path: held.layer for held in walk(model)} | {"": model}
        below = [path for path in paths if not owner or path.startswith(f"{owner}.")]
        if owner in shapes and owner in at and any(path not in at for path in below):
            _make(at[owner], shapes[owner])


def _make(layer: Any, shapes: Any) -> None:
    if isinstance(layer, keras.layers.MultiHeadAttention):
        layer._build_from_signature(*map(tuple, shapes))
    else:
        shape = tf.TensorShape(shapes)
        layer.build(shape)
        keras.layers.Layer.build(layer, shape)  # its own need not note the shape, see `_shapes`
