"""Prune: the smallest weights become zero, and stay zero."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.layers import Mask
from tfcompress.measure import LayerForm
from tfcompress.schedules import Once, Schedule
from tfcompress.spec import Skip, Technique
from tfcompress.techniques.wrap import has_transform, with_transforms


@dataclass(frozen=True)
class Prune(Technique):
    """Sets the weights of smallest magnitude to zero, in every matrix of a layer.

    Han et al., "Learning both Weights and Connections" (2015); Zhu and Gupta, "To prune, or not to
    prune" (2017) for the schedules.

    Args:
        sparsity: share of zeros in the end, 0 <= sparsity < 1.
        block: rows and columns of the Keras kernel pruned together; (1, 1) for single weights. A
            kernel `[h, w, in, out]` is the matrix `[h * w * in, out]`.
        schedule: `Once()`, `ConstantSparsity(...)` or `PolynomialDecay(...)`, in training steps.

    Raises:
        SpecError: a sparsity, block or schedule out of range.

    Example:
        >>> Prune(sparsity=0.8, block=(16, 1)).block
        (16, 1)
    """

    sparsity: float
    block: tuple[int, int] = (1, 1)
    schedule: Schedule = field(default_factory=Once)

    def __post_init__(self) -> None:
        object.__setattr__(self, "block", tuple(self.block))
        if not 0.0 <= self.sparsity < 1.0:
            raise SpecError(
                f"Prune received sparsity={self.sparsity}; expected 0 <= sparsity < 1. "
                "A layer without any weights is better removed."
            )
        if len(self.block) != 2 or any(not isinstance(n, int) or n < 1 for n in self.block):
            raise SpecError(
                f"Prune received block={self.block}; expected two whole numbers from 1."
            )
        if not isinstance(self.schedule, Schedule):
            raise SpecError(
                f"Prune received schedule={self.schedule!r}; expected Once(), "
                "ConstantSparsity(...) or PolynomialDecay(...)."
            )

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form with its share of zeros, or why not."""
        if has_transform(form.layer, Mask):
            return Skip("it is pruned already")
        for weight in form.weights:
            rows, columns = weight.matrix
            if rows < self.block[0] or columns < self.block[1]:
                return Skip(f"a block of {self.block} is larger than its {rows}x{columns} matrix")
        return form.with_weights(lambda w: replace(w, sparsity=self.sparsity))

    def apply(self, layer: Any) -> Any:
        """The layer under a mask."""
        if self.sparsity == 0.0:
            return layer
        return with_transforms(
            layer, lambda role: Mask(self.sparsity, self.block, self.schedule, role.channel_axis)
        )
