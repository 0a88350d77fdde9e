"""What a layer's bits harm, measured at the model's outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfcompress.calibration import Calibration
from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.layers.compressed import compressible, raw
from tfcompress.layers.forms import form_of
from tfcompress.layers.weights import weight_of
from tfcompress.measure import FLOAT_BITS
from tfcompress.spec import Skip
from tfcompress.surgery import Held, copy_model, walk
from tfcompress.techniques.adaptive_bits.harm import Array, OutputHarm, SquaredError
from tfcompress.techniques.adaptive_bits.technique import AdaptiveBits
from tfcompress.techniques.quantize import Quantize
from tfcompress.value import Value
from tfcompress.where import Predicate

Call = Callable[[Any, Any], Any]


def measure_harm(
    model: Any,
    batches: Iterable[Any],
    technique: AdaptiveBits,
    where: Predicate | None = None,
    call: Call | None = None,
    harm: OutputHarm | None = None,
) -> Calibration:
    """Quantizes one layer after another, in each number of bits, and sees what outputs become.

    The model runs once on every batch for each layer and each number of bits below 32, eagerly, on
    a copy; the model itself is not changed, and the outputs of all batches are held in memory.
    Measure once, then plan with as many budgets as you like. What `calibrate` recorded goes along
    with it: `dataclasses.replace(calibrated, harm=measured.harm)`.

    Args:
        model: a built Keras model of any kind.
        batches: what the model is called on: inputs alone, no targets.
        technique: an `AdaptiveBits`, whose bits and grids are measured.
        where: the layers to measure; by default all that have weights to quantize.
        call: from (model, batch) to outputs, where `model(batch, training=False)` is not how the
            model is used.
        harm: `SquaredError()`, the default, or `Divergence()` where outputs are logits.

    Returns:
        What `plan` and `apply` take as `calibration`: `harm[path][Quantize(...)]`, an example's.

    Raises:
        SpecError: no batch, no layer, something that is no `AdaptiveBits` or no `OutputHarm`, or
            outputs that are not finite.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(12,), name="head")])
        >>> wanted = tfc.AdaptiveBits(tfc.ByteBudget(150), granularity=tfc.PerTensor())
        >>> seen = measure_harm(model, [np.ones((5, 12), np.float32)], wanted)
        >>> spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), wanted)])
        >>> tfc.plan(model, spec, calibration=seen).layers[0].steps[0].bits
        8
    """
    if not isinstance(technique, AdaptiveBits):
        raise SpecError(
            f"measure_harm received technique={technique!r}; expected AdaptiveBits(budget)."
        )
    compare = harm or SquaredError()
    if not isinstance(compare, OutputHarm):
        raise SpecError(
            f"measure_harm received harm={harm!r}; expected SquaredError() or Divergence()."
        )
    inputs = list(batches)
    if not inputs:
        raise SpecError("measure_harm received no batches; expected at least one.")
    copy = copy_model(model)
    held = [item for item in walk(copy) if _measurable(item) and (not where or where(item.info))]
    if not held:
        raise SpecError(
            f"measure_harm found no layer to measure with where={where!r}; expected a built layer "
            "whose weights can be quantized. Call the model once, or widen it."
        )
    outputs = _Outputs(copy, inputs, call or _plain_call, compare)
    found = {item.path: _harms(item, technique, outputs) for item in held}
    return Calibration({}, harm=found)


def _plain_call(model: Any, batch: Any) -> Any:
    return model(batch, training=False)


def _measurable(item: Held) -> bool:
    return bool(raw(item.layer).built) and compressible(item.layer)


class _Outputs:
    """A model's outputs as they were, to compare with."""

    def __init__(self, model: Any, batches: Sequence[Any], call: Call, compare: OutputHarm) -> None:
        self._model, self._batches, self._call, self._compare = model, batches, call, compare
        self._before = self._now()

    def _now(self) -> list[list[Array]]:
        seen = [tf.nest.flatten(self._call(self._model, batch)) for batch in self._batches]
        return [[np.atleast_1d(np.asarray(o, np.float64)) for o in outputs] for outputs in seen]

    def harm(self, path: str, technique: Quantize) -> float:
        """For an example, of what the model has become."""
        pairs = [
            pair
            for before, after in zip(self._before, self._now(), strict=True)
            for pair in zip(before, after, strict=True)
        ]
        total = sum(self._compare.of(before, after) for before, after in pairs)
        if not np.isfinite(total):
            raise SpecError(
                f"measure_harm saw outputs that are not finite with {technique!r} for {path!r}; "
                "expected numbers. Look at the model's weights and at the batches."
            )
        return total / sum(len(before[0]) for before in self._before)


def _harms(item: Held, technique: AdaptiveBits, outputs: _Outputs) -> Mapping[Value, float]:
    form = form_of(item)
    found: dict[Value, float] = {}
    variables = {w.name: weight_of(raw(item.layer), w.name) for w in form.weights}
    kept = {name: variable.numpy() for name, variable in variables.items()}
    for candidate in technique.candidates:
        if candidate.bits == FLOAT_BITS or isinstance(candidate.plan(form), Skip):
            continue
        for weight in form.weights:
            rounded = candidate.rounded(form.value(weight.name), weight)
            variables[weight.name].assign(rounded)
        found[candidate] = outputs.harm(item.path, candidate)
        for name, variable in variables.items():
            variable.assign(kept[name])
    return found
