"""How a layer is stored now: its weights' shapes, bits and scales, what they cost, as a form."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.layers.compressed import Compressed, raw
from tfcompress.layers.mapped import MappedEmbedding
from tfcompress.layers.positions import kernel_multiply_adds, positions
from tfcompress.layers.weights import WeightRole, weight_of, weight_roles
from tfcompress.measure import LayerForm, WeightForm, axes_of
from tfcompress.surgery import Held, children
from tfcompress.surgery.walk import own_variables, without_tokens


def own_weights(layer: Any) -> list[Any]:
    """The weights of a layer that none of the layers in it has."""
    if isinstance(layer, Compressed) or not children(layer):
        return without_tokens(layer.weights)
    return own_variables(layer)


def form_of(item: Held) -> LayerForm:
    """How a layer is stored now."""
    layer = item.layer
    inner = raw(layer)
    if isinstance(inner, MappedEmbedding):
        return inner.form(item.path)
    own = [w for w in own_weights(inner) if w.dtype != "uint8"]
    codes = sum(int(np.prod(w.shape)) for w in own_weights(inner) if w.dtype == "uint8")
    if not inner.built or not weight_roles(inner):
        other = sum(int(np.prod(w.shape)) for w in own)
        cost = kernel_multiply_adds(inner) if inner.built else 0
        return LayerForm(
            item.path,
            layer,
            type(inner).__name__,
            (),
            other,
            codes=codes,
            other_multiply_adds=cost,
        )
    roles = weight_roles(inner)
    weights = tuple(_weight_form(item.path, layer, role) for role in roles)
    other = sum(int(np.prod(w.shape)) for w in own) - sum(w.parameters for w in weights)
    held_as = type(inner).__name__
    return LayerForm(item.path, layer, held_as, weights, other, positions(layer), codes=codes)


def _weight_form(path: str, layer: Any, role: WeightRole) -> WeightForm:
    name = role.name
    shape = tuple(int(size) for size in weight_of(raw(layer), name).shape)
    if len(shape) < 2 or any(axis >= len(shape) for axis in axes_of(role.channel_axis)):
        raise SpecError(
            f"{type(raw(layer)).__name__} declares {name!r} with the channel axis "
            f"{role.channel_axis}, and that of {path!r} has the shape {shape}; expected two axes "
            "or more, the channel axis among them. Correct its register_weights."
        )
    form = WeightForm(name, shape, role.channel_axis, role.lookup, operator=role.operator)
    chain = layer.transforms.get(name, ()) if isinstance(layer, Compressed) else ()
    for transform in chain:
        form = transform.planned(form)
    return form
