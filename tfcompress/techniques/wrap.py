"""Adding a transform to every compressible matrix of a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfcompress.layers import Compressed, WeightRole, weight_roles


def with_transforms(layer: Any, make: Callable[[WeightRole], Any]) -> Any:
    """The layer in a `Compressed` wrapper, with one more transform behind each matrix's others."""
    wrapper = layer if isinstance(layer, Compressed) else Compressed(layer, {})
    for role in weight_roles(wrapper.layer):
        wrapper.add_transform(role.name, make(role))
    return wrapper


def has_transform(layer: Any, kind: type) -> bool:
    """Whether the layer is wrapped and one of its transforms is of this kind."""
    return isinstance(layer, Compressed) and any(
        isinstance(transform, kind) for chain in layer.transforms.values() for transform in chain
    )
