"""Plan: what a spec will do to each layer of a model, or why nothing; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.layers import Compressed, weight_roles
from tfcompress.layers.compressed import raw
from tfcompress.measure import LayerForm, WeightForm
from tfcompress.spec import JointTechnique, Rule, Skip, Spec, Technique
from tfcompress.surgery import Held, children, walk
from tfcompress.surgery.dependencies import kernel_multiply_adds
from tfcompress.techniques import TECHNIQUES


@dataclass(frozen=True)
class LayerPlan:
    """What happens to one layer.

    Attributes:
        before: its form now.
        after: its form after the steps.
        steps: the techniques to apply, in order.
        skipped: for techniques that were asked for and not done, or for the whole layer, why.
        notes: what joint techniques do to it besides, whether or not a rule is for it.
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
            "multiply_adds_before": self.before.multiply_adds,
            "multiply_adds_after": self.after.multiply_adds,
        }


@dataclass(frozen=True)
class Plan:
    """What happens to every layer that has weights or that a rule is for.

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


def plan(model: Any, spec: Spec) -> Plan:
    """What `apply(model, spec)` would do to each layer, with bytes and multiply-adds.

    Args:
        model: a built Keras model of any kind.
        spec: what is wanted.

    Returns:
        A `Plan`; it prints as a table.

    Raises:
        SpecError: a rule that matches no layer, rules that contradict each other, or a layer that
            is not built yet.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(4,), name="head")])
        >>> planned = tfc.plan(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))]))
        >>> planned.layers[0].path, planned.bytes_before, planned.bytes_after
        ('head', 160, 96)
    """
    if not isinstance(spec, Spec):
        raise SpecError(f"plan received {spec!r}; expected a Spec: Spec([rule(where, technique)]).")
    held = walk(model)
    wanted = _wanted(spec, held)
    drafts = {
        id(item.layer): _Draft(item, wanted.get(id(item.layer), {}))
        for item in held
        if id(item.layer) in wanted or _own_weights(item.layer)
    }
    for kind in TECHNIQUES:
        if issubclass(kind, JointTechnique):
            _plan_together(model, kind, drafts)
        else:
            for draft in drafts.values():
                draft.plan(kind)
    return Plan(tuple(draft.done() for draft in drafts.values()))


def _wanted(spec: Spec, held: list[Held]) -> dict[int, dict[type, Technique]]:
    wanted: dict[int, dict[type, Technique]] = {}
    for one in spec.rules:
        matched = [item for item in held if one.where(item.info)]
        if not matched:
            paths = ", ".join(item.path for item in held)
            raise SpecError(
                f"The rule {one!r} matches no layer; expected at least one. The layers: {paths}."
            )
        for item in matched:
            _add(wanted.setdefault(id(item.layer), {}), one, item.path)
    return wanted


def _add(asked: dict[type, Technique], one: Rule, path: str) -> None:
    for technique in one.techniques:
        other = asked.setdefault(type(technique), technique)
        if other != technique:
            raise SpecError(
                f"Contradictory rules for the layer {path!r}: {other!r} and {technique!r}; "
                "expected one setting. Narrow one of the rules, e.g. with & ~by_name(...)."
            )


class _Draft:
    """The plan of one layer, in the making."""

    def __init__(self, item: Held, asked: dict[type, Technique]) -> None:
        unknown = sorted(kind.__name__ for kind in asked if kind not in TECHNIQUES)
        if unknown:
            known = [kind.__name__ for kind in TECHNIQUES]
            raise SpecError(f"Received the technique {unknown[0]}; expected one of {known}.")
        self.asked = asked
        self.before = self.form = form_of(item)
        self.steps: list[Technique] = []
        self.skipped: list[str] = []
        self.notes: list[str] = []
        alone = any(not issubclass(kind, JointTechnique) for kind in asked)
        reason = _why_not(item) if asked else "no rule is for it"
        self._reason = reason if alone or not asked else None
        if self._reason:
            self.skipped.append(self._reason)

    def plan(self, kind: type[Technique]) -> None:
        """Adds the step of a technique that needs to see nothing else."""
        if kind in self.asked and not self._reason:
            self.add(self.asked[kind], self.asked[kind].plan(self.form))

    def add(self, technique: Technique, result: Any) -> None:
        """Adds a step, or that it is skipped."""
        if isinstance(result, Skip):
            self.skipped.append(f"{type(technique).__name__}: {result.reason}")
        else:
            self.steps.append(technique)
            self.form = result

    def done(self) -> LayerPlan:
        """The plan."""
        steps, skipped, notes = tuple(self.steps), tuple(self.skipped), tuple(self.notes)
        return LayerPlan(self.before, self.form, steps, skipped, notes)


def _plan_together(model: Any, kind: type[JointTechnique], drafts: dict[int, _Draft]) -> None:
    asked = {key: draft.asked[kind] for key, draft in drafts.items() if kind in draft.asked}
    if not asked:
        return
    forms = {key: draft.form for key, draft in drafts.items()}
    for key, outcome in kind.plan_together(model, forms, asked).items():
        draft = drafts[key]
        draft.notes.extend(outcome.notes)
        draft.form = outcome.form
        if key in asked:
            draft.add(asked[key], outcome.skip or outcome.form)


def _why_not(item: Held) -> str | None:
    layer = item.layer
    if not weight_roles(raw(layer)):
        if children(layer):
            return "it holds other layers; write a rule for those"
        if not layer.weights and layer.built:
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


def _own_weights(layer: Any) -> list[Any]:
    if isinstance(layer, Compressed) or not children(layer):
        return list(layer.weights)
    return list(layer._trainable_weights) + list(layer._non_trainable_weights)


def form_of(item: Held) -> LayerForm:
    """How a layer is stored now."""
    layer = item.layer
    inner = raw(layer)
    own = _own_weights(inner)
    if not inner.built or not weight_roles(inner):
        other = sum(int(np.prod(w.shape)) for w in own)
        cost = kernel_multiply_adds(inner) if inner.built else 0
        kind = type(inner).__name__
        return LayerForm(item.path, layer, kind, (), other, other_multiply_adds=cost)
    roles = weight_roles(inner)
    weights = tuple(_weight_form(layer, role.name, role.channel_axis) for role in roles)
    other = sum(int(np.prod(w.shape)) for w in own) - sum(w.parameters for w in weights)
    return LayerForm(item.path, layer, type(inner).__name__, weights, other, _positions(layer))


def _weight_form(layer: Any, name: str, channel_axis: int | None) -> WeightForm:
    rows, columns = (int(size) for size in vars(raw(layer))[name].shape)
    form = WeightForm(name, (rows, columns), channel_axis, lookup=channel_axis == 0)
    chain = layer.transforms.get(name, ()) if isinstance(layer, Compressed) else ()
    for transform in chain:
        form = transform.planned(form)
    return form


def _positions(layer: Any) -> int:
    spec = getattr(layer, "_saved_model_inputs_spec", None)
    shape = getattr(spec, "shape", None)
    if shape is None or shape.rank is None or shape.rank < 3:
        return 1
    return int(np.prod([size or 1 for size in shape[1:-1]]))
