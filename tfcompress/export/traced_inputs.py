"""Which input of a signature reaches which lookup, found by running it on marked inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.export.signature import Signature
from tfcompress.keras import tf

# Whatever a model does to texts before it looks them up (lower, strip, join) changes these.
_TEXTS = (" Token 0 ", " Token 1 ")
Bits = Mapping[str, int]


def inputs_read_by(
    model: Any, name: str, signature: Signature, layers: Mapping[str, Any]
) -> dict[str, list[str]]:
    """For each input that lookups read the paths of these.

    The signature is called a few times, each of its inputs filled with one of two values: the bits
    of the input's number. So what reaches a lookup says which input it is.

    Args:
        model: it holds `layers`, which take down what reaches them.
        name: the signature's.
        signature: what is called.
        layers: by path.

    Raises:
        ExportError: something else than an input reaches a lookup; an input that does is used
            otherwise as well; or tokens are used without a lookup.
    """
    numbers = {key: number for number, key in enumerate(signature.inputs, 1)}
    runs = [_heard(model, name, signature, layers, {})[0]]
    for bit in range(len(numbers).bit_length()):
        bits = {key: number >> bit & 1 for key, number in numbers.items()}
        runs.append(_heard(model, name, signature, layers, bits)[0])
    reads: dict[str, list[str]] = {}
    for path in layers:
        for calls in zip(*(run[path] for run in runs), strict=True):
            key = _source(calls, list(numbers))
            if key is None:
                raise ExportError(
                    f"The lookup {path!r} reads in {name!r} what the model computes; expected an "
                    f"input of the signature as it is, one of {list(numbers)}. Compute it in the "
                    "app, and pass it as an input."
                )
            if key:
                reads.setdefault(key, []).append(path)
    _refuse_other_uses(model, name, signature, layers, set(reads))
    return reads


def _source(calls: Sequence[Any], inputs: Sequence[str]) -> str | None:
    """The input whose number was heard; "": it is always the same; None: it is computed.

    Args:
        calls: what was heard in each run: in the first one every input was 0, in the others a bit
            of its number.
        inputs: by their numbers, from 1.
    """
    if all(np.array_equal(calls[0], heard) for heard in calls):
        return ""
    bits = [next((v for v in (0, 1) if _is(heard, v)), None) for heard in calls]
    if None in bits or bits[0]:
        return None
    number = sum(1 << place for place, bit in enumerate(bits[1:]) if bit)
    return inputs[number - 1] if number <= len(inputs) else None


def _is(heard: Any, value: int) -> bool:
    marked = _TEXTS[value].encode() if heard.dtype.kind in "SO" else value
    return bool((heard == marked).all())


def _refuse_other_uses(
    model: Any, name: str, signature: Signature, layers: Mapping[str, Any], lifted: set[str]
) -> None:
    texts = {key for key, spec in signature.inputs.items() if spec.dtype == tf.string}
    if texts - lifted:
        raise ExportError(
            f"The input {min(texts - lifted)!r} of {name!r} is text, and no lookup reads it; "
            "expected numbers, or text that a StringLookup or Hashing layer of the model reads."
        )
    for key in sorted(lifted):
        first, second = (
            _heard(model, name, signature, layers, {key: value})[1] for value in (0, 1)
        )
        if not all(map(np.array_equal, first, second)):
            raise ExportError(
                f"The input {key!r} of {name!r} is read by a lookup and used otherwise as well, "
                "where ids in its place would mean something else. Give the signature an input "
                "for each use."
            )


def _heard(
    model: Any, name: str, signature: Signature, layers: Mapping[str, Any], bits: Bits
) -> tuple[dict[str, list[Any]], list[Any]]:
    """What reached each lookup, and the outputs, where inputs are filled with 0 or 1."""
    inputs = {key: _filled(spec, bits.get(key, 0)) for key, spec in signature.inputs.items()}
    for layer in layers.values():
        layer.listen(True)
    try:
        with _eager_functions():
            outputs = signature(model, **inputs)
        return (
            {path: list(layer.heard) for path, layer in layers.items()},
            [np.array(value) for value in tf.nest.flatten(outputs)],
        )
    except Exception as error:
        raise ExportError(
            f"The signature {name!r} could not be called to find out which inputs its lookups "
            f"read: {type(error).__name__}: {error}. Expected one that takes inputs filled with "
            f"0 or 1, or with texts such as {_TEXTS[0]!r}."
        ) from error
    finally:
        for layer in layers.values():
            layer.listen(False)


def _filled(spec: Any, value: int) -> Any:
    shape = [1 if size is None else size for size in spec.shape]
    if spec.dtype == tf.string:
        return tf.fill(shape, _TEXTS[value])
    return tf.cast(tf.fill(shape, value), spec.dtype)


@contextmanager
def _eager_functions() -> Iterator[None]:
    # Traced once on marks, a function of the model would go on hearing them.
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)
