"""What techniques have in common that put another kind of table in the place of an Embedding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.keras import keras
from tfcompress.layers import Compressed
from tfcompress.measure import LayerForm, WeightForm
from tfcompress.spec import Skip

Array = np.ndarray[Any, Any]
_LOST = ("embeddings_regularizer", "embeddings_constraint", "activity_regularizer")


def check_whole(name: str, field_name: str, value: Any, least: int, most: int = 2**31) -> None:
    """Refuses what a technique was given in a field, unless it is a whole number in range.

    Raises:
        SpecError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        above = f" to {most}" if most < 2**31 else ""
        raise SpecError(
            f"{name} received {field_name}={value!r}; expected a whole number from {least}{above}."
        )


def why_no_table(form: LayerForm, technique: str) -> Skip | None:
    """Why a technique for whole tables cannot be used on a layer; None: it can."""
    if isinstance(form.layer, Compressed):
        return Skip(f"it is compressed already; use {technique} on the layer before that")
    # By the class itself: a subclass may compute something else.
    if type(form.layer) is not keras.layers.Embedding:
        return Skip(f"{technique} knows Embedding, not {form.kind}")
    if form.kind != type(form.layer).__name__:
        return Skip(
            f"another technique makes it a {form.kind}, and {technique} is for whole tables; "
            "ask for one of the two"
        )
    lost = [name for name in _LOST if getattr(form.layer, name, None) is not None]
    if lost:
        return Skip(f"it has a {lost[0]}, which is for a whole table")
    return None


def planned(form: LayerForm, kind: type, shapes: dict[str, tuple[int, int]]) -> LayerForm:
    """The form with these tables, by name, in the place of its one."""
    weights = tuple(WeightForm(name, shape, 0, lookup=True) for name, shape in shapes.items())
    return replace(form, kind=kind.__name__, weights=weights)


def if_smaller(after: LayerForm, before: LayerForm) -> LayerForm | Skip:
    """The form afterwards, unless nothing is saved."""
    if after.bytes >= before.bytes:
        rows, width = before.weights[0].shape
        return Skip(
            f"a {rows}x{width} table of {before.bytes} bytes would not be smaller: {after.bytes}"
        )
    return after


def common_arguments(layer: Any) -> dict[str, Any]:
    """Constructor arguments that a table keeps from the Embedding that it stands for."""
    return {
        "input_dim": layer.input_dim,
        "output_dim": layer.output_dim,
        "mask_zero": layer.mask_zero,
        "name": layer.name,
        "trainable": layer.trainable,
        "dtype": layer.dtype_policy,
    }


def built_like(new: Any, layer: Any) -> Any:
    """`new`, built for the inputs that `layer` was built for."""
    new.build(getattr(layer, "_build_input_shape", None) or (None,))
    return new
