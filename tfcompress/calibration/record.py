"""Running a model on some batches and recording what its layers see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfcompress.calibration.inputs import Counts, Inputs, SecondMoments
from tfcompress.errors import SpecError
from tfcompress.keras import keras, tf
from tfcompress.layers.compressed import raw
from tfcompress.layers.einsum import Equation
from tfcompress.surgery import listening, walk
from tfcompress.surgery.listen import Note
from tfcompress.value import Value
from tfcompress.where import Predicate


@dataclass(frozen=True)
class _Recorder:
    """How the inputs of one class of layer are recorded."""

    start: Callable[[Any], Inputs]
    read: Callable[[Any, Any], Any]


def _einsum_vectors(layer: Any, inputs: Any) -> Any:
    one = Equation.of(layer.equation)
    kept = "".join(x for x in one.inputs if x not in one.contracted)
    return _flat(tf.einsum(f"{one.inputs}->{kept}{one.contracted}", inputs), _einsum_width(layer))


def _einsum_width(layer: Any) -> int:
    contracted, _ = Equation.of(layer.equation).sizes(layer.kernel.shape)
    return int(np.prod(contracted))


def _patches(layer: Any, inputs: Any) -> Any:
    patches = tf.image.extract_patches(
        inputs,
        sizes=[1, *layer.kernel_size, 1],
        strides=[1, *layer.strides, 1],
        rates=[1, *layer.dilation_rate, 1],
        padding=layer.padding.upper(),
    )
    return _flat(patches, patches.shape[-1])


def _flat(inputs: Any, width: int) -> Any:
    return tf.reshape(inputs, [-1, width])


# By the class itself, as Factorize knows them.
_RECORDERS: dict[type, _Recorder] = {
    keras.layers.Dense: _Recorder(
        lambda layer: SecondMoments(int(layer.kernel.shape[0])),
        lambda layer, inputs: _flat(inputs, inputs.shape[-1]),
    ),
    keras.layers.Embedding: _Recorder(
        lambda layer: Counts(int(layer.embeddings.shape[0])),
        lambda layer, ids: tf.cast(ids, tf.int64),
    ),
    keras.layers.EinsumDense: _Recorder(
        lambda layer: SecondMoments(_einsum_width(layer)), _einsum_vectors
    ),
    keras.layers.Conv2D: _Recorder(
        lambda layer: SecondMoments(int(np.prod(layer.kernel.shape[:-1]))), _patches
    ),
}


def is_recorded(layer: Any) -> bool:
    """Whether `calibrate` knows the class of a layer, itself and no subclass of it.

    Of a convolution in groups, no filter sees all of its inputs: there is no matrix to record for.

    Example:
        >>> is_recorded(keras.layers.Dense(4)), is_recorded(keras.layers.LSTM(4))
        (True, False)
    """
    return type(layer) in _RECORDERS and getattr(layer, "groups", 1) == 1


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the layers of a model saw, by their paths; see `calibrate`.

    Attributes:
        inputs: for each path, what was seen there.
        harm: for each path, what techniques there do to the model's outputs; see `measure_harm`.

    Example:
        >>> counts = Counts(3)
        >>> counts.add(np.array([0, 2, 2]))
        >>> Calibration({"table": counts}).inputs["table"].count
        3
    """

    inputs: Mapping[str, Inputs]
    harm: Mapping[str, Mapping[Value, float]] = field(default_factory=dict)


def calibrate(
    model: Any,
    batches: Iterable[Any],
    where: Predicate | None = None,
    call: Callable[[Any, Any], Any] | None = None,
) -> Calibration:
    """Runs a model on some batches and records what its layers see; the model is not changed.

    Of a Dense, EinsumDense or Conv2D layer it is the second moments of the input vectors (of the
    patches under the kernel), in 8 bytes times the square of their width; of an Embedding it is how
    often each id was looked up. What reads a weight without calling its layer is not seen.

    Args:
        model: a built Keras model of any kind.
        batches: what the model is called on, one batch after another: inputs alone, no targets.
        where: the layers to record; by default all of these classes.
        call: from (model, batch) to anything, where `model(batch, training=False)` is not how the
            model is used, such as for a model of two towers.

    Returns:
        What was seen, for `plan` and `apply` of this model and any spec.

    Raises:
        SpecError: no batch, or no layer to record.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(12,), name="head")])
        >>> seen = tfc.calibrate(model, [np.ones((5, 12), np.float32)])
        >>> seen.inputs["head"].count
        5
        >>> to_outputs = tfc.Factorize(rank=2, error=tfc.OutputError())
        >>> spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), to_outputs)])
        >>> type(tfc.apply(model, spec, calibration=seen).layers[0]).__name__
        'FactorizedDense'
    """
    chosen = {
        held.path: held.layer
        for held in walk(model)
        if is_recorded(raw(held.layer)) and held.layer.built and (not where or where(held.info))
    }
    if not chosen:
        raise SpecError(
            f"calibrate found no layer to record with where={where!r}; expected a built "
            f"{', '.join(kind.__name__ for kind in _RECORDERS)}. Call the model once, or widen it."
        )
    seen = {path: _RECORDERS[type(raw(one))].start(raw(one)) for path, one in chosen.items()}
    count = 0
    with listening([(layer, _note(layer, seen[path])) for path, layer in chosen.items()]):
        for batch in batches:
            count += 1
            _ = call(model, batch) if call else model(batch, training=False)
    if not count:
        raise SpecError("calibrate received no batches; expected at least one.")
    return Calibration(seen)


def _note(layer: Any, seen: Inputs) -> Note:
    inner = raw(layer)
    read = _RECORDERS[type(inner)].read
    return lambda inputs, outputs: seen.add(read(inner, inputs).numpy())
