"""What a plan says of layers that lose units or inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfcompress.layers.positions import is_kernel
from tfcompress.measure import LayerForm
from tfcompress.surgery.dependencies import Cuts, Kind, attribute, owner

Shape = tuple[int, ...]


def reformed(
    cuts: Cuts, kinds: Mapping[int, Kind | None], forms: Mapping[int, LayerForm]
) -> dict[int, tuple[Any, LayerForm]]:
    """The forms that change, by the identity of the layer that has the weights.

    Beside each is the layer that is cut, which may have those weights in a layer inside it.

    Args:
        cuts: what is left of each layer.
        kinds: by identity, how a layer is cut.
        forms: by identity, the forms before.
    """
    found: dict[int, tuple[Any, LayerForm]] = {}
    for layer in cuts.layers():
        changes: dict[int, list[_Change]] = {}
        for key, change in _changes(cuts, kinds[id(layer)], layer, forms):
            changes.setdefault(key, []).append(change)
        for key, several in changes.items():
            found[key] = layer, _changed(forms[key], several)
    return found


@dataclass(frozen=True)
class _Change:
    name: str
    before: Shape
    after: Shape

    @property
    def parameters(self) -> tuple[int, int]:
        """Before and after."""
        return int(np.prod(self.before)), int(np.prod(self.after))


def _changes(
    cuts: Cuts, kind: Kind | None, layer: Any, forms: Mapping[int, LayerForm]
) -> list[tuple[int, _Change]]:
    found = []
    for path, axes in kind.weights(layer).items() if kind is not None else ():
        holder, name = owner(layer, path), path.rpartition(".")[2]
        key = id(holder) if id(holder) in forms else id(layer)
        declared = {weight.name: weight.shape for weight in forms[key].weights}
        name = path if path in declared else name  # of a recurrent layer: `cell.kernel`
        value = attribute(layer, path)
        if name in declared and len(declared[name]) == len(axes):
            before: Shape = declared[name]
        elif value is not None:
            before = tuple(int(size) for size in value.shape)
        else:
            continue
        found.append((key, _Change(name, before, cuts.shape(layer, axes, before))))
    return found


def _changed(form: LayerForm, changes: list[_Change]) -> LayerForm:
    by_name = {change.name: change for change in changes}
    declared = {weight.name for weight in form.weights}
    weights = tuple(
        replace(w, shape=_viewed(w.shape, by_name[w.name])) if w.name in by_name else w
        for w in form.weights
    )
    others = [change for change in changes if change.name not in declared]
    lost = sum(before - after for before, after in (c.parameters for c in others))
    kernels = [change.parameters for change in others if is_kernel(change.name)]
    was, now = (sum(column) for column in zip(*kernels, strict=True)) if kernels else (1, 1)
    cost = form.other_multiply_adds * now // was
    return replace(form, weights=weights, other=form.other - lost, other_multiply_adds=cost)


def _viewed(shape: Shape, change: _Change) -> Any:
    # A kernel of more axes may be declared as a matrix: some axes are its rows, the others its
    # columns.
    if len(shape) == len(change.before):
        return change.after
    split = next(
        (n for n in range(1, len(change.before)) if np.prod(change.before[n:]) == shape[-1]),
        len(change.before) - 1,
    )
    return int(np.prod(change.after[:split])), int(np.prod(change.after[split:]))
