"""One layer changed at a time in a working copy, and put back."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from glob import escape
from typing import Any

import numpy as np

from tfcompress.apply import apply
from tfcompress.errors import TfcompressError
from tfcompress.layers import Compressed, weight_roles
from tfcompress.layers.weights import weight_of
from tfcompress.plan import LayerPlan, Plan, plan
from tfcompress.sensitivity.probe import Array, Probe
from tfcompress.sensitivity.result import Whole
from tfcompress.spec import JointTechnique, Rule, Spec, Technique
from tfcompress.surgery import copy_model, walk
from tfcompress.where import Predicate, by_name


class Refused(Exception):
    """A layer that a technique leaves as it is, with the reason."""


class Bench:
    """A copy of a model on which techniques are tried, one layer at a time.

    Most techniques leave a layer's function what it was, with another matrix. Of these the matrix
    is put into the copy's own variable, looked at, and taken out again: nothing else is copied, and
    one graph serves all of them. What changes shapes (`Shrink`), activations, or a layer that is
    compressed already, is applied to a copy of its own.

    Args:
        model: a built Keras model of any kind.
        probe: what it is asked.
    """

    def __init__(self, model: Any, probe: Probe) -> None:
        self._model, self._probe = copy_model(model), probe
        self._layers = {held.path: held.layer for held in walk(self._model)}
        self._ask = probe.asker(self._model)
        self._before = self._ask()

    def quality(self) -> float | None:
        """Of the model as it is."""
        return self._probe.quality(self._model)

    def tried(self, path: str, technique: Technique) -> tuple[float, Whole]:
        """The harm of a technique in one layer, and what the model is with it.

        Raises:
            Refused: the technique leaves the layer as it is.
        """
        spec = Spec([Rule(exactly(path), (technique,))])
        try:
            planned = plan(self._model, spec, self._probe.calibration)
            row = next(row for row in planned.layers if row.path == path)
            if not row.steps:
                raise Refused("; ".join(row.skipped))
            harm, quality = self._looked_at(spec, row)
        except TfcompressError as error:
            raise Refused(f"{type(error).__name__}: {error}") from error
        if not math.isfinite(harm):
            raise Refused("the model's outputs are no numbers with it")
        return harm, whole_of(planned, quality)

    def _looked_at(self, spec: Spec, row: LayerPlan) -> tuple[float, float | None]:
        layer = self._layers[row.path]
        with _kept(layer):
            values = _in_place(layer, row.steps)
            if values is not None:
                for name, value in values.items():
                    weight_of(layer, name).assign(value)
                return self._compared(self._ask()), self.quality()
        student = apply(self._model, spec, calibration=self._probe.calibration)
        return self._compared(self._probe.answers(student)), self._probe.quality(student)

    def _compared(self, after: list[list[Array]]) -> float:
        return self._probe.compare(self._before, after)


def exactly(path: str, among: Collection[str] | None = None) -> Predicate:
    """The layer at this path and no other, of all or of those at these paths.

    Example:
        >>> from tfcompress.where import LayerInfo
        >>> [exactly("head")(LayerInfo(p, ("Dense",), 1)) for p in ("head", "tower.head")]
        [True, False]
        >>> exactly("head", among=["head", "table"])
        ByName(pattern='head')
    """
    named, deeper = by_name(escape(path)), f"*.{escape(path)}"
    known = among is not None and not any(fnmatchcase(other, deeper) for other in among)
    return named if known or "." in path else named & ~by_name(deeper)


def whole_of(planned: Plan, quality: float | None = None) -> Whole:
    """The model after a plan."""
    return Whole(
        planned.bytes_after,
        sum(row.after.parameters for row in planned.layers),
        sum(row.after.multiply_adds for row in planned.layers),
        quality,
    )


@contextmanager
def _kept(layer: Any) -> Iterator[None]:
    """Puts the layer's variables back at the end: a technique may change the layer it is given."""
    kept = [(variable, variable.numpy()) for variable in layer.variables]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


def _in_place(layer: Any, steps: Sequence[Technique]) -> Mapping[str, Array] | None:
    """What the layer's own matrices would be after the steps; None: it would be another layer."""
    if isinstance(layer, Compressed) or any(issubclass(s.kind, JointTechnique) for s in steps):
        return None
    names = [role.name for role in weight_roles(layer)]
    shapes = [tuple(weight_of(layer, name).shape) for name in names]
    new = layer
    for step in steps:
        new = step.apply(new)
    values = {}
    for name, shape in zip(names, shapes, strict=True):
        try:
            value = np.asarray(functools.reduce(getattr, name.split("."), new))
        except AttributeError:
            return None
        if value.shape != shape:
            return None
        values[name] = value
    return values or None
