"""Apply: a model with the layers that a spec asks for; and back to plain layers, finalized."""

from __future__ import annotations

from typing import Any

from tfcompress import applied
from tfcompress.calibration import Calibration
from tfcompress.distillation import DistillationLoss, Distiller, Forward, Setting
from tfcompress.layers import Compressed
from tfcompress.plan import Plan, plan
from tfcompress.spec import JointTechnique, Spec, Technique
from tfcompress.surgery import Replacements, copy_model, replace_layers, walk
from tfcompress.surgery.structure import remember
from tfcompress.techniques import TECHNIQUES, Distill


def apply(
    model: Any, spec: Spec, in_place: bool = False, calibration: Calibration | None = None
) -> Any:
    """A compressed model: compile, fit, save and load it like any other.

    Args:
        model: a built Sequential, Functional, subclassed or `tfrs.Model`.
        spec: what is wanted; `plan(model, spec)` shows it first.
        in_place: change a subclassed model itself instead of a copy. If anything fails, everything
            is put back.
        calibration: what the layers see, for techniques that ask for it; see `calibrate`.

    Returns:
        A new, uncompiled model. Shared layers are still shared; where nothing applies it is a copy.

    Raises:
        SpecError: see `plan`.
        CopyError: the model cannot be copied faithfully; the message names the attribute.
        StaleReferenceError: a closure, dataset or index would go on using a replaced layer.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(4,))])
        >>> spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(sparsity=0.5))])
        >>> student = tfc.apply(model, spec)
        >>> float((student.layers[0].kernel.numpy() == 0).mean())
        0.5
    """
    plan(model, spec, calibration)  # every check, before the first change
    target = model if in_place else copy_model(model)
    planned = plan(target, spec, calibration)
    notes = applied.notes_on(spec, planned)
    return applied.note(_carried_out(target, planned), notes, model)


def _carried_out(model: Any, planned: Plan) -> Any:
    stages: list[tuple[Replacements, set[str]]] = []
    try:
        for kinds in _stages(planned):
            replacements, paths = _stage(model, planned, kinds)
            model = replace_layers(model, replacements)
            stages.append((replacements, paths))
    except Exception:
        for replacements, _ in reversed(stages):
            replacements.undo()
        raise
    return remember(model, {path for _, paths in stages for path in paths})


def _stages(planned: Plan) -> list[tuple[type[Technique], ...]]:
    """The techniques in turns: joint ones see the layers that those before them have made."""
    used = {step.kind for layer in planned.layers for step in layer.steps}
    turns: list[tuple[type[Technique], ...]] = [()]
    for kind in (kind for kind in TECHNIQUES if kind in used):
        if issubclass(kind, JointTechnique):
            turns += [(kind,), ()]
        else:
            turns[-1] = (*turns[-1], kind)
    return [turn for turn in turns if turn]


def _stage(
    model: Any, planned: Plan, kinds: tuple[type[Technique], ...]
) -> tuple[Replacements, set[str]]:
    at = {held.path: held.layer for held in walk(model)}
    steps = {
        layer.path: [step for step in layer.steps if step.kind in kinds] for layer in planned.layers
    }
    if issubclass(kinds[0], JointTechnique):
        asked = {id(at[path]): several[0] for path, several in steps.items() if several}
        pairs = kinds[0].apply_together(model, asked)
    else:
        pairs = [(at[path], _through(at[path], several)) for path, several in steps.items()]
    changed = {id(old): new for old, new in pairs if new is not old}
    replacements = Replacements()
    for old, new in pairs:
        if new is not old:
            replacements.put(old, new)
    return replacements, {path for path, layer in at.items() if id(layer) in changed}


def _through(layer: Any, steps: list[Technique]) -> Any:
    for step in steps:
        layer = step.apply(layer)
    return layer


def distill(
    student: Any,
    teacher: Any,
    temperature: Setting = 1.0,
    weight: Setting = 0.5,
    forward: Forward | None = None,
    loss: DistillationLoss | None = None,
) -> Distiller:
    """A model that trains `student` with its teacher; see `Distiller`.

    Args:
        student: the model to train, compressed or not; its outputs are logits.
        teacher: the model to learn from, which is not changed; several of them, as a sequence or
            as `Teachers(models, weights)`; or what it said before: `Precomputed(path)`.
        temperature: softens both distributions; above 0. Short for `loss=SoftLabels(temperature)`.
        weight: share of the teacher's part in the loss, 0 to 1.
        forward: from (student, teacher, batch) to `Outputs`, where calling both models on the
            features is not what is wanted.
        loss: `SoftLabels(...)`, `TeacherLabels()`, `Logits()`, `ListWise(...)`, `Hidden(...)`, or
            several of them in `Combined(...)`.

    Temperature and weight may also be ramps over training steps: `LinearRamp(...)`,
    `CosineRamp(...)` or `PiecewiseConstant(...)`.

    Raises:
        SpecError: a setting out of range, a student or teacher that gives probabilities, or
            teachers that the loss cannot compare.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> teacher = keras.Sequential([keras.layers.Dense(3, input_shape=(4,))])
        >>> student = keras.Sequential([keras.layers.Dense(3, input_shape=(4,))])
        >>> tfc.distill(student, teacher, temperature=2.0).weight
        0.5
        >>> loss = tfc.Combined((tfc.SoftLabels(2.0), tfc.Logits()), shares=(0.8, 0.2))
        >>> tfc.distill(student, [teacher, teacher], loss=loss, weight=0.7).teacher.weights is None
        True
    """
    return Distill(temperature, weight, loss).apply(student, teacher, forward)


def finalize(model: Any) -> Any:
    """A copy in which every `Compressed` layer is a plain one with the weights that training saw.

    Factorized layers stay; a `Distiller` gives its student.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(4,))])
        >>> student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(4))]))
        >>> type(tfc.finalize(student).layers[0]).__name__
        'Dense'
    """
    model = model.student if isinstance(model, Distiller) else model
    new = copy_model(model)
    replacements = Replacements()
    paths = set()
    for held in walk(new):
        if isinstance(held.layer, Compressed):
            replacements.put(held.layer, held.layer.finalized())
            paths.add(held.path)
    return applied.hand_on(model, remember(replace_layers(new, replacements), paths))
