"""Which weights of a layer can be compressed, declared once for each class of layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.keras import keras


@dataclass(frozen=True)
class WeightRole:
    """One compressible matrix of a layer.

    Attributes:
        name: the attribute that holds it.
        channel_axis: the axis whose entries each have their own scale on a device: the outputs of
            a kernel `[inputs, outputs]` (1), the rows of a table `[ids, width]` (0). None: the
            matrix is multiplied in both directions, and has one scale.
    """

    name: str
    channel_axis: int | None


_ROLES: dict[type, tuple[WeightRole, ...]] = {
    keras.layers.Dense: (WeightRole("kernel", 1),),
    keras.layers.Embedding: (WeightRole("embeddings", 0),),
}


def register_weights(layer_class: type, **channel_axes: int | None) -> None:
    """Declares the compressible matrices of a layer class: attribute name to channel axis.

    None as the channel axis means one scale for the whole matrix, whatever a spec asks: for a
    matrix that is multiplied in both directions, channels of one are none of the other.

    Raises:
        SpecError: no weight named, or a channel axis that is not 0, 1 or None.

    Example:
        >>> import tfcompress as tfc
        >>> from tfcompress.keras import keras
        >>> class MyDense(keras.layers.Dense):
        ...     pass
        >>> tfc.register_weights(MyDense, kernel=1)
    """
    if not channel_axes or any(axis not in (0, 1, None) for axis in channel_axes.values()):
        raise SpecError(
            f"register_weights received {channel_axes!r} for {layer_class.__name__}; expected "
            "weight names with a channel axis of 0, 1 or None, such as kernel=1."
        )
    _ROLES[layer_class] = tuple(WeightRole(name, axis) for name, axis in channel_axes.items())


def weight_roles(layer: Any) -> tuple[WeightRole, ...]:
    """The compressible matrices of a layer; empty where its class declares none."""
    for cls in type(layer).__mro__:
        if cls in _ROLES:
            return _ROLES[cls]
    return ()
