"""Comparing what two models compute, on inputs made from what they were called with before."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.keras import tf
from tfcompress.surgery.walk import children, is_network

_BATCH = 2


def outputs_differ(old: Any, new: Any, tolerance: float = 1e-5) -> str | None:
    """Where two models of the same structure compute different outputs, or None.

    A model that was never called itself (TFRS models are used through their towers) is compared
    through the layers below it.
    """
    pairs = [(type(old).__name__, old, new)]
    while pairs:
        path, first, second = pairs.pop()
        arguments = example_arguments(first)
        if arguments is None:
            below = zip(children(first), children(second), strict=False)
            pairs.extend((f"{path}.{name}", a, b) for (name, a), (_, b) in below)
            continue
        difference = _difference(first, second, arguments)
        if difference is not None and not difference <= tolerance:
            return f"the outputs of {path} deviate by {difference:.3g} of their largest value"
    return None


def example_arguments(layer: Any) -> tuple[Any, dict[str, Any]] | None:
    """Arguments like those of the layer's first call, or None where it was never called."""
    if is_network(layer) and layer.built:
        try:
            shapes = [tf.TensorSpec(t.shape, t.dtype) for t in layer.inputs or []]
        except AttributeError:
            shapes = []
        if shapes:
            structure = layer.input if len(shapes) > 1 else shapes[0]
            flat = [_example(spec) for spec in shapes]
            return ((tf.nest.pack_sequence_as(structure, flat),), {})
    spec = getattr(layer, "_saved_model_arg_spec", None)
    if spec is None:
        return None
    args, kwargs = tf.nest.map_structure(
        lambda s: _example(s) if isinstance(s, tf.TensorSpec) else s, spec
    )
    return tuple(args), {k: v for k, v in kwargs.items() if k != "training"}


def _example(spec: Any) -> Any:
    shape = [_BATCH if size is None else size for size in spec.shape]
    rng = np.random.default_rng(0)
    if spec.dtype.is_floating:
        # Not negative: a Sequential model that begins with a table takes its ids as floats.
        return tf.constant(rng.uniform(0, 2, size=shape), spec.dtype)
    if spec.dtype == tf.string:
        return tf.fill(shape, "")
    if spec.dtype.is_integer:
        return tf.constant(rng.integers(0, 2, size=shape), spec.dtype)  # ids every table has
    return tf.zeros(shape, spec.dtype)


def _difference(old: Any, new: Any, arguments: tuple[Any, dict[str, Any]]) -> float | None:
    args, kwargs = arguments
    first = tf.nest.flatten(_call(old, args, kwargs))
    second = tf.nest.flatten(_call(new, args, kwargs))
    worst = 0.0
    for a, b in zip(first, second, strict=True):
        if a is None or not a.dtype.is_floating:
            continue
        scale = max(float(tf.reduce_max(tf.abs(a))), 1e-12)
        worst = max(worst, float(tf.reduce_max(tf.abs(a - b))) / scale)
    return worst


def _call(layer: Any, args: Any, kwargs: Any) -> Any:
    if layer._expects_training_arg:
        kwargs = {**kwargs, "training": False}
    return layer(*args, **kwargs)
