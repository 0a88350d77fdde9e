"""What a sensitivity says of a spec before it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from tfcompress.errors import SearchError, SpecError
from tfcompress.measure import LayerForm
from tfcompress.plan import LayerPlan, Plan
from tfcompress.sensitivity import Cell, Sensitivity
from tfcompress.spec import Skip, Technique

Array = np.ndarray[Any, Any]


class Harms:
    """Harms of techniques at any strength, from those that were measured.

    What different layers, and different techniques in one layer, harm by themselves is taken to add
    up, as where bits are shared out by sensitivity (Dong et al., "HAWQ-V2", 2020; Hubara et al.,
    "AdaQuant", 2021).

    Args:
        found: a sensitivity of the model.

    Raises:
        SpecError: nothing was measured.

    Example:
        >>> import numpy as np, tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(64,), name="head")])
        >>> batch, bits = np.ones((4, 64), np.float32), [tfc.Quantize(8), tfc.Quantize(2)]
        >>> harms = Harms(tfc.sensitivity(model, [batch], bits, show=False))
        >>> def harm(bits):
        ...     rule = tfc.rule(tfc.by_name("head"), tfc.Quantize(bits))
        ...     return harms.of(tfc.plan(model, tfc.Spec([rule])))["Quantize"]
        >>> harm(8) < harm(4) < harm(2)
        True
    """

    def __init__(self, found: Sensitivity) -> None:
        if not found.measured:
            raise SpecError(
                "Received a sensitivity in which every technique was skipped; expected one that "
                "measured some. Its cells say why."
            )
        self._cells: dict[tuple[str, type], list[Cell]] = {}
        for cell in found.measured:
            self._cells.setdefault((cell.path, cell.technique.kind), []).append(cell)
        self._known: dict[tuple[str, Technique], float] = {}
        self._sizes: dict[tuple[str, Technique], float] = {}

    def of(self, planned: Plan) -> Mapping[str, float]:
        """What the steps of a plan harm: by the technique's name, summed over layers.

        Raises:
            SearchError: a technique in a layer where it was not measured at any strength.
        """
        total: dict[str, float] = {}
        for row in planned.layers:
            for step in row.steps:
                name = step.kind.__name__
                total[name] = total.get(name, 0.0) + self._of_step(row, step)
        return total

    def _of_step(self, row: LayerPlan, step: Technique) -> float:
        key = (row.path, step)
        if key not in self._known:
            self._known[key] = self._looked_up(row, step)
        return self._known[key]

    def _looked_up(self, row: LayerPlan, step: Technique) -> float:
        cells = self._cells.get((row.path, step.kind), [])
        if not cells:
            raise SearchError(
                f"The sensitivity says nothing of {step!r} in the layer {row.path!r}; expected "
                f"{step.kind.__name__} at some strength there. Measure it: "
                "sensitivity(model, data, techniques=[...])."
            )
        for cell in cells:
            if cell.technique == step:
                return cell.harm or 0.0
        return self._between(row.before, step, _alike(cells, step))

    def _between(self, form: LayerForm, step: Technique, cells: Sequence[Cell]) -> float:
        """The harm at a strength between those measured, by the bytes that each leaves.

        All the layer's bytes harm nothing, and fewer harm no less; below the fewest measured it is
        their harm.
        """
        left = [(self._size(form, cell.technique), cell.harm or 0.0) for cell in cells]
        known = sorted([(float(form.sparse_bytes), 0.0), *left], reverse=True)
        sizes, harms = np.array(known).T
        rising = np.maximum.accumulate(harms)
        return float(np.interp(self._size(form, step), sizes[::-1], rising[::-1]))

    def _size(self, form: LayerForm, technique: Technique) -> float:
        key = (form.path, technique)
        if key not in self._sizes:  # Prune looks at weights
            self._sizes[key] = _bytes(form, technique)
        return self._sizes[key]


def _alike(cells: Sequence[Cell], step: Technique) -> Sequence[Cell]:
    """Those that differ from a step in their strength alone, the first field; else all."""
    others = [field.name for field in fields(step)[1:]]
    same = [
        cell
        for cell in cells
        if all(getattr(cell.technique, name, None) == getattr(step, name) for name in others)
    ]
    return same or cells


def _bytes(form: LayerForm, technique: Technique) -> float:
    """Of the layer with the technique alone, its zeros left out."""
    after = technique.plan(form)
    if isinstance(after, Skip):
        raise SearchError(
            f"How strong {technique!r} is in the layer {form.path!r} cannot be told from the layer "
            "alone; expected a sensitivity that measured just this. Measure it: "
            "sensitivity(model, data, techniques=[...])."
        )
    return float(after.sparse_bytes)
