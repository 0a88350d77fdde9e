"""Plan: what a spec will do to each layer of a model, or why nothing; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, overload

from tfcompress.calibration import Calibration
from tfcompress.errors import SpecError
from tfcompress.keras import keras
from tfcompress.layers import weight_roles
from tfcompress.layers.compressed import raw
from tfcompress.layers.forms import form_of, own_weights
from tfcompress.layers.lookups import LOOKUPS, OUTSIDE
from tfcompress.layers.positions import input_shape
from tfcompress.measure import LayerForm
from tfcompress.spec import JointTechnique, Rule, Skip, Spec, Technique
from tfcompress.surgery import Held, children, walk
from tfcompress.techniques import TECHNIQUES
from tfcompress.techniques.folding import scales_as_folded
from tfcompress.techniques.readers import Graph
from tfcompress.tune import Space

if TYPE_CHECKING:
    from tfcompress.outcomes import Outcomes


@dataclass(frozen=True)
class LayerPlan:
    """What happens to one layer.

    Attributes:
        before: its form now.
        after: its form after the steps.
        steps: the techniques to apply, in order.
        skipped: for techniques that were asked for and not done, or for the whole layer, why.
        notes: what joint techniques, or export, do to it besides, whether or not a rule is for it.
    """

    before: LayerForm
    after: LayerForm
    steps: tuple[Technique, ...]
    skipped: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Where the layer is held."""
        return self.before.path

    def repeated(self, times: int) -> LayerPlan:
        """The same for a layer that is called so many times for an example."""
        before = replace(self.before, positions=self.before.positions * times)
        after = replace(self.after, positions=self.after.positions * times)
        return replace(self, before=before, after=after)

    def in_a_file(self, graph: Graph) -> LayerPlan:
        """The same with the scales that a file has, where the layers behind it make them others."""
        before, after = (scales_as_folded(form, graph) for form in (self.before, self.after))
        return replace(self, before=before, after=after)

    def to_data(self) -> dict[str, Any]:
        """The row as plain data."""
        return {
            "path": self.path,
            "type": self.before.kind,
            "steps": [repr(step) for step in self.steps],
            "skipped": list(self.skipped),
            "notes": list(self.notes),
            "bytes_before": self.before.bytes,
            "bytes_after": self.after.bytes,
            "sparse_bytes": self.after.sparse_bytes,
            "sparsity": [weight.sparsity for weight in self.after.weights],
            "multiply_adds_before": self.before.multiply_adds,
            "multiply_adds_after": self.after.multiply_adds,
        }


@dataclass(frozen=True)
class Plan:
    """What happens to every layer that has weights, looks tokens up, or that a rule is for.

    Attributes:
        layers: one entry a layer, shared layers once.
    """

    layers: tuple[LayerPlan, ...]

    @property
    def bytes_before(self) -> int:
        """Bytes of all weights as they are stored now."""
        return sum(layer.before.bytes for layer in self.layers)

    @property
    def bytes_after(self) -> int:
        """Bytes of all weights, scales included, as they will be stored; graph not included."""
        return sum(layer.after.bytes for layer in self.layers)

    def to_data(self) -> list[dict[str, Any]]:
        """The plan as plain data, a row a layer."""
        return [layer.to_data() for layer in self.layers]

    def __str__(self) -> str:
        from tfcompress.report import plan_text

        return plan_text(self)


@overload
def plan(model: Any, spec: Spec, calibration: Calibration | None = None) -> Plan: ...


@overload
def plan(model: Any, spec: Space, calibration: Calibration | None = None) -> Outcomes: ...


def plan(model: Any, spec: Spec | Space, calibration: Calibration | None = None) -> Plan | Outcomes:
    """What `apply(model, spec)` would do to each layer, with bytes and multiply-adds.

    Args:
        model: a built Keras model of any kind.
        spec: what is wanted; or a `Space`, of which the smallest and largest outcome are shown.
        calibration: what the layers see, for techniques that ask for it; see `calibrate`.

    Returns:
        A `Plan`, or the `Outcomes` of a space; it prints as a table.

    Raises:
        SpecError: a rule that matches no layer, rules that contradict each other, a layer that is
            not built yet, or what a technique refuses.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(64,), name="head")])
        >>> planned = tfc.plan(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))]))
        >>> planned.layers[0].path, planned.bytes_before, planned.bytes_after
        ('head', 2080, 640)
    """
    if isinstance(spec, Space):
        from tfcompress.outcomes import outcomes

        return outcomes(model, spec, calibration)
    if not isinstance(spec, Spec):
        raise SpecError(f"plan received {spec!r}; expected a Spec: Spec([rule(where, technique)]).")
    held = walk(model)
    asked = _asked(spec, held)
    wanted = {id(item.layer) for _, items in asked for item in items}
    drafts = {
        id(item.layer): _draft(item, id(item.layer) in wanted, calibration)
        for item in held
        if id(item.layer) in wanted or own_weights(item.layer) or isinstance(item.layer, LOOKUPS)
    }
    for kind, group in groupby(asked, key=lambda pair: type(pair[0])):
        if issubclass(kind, JointTechnique):
            _carry_together(model, kind, list(group), drafts)
            continue
        for technique, items in group:
            _carry(technique, [drafts[id(item.layer)] for item in items])
    times, graph = _time_steps(held), Graph(model)
    rows = {key: draft.row().in_a_file(graph) for key, draft in drafts.items()}
    return Plan(tuple(row.repeated(times.get(key, 1)) for key, row in rows.items()))


