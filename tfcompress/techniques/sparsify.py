"""Sparsify: weights are dropped once, by a threshold or by chance, and what is left trains on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.layers import Kept, Mask
from tfcompress.layers.compressed import raw
from tfcompress.layers.pruning import ByProbability, Threshold
from tfcompress.layers.weights import weight_of
from tfcompress.layers.zeroing import zeros
from tfcompress.measure import LayerForm
from tfcompress.spec import Skip, Technique
from tfcompress.techniques.prune import at_hand
from tfcompress.techniques.wrap import has_transform, with_transforms

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sparsify(Technique):
    """Drops weights of every matrix of a layer where it is applied; the zeros stay.

    `Prune` ranks weights and may take its time; this draws them, or cuts at a limit, once. With
    `save_sparse` only what is not zero is stored.

    Args:
        how: `ByProbability(sparsity)`, or a threshold: `Absolute(theta)`, `OfMax(alpha)` or
            `OfMean(k)`, each for a matrix by itself.

    Raises:
        SpecError: something else.

    Example:
        >>> from tfcompress import ByProbability
        >>> Sparsify(ByProbability(sparsity=0.9, seed=7))
        Sparsify(how=ByProbability(sparsity=0.9, seed=7, rescale=False))
    """

    how: ByProbability | Threshold

    def __post_init__(self) -> None:
        if not isinstance(self.how, (ByProbability, Threshold)):
            raise SpecError(
                f"Sparsify received how={self.how!r}; expected ByProbability(sparsity), "
                "Absolute(theta), OfMax(alpha) or OfMean(k). For a share of the smallest weights "
                "use Prune(sparsity)."
            )

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form with the zeros that there will be, counted, or why not."""
        if has_transform(form.layer, Mask) or has_transform(form.layer, Kept):
            return Skip("it is pruned already")
        if any(weight.sparsity for weight in form.weights):
            return Skip("Prune decides which of its weights are zero")
        if not at_hand(form):
            return Skip(
                "it looks at the layer's weights, which another technique of the spec is yet to "
                "make; apply that first, then Sparsify"
            )
        weights = []
        for weight in form.weights:
            sparsity = 0.0 if self.how.neutral else zeros(self._factors(form.layer)(weight.name))
            if sparsity >= 1.0:
                return Skip(f"no weight of its {weight.name} would be left")
            weights.append(replace(weight, sparsity=sparsity))
        return replace(form, weights=tuple(weights))

    def _factors(self, layer: Any) -> Callable[[str], Array]:
        inner = raw(layer)
        return lambda name: self.how.factors(np.asarray(weight_of(inner, name)))

    def apply(self, layer: Any) -> Any:
        """The layer with its weights dropped, and the zeros held."""
        if self.how.neutral:
            return layer
        factors = self._factors(layer)
        chosen: dict[str, Array] = {}

        def kept(role: Any) -> Kept:
            chosen[role.name] = factors(role.name)
            return Kept(self.how, chosen[role.name] != 0)

        wrapper = with_transforms(layer, kept)
        for name, factor in chosen.items():
            variable = weight_of(wrapper.layer, name)
            variable.assign(np.asarray(variable) * factor)
        return wrapper
