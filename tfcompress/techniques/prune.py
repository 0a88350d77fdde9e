"""Prune: the least important weights become zero, and stay zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tfcompress.calibration import is_recorded
from tfcompress.errors import SpecError
from tfcompress.layers import Kept, Mask, weight_roles
from tfcompress.layers.compressed import raw
from tfcompress.layers.pruning import (
    Amount,
    Importance,
    Magnitude,
    NofM,
    Pattern,
    PerLayer,
    Scope,
    Threshold,
    amount_of,
    pattern_of,
)
from tfcompress.layers.weights import weight_of
from tfcompress.layers.zeroing import zeros
from tfcompress.measure import LayerForm, WeightForm
from tfcompress.schedules import Followed, Once, PolynomialDecay, Schedule
from tfcompress.spec import Skip, Technique
from tfcompress.techniques.wrap import has_transform, with_transforms

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, repr=False)
class Prune(Technique):
    """Sets the least important weights to zero, in every matrix of a layer.

    Han et al., "Learning both Weights and Connections" (2015); Zhu and Gupta, "To prune, or not to
    prune" (2017) for the schedules. A kernel `[h, w, in, out]` is the matrix `[h * w * in, out]`.

    Args:
        sparsity: share of zeros in the end, 0 <= sparsity < 1; or a threshold: `Absolute(theta)`,
            `OfMax(alpha)` or `OfMean(k)`, below which weights go.
        block: rows and columns of the Keras kernel pruned together, (1, 1) for single weights; or
            `NofM(n, m)`.
        schedule: `Once()`, `ConstantSparsity(...)` or `PolynomialDecay(...)`, in training steps; or
            `Followed()`, which takes `sparsity` as the most.
        importance: `Magnitude()`, or `Activation()`, which wants a calibration.
        scope: among which weights the amount is counted: `PerLayer()`, `PerOutput()`, or `Global()`
            for all layers of the rule together.

    Raises:
        SpecError: a field out of range or of another kind, or a threshold with a `PolynomialDecay`
            or `Followed`, which raise a share.

    Example:
        >>> Prune(sparsity=0.8, block=(16, 1)).block
        (16, 1)
        >>> from tfcompress import Global, OfMean
        >>> Prune(OfMean(0.5), scope=Global())
        Prune(sparsity=OfMean(k=0.5), block=(1, 1), schedule=Once(), scope=Global())
    """

    sparsity: float | Threshold
    block: tuple[int, int] | NofM = (1, 1)
    schedule: Schedule = field(default_factory=Once)
    importance: Importance = field(default_factory=Magnitude)
    scope: Scope = field(default_factory=PerLayer)

    def __post_init__(self) -> None:
        self._check_amount()
        if not isinstance(self.block, Pattern):
            object.__setattr__(self, "block", tuple(self.block))
            _check_block(tuple(self.block))
        kinds = {
            "schedule": (Schedule, "Once(), ConstantSparsity, PolynomialDecay or Followed()"),
            "importance": (Importance, "Magnitude() or Activation(...)"),
            "scope": (Scope, "PerLayer(), PerOutput() or Global()"),
        }
        for name, (kind, expected) in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise SpecError(
                    f"Prune received {name}={getattr(self, name)!r}; expected {expected}."
                )
        if isinstance(self.schedule, (PolynomialDecay, Followed)) and not self._amount.grows:
            raise SpecError(
                f"Prune received {self.sparsity!r} with {self.schedule!r}, which raises a share of "
                "zeros step by step; expected a number for sparsity, or Once() or "
                "ConstantSparsity(...) with a threshold."
            )

    def _check_amount(self) -> None:
        if isinstance(self.sparsity, Threshold):
            return
        if isinstance(self.sparsity, Amount) or not 0.0 <= self.sparsity < 1.0:
            raise SpecError(
                f"Prune received sparsity={self.sparsity}; expected 0 <= sparsity < 1, or "
                "Absolute(theta), OfMax(alpha) or OfMean(k). "
                "A layer without any weights is better removed."
            )

    def __repr__(self) -> str:
        more = ("importance", "scope")
        shown = ["sparsity", "block", "schedule"]
        shown += [name for name in more if getattr(self, name) != getattr(_PLAIN, name)]
        return f"Prune({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    @property
    def _amount(self) -> Amount:
        return amount_of(self.sparsity)

    @property
    def _neutral(self) -> bool:
        return self._amount.neutral and pattern_of(self.block).neutral

    def prepare(self, forms: Sequence[LayerForm]) -> list[Technique | Skip]:
        """For each layer of a rule what was decided for all of them, or why it is left."""
        reasons = [self._why_not(form) for form in forms]
        open_forms = [form for form, reason in zip(forms, reasons, strict=True) if reason is None]
        weights = [(form, weight) for form in open_forms for weight in form.weights]
        measures = [lambda f=f, w=w: self._parts(f, w) for f, w in weights]
        scopes = iter(self.scope.assigned(self._amount, measures))
        return [
            Skip(reason) if reason is not None else self._chosen(form, scopes)
            for form, reason in zip(forms, reasons, strict=True)
        ]

    def _chosen(self, form: LayerForm, scopes: Any) -> Technique | Skip:
        own = {weight.name: next(scopes) for weight in form.weights}
        if not (self.scope.looks or self.importance.looks):
            return self
        chosen = Chosen(self, own, self.importance.factors(form.inputs))
        result = chosen.plan(form)
        return result if isinstance(result, Skip) else chosen

    def _parts(self, form: LayerForm, weight: WeightForm) -> Array:
        mask = self.mask(weight.channel_axis, self.scope, self.importance.factors(form.inputs))
        return mask.parts(weight_of(raw(form.layer), weight.name))

    def _why_not(self, form: LayerForm) -> str | None:
        if has_transform(form.layer, Mask) or has_transform(form.layer, Kept):
            return "it is pruned already"
        for weight in form.weights:
            mask = self.mask(weight.channel_axis, self.scope, None)
            axis = mask.input_axis(len(weight.shape))
            reason = pattern_of(self.block).why_not(*weight.matrix, axis)
            if reason is not None:
                return reason
        looking = [x for x in (self._amount, self.importance, self.scope) if x.looks]
        if looking and not at_hand(form):
            return (
                f"{looking[0]!r} looks at its weights, which another technique of the spec is yet "
                "to make; apply that first, then Prune"
            )
        return self._why_not_weighed(form) if self.importance.looks else None

    def _why_not_weighed(self, form: LayerForm) -> str | None:
        if not is_recorded(form.layer):
            return f"what enters the weights of {form.kind} is not recorded by calibrate"
        if form.inputs is None:
            raise SpecError(
                f"Prune received {self.importance!r} for the layer {form.path!r}, and no "
                "calibration of it; expected what the layer sees. Call plan and apply with "
                "calibration=tfcompress.calibrate(model, batches)."
            )
        if form.inputs.count == 0:
            return "it was not called in the calibration, so that what enters it is not known"
        rows, seen = form.weights[0].matrix[0], len(form.inputs.mean_squares())
        return None if rows == seen else f"its {rows} rows are not the {seen} inputs recorded"

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form with its share of zeros, or why not; a `Global` scope is this layer's alone."""
        reason = self._why_not(form)
        if reason is not None:
            return Skip(reason)
        if self.scope.looks or self.importance.looks:
            (decided,) = self.prepare([form])
            return decided if isinstance(decided, Skip) else decided.plan(form)
        return self.planned(form, dict.fromkeys((w.name for w in form.weights), self.scope), None)

    def planned(
        self, form: LayerForm, scopes: dict[str, Scope], factors: Array | None
    ) -> LayerForm | Skip:
        """The form with the zeros that these scopes make."""
        weights = []
        for weight in form.weights:
            whole = scopes[weight.name].amount(self._amount).target >= 1.0  # no schedule gets there
            sparsity = 1.0 if whole else self._zeros(form, weight, scopes[weight.name], factors)
            if sparsity >= 1.0:
                return Skip(f"no weight of its {weight.name} would be left")
            weights.append(replace(weight, sparsity=sparsity))
        return replace(form, weights=tuple(weights))

    def _zeros(
        self, form: LayerForm, weight: WeightForm, scope: Scope, factors: Array | None
    ) -> float:
        if self._neutral:
            return 0.0
        mask = self.mask(weight.channel_axis, scope, factors)
        if at_hand(form) and (mask.settled or self._amount.looks):
            return zeros(mask.mask_of(weight_of(raw(form.layer), weight.name)))
        axis, pattern = mask.input_axis(len(weight.shape)), pattern_of(self.block)
        taken = scope.planned(scope.amount(self._amount), pattern.parts(*weight.matrix), axis)
        return max(taken, pattern.least(weight.matrix[axis]))

    def mask(self, channel_axis: Any, scope: Scope, factors: Array | None) -> Mask:
        """The mask of one matrix."""
        rest = self.schedule, channel_axis, self.importance, scope
        mask = Mask(self.sparsity, self.block, *rest)
        mask.factors = factors
        return mask

    def apply(self, layer: Any) -> Any:
        """The layer under a mask; a `Global` scope is this layer's alone.

        Raises:
            SpecError: an importance that wants what the layer saw.
        """
        if self._neutral:
            return layer
        form = LayerForm(layer.name, layer, type(layer).__name__, weight_forms(layer))
        decided = self.prepare([form])[0] if self.scope.looks or self.importance.looks else self
        if isinstance(decided, Skip):
            raise SpecError(f"Prune cannot prune {layer.name!r}: {decided.reason}.")
        if isinstance(decided, Chosen):
            return decided.apply(layer)
        return with_transforms(layer, lambda role: self.mask(role.channel_axis, self.scope, None))