def _time_steps(held: list[Held]) -> dict[int, int]:
    """How often TimeDistributed calls the layer in it, by the layer's identity."""
    steps = {}
    for item in held:
        if isinstance(item.layer, keras.layers.TimeDistributed):
            shape = input_shape(item.layer) or (None, None)
            steps[id(item.layer.layer)] = shape[1] or 1
    return steps


_Asked = list[tuple[Technique, list[Held]]]


def _asked(spec: Spec, held: list[Held]) -> _Asked:
    """Every technique of every rule with its layers, in the order in which they are applied."""
    wanted: dict[int, dict[type, Technique]] = {}
    asked: _Asked = []
    for one in spec.rules:
        matched = [item for item in held if one.where(item.info)]
        if not matched:
            paths = ", ".join(item.path for item in held)
            raise SpecError(
                f"The rule {one!r} matches no layer; expected at least one. The layers: {paths}."
            )
        new = [(item, _added(wanted.setdefault(id(item.layer), {}), one, item)) for item in matched]
        for technique in one.techniques:
            asked.append((technique, [item for item, added in new if technique in added]))
    unknown = [
        type(technique).__name__ for technique, _ in asked if type(technique) not in TECHNIQUES
    ]
    if unknown:
        known = [kind.__name__ for kind in TECHNIQUES]
        raise SpecError(f"Received the technique {unknown[0]}; expected one of {known}.")
    return sorted(asked, key=lambda pair: TECHNIQUES.index(type(pair[0])))


def _added(asked: dict[type, Technique], one: Rule, item: Held) -> list[Technique]:
    added = []
    for technique in one.techniques:
        if type(technique) not in asked:
            added.append(technique)
        other = asked.setdefault(type(technique), technique)
        if other != technique:
            raise SpecError(
                f"Contradictory rules for the layer {item.path!r}: {other!r} and {technique!r}; "
                "expected one setting. Narrow one of the rules, e.g. with & ~by_name(...)."
            )
    return added


@dataclass
class _Draft:
    """A row in the making."""

    before: LayerForm
    after: LayerForm
    reason: str | None  # why techniques have nothing to work on, unless they know the layer
    steps: list[Technique] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def open_for(self, technique: Technique) -> bool:
        if self.reason is None or self.after.weights or technique.knows(self.before.layer):
            return True
        if self.reason not in self.skipped:
            self.skipped.append(self.reason)
        return False

    def add(self, asked: Technique, decided: Technique | Skip) -> None:
        result = decided if isinstance(decided, Skip) else decided.plan(self.after)
        if isinstance(result, Skip):
            self.skipped.append(f"{type(asked).__name__}: {result.reason}")
        elif not isinstance(decided, Skip):
            self.steps.append(decided)
            self.after = result

    def row(self) -> LayerPlan:
        steps, skipped, notes = tuple(self.steps), tuple(self.skipped), tuple(self.notes)
        return LayerPlan(self.before, self.after, steps, skipped, notes)


def _draft(item: Held, asked: bool, calibration: Calibration | None) -> _Draft:
    form = form_of(item)
    notes = [OUTSIDE] if isinstance(item.layer, LOOKUPS) else []
    if not asked:
        return _Draft(form, form, None, skipped=["no rule is for it"], notes=notes)
    if calibration is not None:
        inputs, harm = calibration.inputs.get(item.path), calibration.harm.get(item.path)
        form = replace(form, inputs=inputs, harm=harm)
    return _Draft(form, form, _why_not(item), notes=notes)


def _carry(technique: Technique, drafts: list[_Draft]) -> None:
    taken = [draft for draft in drafts if draft.open_for(technique)]
    decided = technique.prepare([draft.after for draft in taken])
    for draft, one in zip(taken, decided, strict=True):
        draft.add(technique, one)


def _carry_together(
    model: Any, kind: type[JointTechnique], group: _Asked, drafts: dict[int, _Draft]
) -> None:
    asked = {id(item.layer): technique for technique, items in group for item in items}
    forms = {key: draft.after for key, draft in drafts.items()}
    for key, outcome in kind.plan_together(model, forms, asked).items():
        draft = drafts[key]
        draft.notes.extend(outcome.notes)
        draft.after = outcome.form
        if key in asked and outcome.skip is not None:
            draft.skipped.append(f"{kind.__name__}: {outcome.skip.reason}")
        elif key in asked:
            draft.steps.append(asked[key])


def _why_not(item: Held) -> str | None:
    layer = item.layer
    if not weight_roles(raw(layer)):
        if children(layer):
            return "it holds other layers; write a rule for those"
        if not own_weights(layer) and layer.built:
            return "it has no weights"
        return (
            f"{type(raw(layer)).__name__} declares no compressible weights; "
            "see tfcompress.register_weights"
        )
    if not layer.built:
        raise SpecError(
            f"The layer {item.path!r} is not built; expected weights to compress. "
            "Call the model once on a batch first."
        )
    return None
