"""Which weights of a layer can be compressed, declared once for each class of layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.measure import Axes, axes_of
from tfcompress.surgery.walk import take_whole


@dataclass(frozen=True)
class WeightRole:
    """One compressible weight of a layer.

    Attributes:
        name: the attribute that holds it, dotted where it is deeper (`cell.kernel`).
        channel_axis: the axis, or axes, whose entries each have their own scale on a device: the
            outputs of a kernel `[inputs, outputs]` (1) or `[h, w, in, out]` (3), the rows of a
            table `[ids, width]` (0). None: the matrix is multiplied in both directions, and has
            one scale.
        lookup: whether its rows are looked up (a table) rather than multiplied.
        operator: what computes with it in a file, e.g. CONV_2D; empty: not known.
    """

    name: str
    channel_axis: Axes
    lookup: bool = False
    operator: str = ""

    def below(self, owner: str) -> WeightRole:
        """The same weight, named from one level above."""
        return replace(self, name=f"{owner}.{self.name}")


Roles = tuple[WeightRole, ...]
_ROLES: dict[type, Callable[[Any], Roles]] = {}


def declare(layer_class: type, roles: Callable[[Any], Roles], whole: bool = False) -> None:
    """Declares the weights of a class as a function of its layer.

    With `whole` the layers inside it are no layers of their own to specs and plans.
    """
    _ROLES[layer_class] = roles
    if whole:
        take_whole(layer_class)


def register_weights(layer_class: type, **channel_axes: Axes) -> None:
    """Declares the compressible weights of a layer class: attribute name to channel axis.

    A channel axis of 0 declares a table, whose rows are looked up. Several axes are a tuple. None
    means one scale for the whole matrix, whatever a spec asks: for a matrix that is multiplied in
    both directions, channels of one are none of the other. A weight of a layer inside is named
    with dots, `**{"cell.kernel": 1}`; the layer then counts as one, and rules are for it.

    Raises:
        SpecError: no weight named, or a channel axis that is no number from 0, nor a tuple of
            them, nor None.

    Example:
        >>> import tfcompress as tfc
        >>> from tfcompress.keras import keras
        >>> class MyDense(keras.layers.Dense):
        ...     pass
        >>> tfc.register_weights(MyDense, kernel=1)
    """
    if not channel_axes or not all(_is_axes(axis) for axis in channel_axes.values()):
        raise SpecError(
            f"register_weights received {channel_axes!r} for {layer_class.__name__}; expected "
            "weight names with a channel axis from 0, a tuple of axes, or None, such as kernel=1."
        )
    roles = tuple(WeightRole(name, axis, axis == 0) for name, axis in channel_axes.items())
    declare(layer_class, lambda layer: roles, whole=any("." in name for name in channel_axes))


def _is_axes(axis: Any) -> bool:
    if axis is None:
        return True
    if not isinstance(axis, (int, tuple)):
        return False
    numbers = axes_of(axis)
    return bool(numbers) and all(isinstance(n, int) and n >= 0 for n in numbers)


def weight_roles(layer: Any) -> Roles:
    """The compressible weights of a layer; empty where its class declares none."""
    for cls in type(layer).__mro__:
        if cls in _ROLES:
            return _ROLES[cls](layer)
    return ()


def place_of(layer: Any, name: str) -> tuple[dict[str, Any], str]:
    """The attributes among which a weight is held, and its name there."""
    *owners, last = name.split(".")
    for owner in owners:
        layer = getattr(layer, owner)
    return vars(layer), last


def weight_of(layer: Any, name: str) -> Any:
    """The weight of that name, as it is held, past what a wrapper makes of it."""
    attributes, last = place_of(layer, name)
    return attributes[last]
