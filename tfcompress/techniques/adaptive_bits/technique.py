"""AdaptiveBits: for each layer of a rule its own bits, together within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.measure import FLOAT_BITS, LayerForm
from tfcompress.spec import Skip, Technique
from tfcompress.techniques.adaptive_bits.allocate import allocate_bits
from tfcompress.techniques.adaptive_bits.harm import weight_harm
from tfcompress.techniques.factorize.budgets import Budget
from tfcompress.techniques.quantize import AbsMax, Granularity, PerChannel, Quantize, Scale

Array = np.ndarray[Any, Any]
_HALF_BITS = 16
_WITHOUT_GRID = (_HALF_BITS, FLOAT_BITS)  # what granularity and scale say nothing of


@dataclass(frozen=True)
class AdaptiveBits(Technique):
    """A `Quantize` for each layer of a rule, its bits chosen so that all together harm least.

    The bytes of all matrices of the rule, scales included, keep to the budget; biases and layers
    that are left out are not counted. The choice is the best there is (`allocate_bits`). What a
    layer's bits harm is what `measure_harm` found for this layer alone, given as `calibration` to
    `plan` and `apply`; harms are added up as if layers did not know of each other. Without it, it
    is the squared error of the layer's weights, as a share of their squares. After Dong et al.,
    "HAWQ-V2" (2020), whose sensitivities are traces of Hessians.

    The plan shows the `Quantize` that each layer gets. A layer with a `Quantize` of its own keeps
    to that and is not counted. A layer that another technique of the same spec makes anew has no
    weights yet to look at: apply that one first. Masks of the same spec are not yet on them.

    Args:
        budget: `ByteBudget(bytes)`, or `BudgetShare(share)` of the bytes in float32.
        bits: to choose from: some of 2, 3, 4, 8, 16 and 32. 32 leaves a layer as it is; 3 take the
            bytes of 4. What the operator of a layer cannot hold is not chosen for it.
        granularity: as in `Quantize`, of grids; with `PerBlock` leave out 2 bits.
        scale: as in `Quantize`, of grids. A `Learned` one is seen as training would start from it.

    Raises:
        SpecError: a field out of range; in `plan`, a budget that cannot be reached, or a harm that
            was measured for some of the layers only.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(64, input_shape=(32,), name="wide")])
        >>> model.add(keras.layers.Dense(64, name="second"))
        >>> spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), AdaptiveBits(tfc.BudgetShare(0.2)))])
        >>> [row.steps[0].bits for row in tfc.plan(model, spec).layers]
        [4, 4]
    """

    budget: Budget
    bits: tuple[int, ...] = (2, 4, 8, _HALF_BITS, FLOAT_BITS)
    granularity: Granularity = field(default_factory=PerChannel)
    scale: Scale = field(default_factory=AbsMax)

    def __post_init__(self) -> None:
        if not isinstance(self.budget, Budget):
            raise SpecError(
                f"AdaptiveBits received budget={self.budget!r}; expected ByteBudget(bytes) or "
                "BudgetShare(share)."
            )
        if not isinstance(self.bits, (tuple, list)) or not self.bits:
            raise SpecError(
                f"AdaptiveBits received bits={self.bits!r}; expected a tuple of some of "
                "2, 3, 4, 8, 16 and 32."
            )
        object.__setattr__(self, "bits", tuple(self.bits))
        if len(set(self.bits)) < len(self.bits):
            raise SpecError(f"AdaptiveBits received bits={self.bits}; expected each of them once.")
        _ = self.candidates  # Quantize checks the rest

    @property
    def candidates(self) -> tuple[Quantize, ...]:
        """What a layer may get."""
        grid = (self.granularity, self.scale)
        return tuple(
            Quantize(bits) if bits in _WITHOUT_GRID else Quantize(bits, *grid) for bits in self.bits
        )

    def prepare(self, forms: Sequence[LayerForm]) -> list[Technique | Skip]:
        """For each layer of a rule its own `Quantize`, or why it is left."""
        refused = [self._why_not(form) for form in forms]
        open_forms = [f for f, reason in zip(forms, refused, strict=True) if reason is None]
        chosen = iter(self._chosen(open_forms) if open_forms else ())
        return [next(chosen) if reason is None else Skip(reason) for reason in refused]

    def _chosen(self, forms: Sequence[LayerForm]) -> list[Technique | Skip]:
        _check_measured(forms)
        options = [self._storable(form) for form in forms]
        costs = [np.array([_bytes(after) for _, after in one]) for one in options]
        harms = [
            np.array([_harm(form, candidate) for candidate, _ in one])
            for form, one in zip(forms, options, strict=True)
        ]
        places = allocate_bits(costs, harms, self._budget(forms, costs))
        chosen = [one[place][0] for one, place in zip(options, places, strict=True)]
        return [_WHOLE if one.bits == FLOAT_BITS else one for one in chosen]

    def _budget(self, forms: Sequence[LayerForm], costs: Sequence[Array]) -> float:
        budget = self.budget.of(sum(_bytes(form) for form in forms))
        least = sum(int(one.min()) for one in costs)
        if least > budget:
            raise SpecError(
                f"{self.budget!r} is too little for {len(forms)} layers; expected at least "
                f"{least:,} bytes, which is the least that bits={self.bits} can reach. Allow more, "
                "or narrow the rule, or have fewer scales: PerTensor()."
            )
        return budget

    def _storable(self, form: LayerForm) -> list[tuple[Quantize, LayerForm]]:
        planned = [(candidate, candidate.plan(form)) for candidate in self.candidates]
        return [(one, after) for one, after in planned if not isinstance(after, Skip)]

    def _why_not(self, form: LayerForm) -> str | None:
        if any(weight.bits < FLOAT_BITS for weight in form.weights):
            return "it is quantized already"
        if not _readable(form):
            return (
                "a technique of the same spec makes its weights anew, and there are none yet to "
                "look at; apply that first, and AdaptiveBits in a spec of its own"
            )
        few = [one.plan(form) for one in self.candidates if one.bits != FLOAT_BITS]
        reasons = [after.reason for after in few if isinstance(after, Skip)]
        if few and len(reasons) == len(few):
            return reasons[-1]
        return None

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form in its bits, or why not; the budget is this layer's alone."""
        (decided,) = self.prepare([form])
        planned: LayerForm | Skip = decided if isinstance(decided, Skip) else decided.plan(form)
        return planned

    def apply(self, layer: Any) -> Any:
        """Refused: the budget is for all layers of a rule.

        Raises:
            SpecError: always.
        """
        raise SpecError(
            f"AdaptiveBits received the layer {layer!r}; expected the layers of a rule, which "
            "share its budget. Use tfcompress.apply(model, spec)."
        )


_WHOLE = Skip("the budget leaves it its 32 bits")


def _bytes(form: LayerForm) -> int:
    return sum(weight.bytes for weight in form.weights)


def _readable(form: LayerForm) -> bool:
    for weight in form.weights:
        try:
            value = form.value(weight.name)
        except AttributeError:
            return False
        if value.shape != weight.shape:
            return False
    return True


def _harm(form: LayerForm, candidate: Quantize) -> float:
    if candidate.bits == FLOAT_BITS:
        return 0.0
    if form.harm is None:
        return weight_harm(form, candidate)
    if candidate not in form.harm:
        raise SpecError(
            f"The harm of {candidate!r} to {form.path!r} was not measured; expected it in the "
            "calibration. Call measure_harm with this AdaptiveBits."
        )
    return float(form.harm[candidate])


def _check_measured(forms: Sequence[LayerForm]) -> None:
    without = [form.path for form in forms if form.harm is None]
    if without and len(without) < len(forms):
        raise SpecError(
            f"The calibration says what bits harm for some layers of a rule, but not for "
            f"{without[0]!r}; expected all of them, for harms of two kinds cannot be compared. "
            "Call measure_harm with a `where` that covers the rule."
        )