@dataclass(frozen=True, repr=False, eq=False)
class Chosen(Technique, written=False):
    """A Prune for one layer, with what was decided for it among those of its rule.

    Attributes:
        technique: what is done.
        scopes: for the name of each matrix.
        factors: by what its rows count, or None.
    """

    technique: Prune
    scopes: dict[str, Scope]
    factors: Array | None

    @property
    def kind(self) -> type[Technique]:
        """That of the technique."""
        return self.technique.kind

    def __repr__(self) -> str:
        return repr(self.technique)

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form with its share of zeros."""
        return self.technique.planned(form, self.scopes, self.factors)

    def apply(self, layer: Any) -> Any:
        """The layer under its masks."""
        one = self.technique
        return with_transforms(
            layer, lambda role: one.mask(role.channel_axis, self.scopes[role.name], self.factors)
        )


def weight_forms(layer: Any) -> tuple[WeightForm, ...]:
    """The forms of a layer's own matrices, as far as a mask asks."""
    inner = raw(layer)
    return tuple(
        WeightForm(
            role.name, tuple(weight_of(inner, role.name).shape), role.channel_axis, role.lookup
        )
        for role in weight_roles(inner)
    )


def at_hand(form: LayerForm) -> bool:
    """Whether the weights of a form are those that its layer has now."""
    now = {w.name: w.shape for w in weight_forms(form.layer)}
    return bool(form.weights) and all(now.get(w.name) == w.shape for w in form.weights)


def _check_block(block: tuple[Any, ...]) -> None:
    if len(block) != 2 or any(not isinstance(n, int) or n < 1 for n in block):
        raise SpecError(
            f"Prune received block={block}; expected two whole numbers from 1, or NofM(n, m)."
        )


_PLAIN = Prune(0.0)
