"""Shrink: whole units, filters, heads and dimensions are removed, and smaller layers built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.measure import LayerForm
from tfcompress.spec import JointTechnique, Outcome
from tfcompress.techniques.cuttable import kinds_in
from tfcompress.techniques.decide import decide
from tfcompress.techniques.importance import ByNorm, Importance
from tfcompress.techniques.reform import reformed


@dataclass(frozen=True)
class Shrink(JointTechnique):
    """Removes the least important units of a layer, and builds smaller layers of what is left.

    Structured pruning. A unit is an output of a Dense layer or a convolution, a unit of an RNN, a
    dimension of an Embedding, a head of a MultiHeadAttention. What is removed is followed through
    the graphs of Sequential and Functional models, also of those held in models of other kinds
    (Fang et al., "DepGraph: Towards Any Structural Pruning", 2023): normalizations lose their
    entries, layers that read a unit lose their inputs, and layers whose outputs are added lose the
    same units, for which all of them must be asked alike.

    The result computes what the model computes in which every removed unit is multiplied by zero
    right where a layer with a kernel reads it, in the recurrence of an RNN as well; no constant
    that a bias or normalization would send on is left of it.

    Args:
        keep: share of the units to keep, 0 < keep <= 1; 1 leaves the layer as it is. Where only a
            part of a layer is added to another, it is a share of each part.
        multiple: the number kept is rounded up to a multiple of this.
        minimum: keep at least so many.
        importance: which units are kept: `ByNorm(order)`, `ByScale()`, `ByActivation(measured)`.

    Raises:
        SpecError: a field out of range.

    Example:
        >>> Shrink(keep=0.5, multiple=8).left(20)
        16
    """

    keep: float
    multiple: int = 1
    minimum: int = 1
    importance: Importance = field(default_factory=ByNorm)

    def __post_init__(self) -> None:
        if not 0.0 < self.keep <= 1.0:
            raise SpecError(
                f"Shrink received keep={self.keep}; expected 0 < keep <= 1. "
                "A layer without any units is better removed."
            )
        for name in ("multiple", "minimum"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SpecError(
                    f"Shrink received {name}={value!r}; expected a whole number from 1."
                )
        if not isinstance(self.importance, Importance):
            raise SpecError(
                f"Shrink received importance={self.importance!r}; expected ByNorm(order), "
                "ByScale() or ByActivation(measured)."
            )

    def left(self, count: int) -> int:
        """How many of so many units are kept."""
        wanted = max(self.keep * count - 1e-9, self.minimum)  # 0.7 * 10 is above 7
        return min(count, math.ceil(wanted / self.multiple) * self.multiple)

    @classmethod
    def plan_together(
        cls, model: Any, forms: Mapping[int, LayerForm], asked: Mapping[int, Any]
    ) -> dict[int, Outcome]:
        """What becomes of the layers asked for, and of those that read their units."""
        kinds = kinds_in(model, forms)
        decision = decide(model, kinds, asked)
        notes = decision.notes
        found = {
            key: Outcome(forms[key], decision.skips.get(key), notes.get(key, ())) for key in asked
        }
        for key, (layer, form) in reformed(decision.cuts, kinds, forms).items():
            found[key] = Outcome(form, decision.skips.get(key), notes.get(id(layer), ()))
        return found

    @classmethod
    def apply_together(cls, model: Any, asked: Mapping[int, Any]) -> list[tuple[Any, Any]]:
        """Every layer that loses units or inputs, with the smaller one."""
        cuts = decide(model, kinds_in(model, {}), asked).cuts
        return [(layer, cuts.rebuilt(layer)) for layer in cuts.layers()]
