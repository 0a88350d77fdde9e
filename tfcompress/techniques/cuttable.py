"""Every kind of layer that Shrink knows: Keras's own, and the factorized ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcompress.keras import keras
from tfcompress.layers import FactorizedDense, FactorizedEmbedding
from tfcompress.measure import LayerForm
from tfcompress.surgery import walk
from tfcompress.surgery.dependencies import EVERY_KIND, Axis, Kind, fixed, looks_up, maps

_IN, _OUT = Axis("inputs"), Axis("outputs")
_PROJECTIONS = ("query", "key", "value", "output")
_FACTORIZED: dict[type, Kind] = {
    FactorizedDense: Kind(
        maps,
        fixed(left=(_IN, None), right=(None, _OUT), bias=(_OUT,)),
        "outputs",
        {"outputs": "units"},
    ),
    FactorizedEmbedding: Kind(
        looks_up, fixed(left=(None, None), right=(None, _OUT)), "outputs", {"outputs": "output_dim"}
    ),
}
KNOWN: dict[type, Kind] = {**EVERY_KIND, **_FACTORIZED}
_BY_NAME = {cls.__name__: kind for cls, kind in _FACTORIZED.items()}


def kind_of(layer: Any) -> Kind | None:
    """How the layer is cut, or None."""
    return KNOWN.get(type(layer))


def kind_after(form: LayerForm) -> Kind | None:
    """The same for what earlier techniques will have made of the layer."""
    if form.kind == type(form.layer).__name__:
        return kind_of(form.layer)
    return _BY_NAME.get(form.kind)  # of a wrapper, the kind is that of the layer inside


def kinds_in(model: Any, forms: Mapping[int, LayerForm]) -> dict[int, Kind | None]:
    """How every layer of a model is cut, by its identity.

    Args:
        model: a built model.
        forms: by identity, what earlier techniques of the same spec will have made of layers.
    """
    layers = [item.layer for item in walk(model)]
    kinds = {id(layer): kind_of(layer) for layer in layers}
    kinds |= {key: kind_after(form) for key, form in forms.items()}
    return kinds | {id(layer): None for layer in layers if _has_others(layer, forms)}


def _has_others(layer: Any, forms: Mapping[int, LayerForm]) -> bool:
    """Whether an attention has other projections by now than Keras gave it."""
    if not isinstance(layer, keras.layers.MultiHeadAttention):
        return False
    plain = keras.layers.EinsumDense
    return any(
        type(one) is not plain or (id(one) in forms and forms[id(one)].kind != plain.__name__)
        for one in (getattr(layer, f"_{name}_dense") for name in _PROJECTIONS)
    )


def cuttable(layer: Any) -> bool:
    """Whether Shrink can remove units of such a layer."""
    kind = kind_of(layer)
    return kind is not None and kind.units is not None
