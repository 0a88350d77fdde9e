"""Storing the weights of a converted model on the grids that its layers were trained on."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from litert_quantizer import qtyping, quantizer

from tfcompress.errors import ExportError
from tfcompress.export import flatbuffer
from tfcompress.layers import Compressed, FakeQuantizer
from tfcompress.surgery import walk

Array = np.ndarray[Any, Any]
_MARK = "tfcompress/{}/"


@dataclass(frozen=True)
class Stored:
    """A matrix that goes into the file in a few bits.

    Attributes:
        path: layer and weight, e.g. `blocks.0.query.kernel`.
        value: float32 `[rows, columns]`, on its grid.
        quantizer: the grid.
    """

    path: str
    value: Array
    quantizer: FakeQuantizer


def stored_weights(model: Any) -> list[Stored]:
    """Every fake-quantized matrix of a compressed model, with the value that training saw."""
    found = []
    for held in walk(model):
        if not isinstance(held.layer, Compressed):
            continue
        for name, chain in held.layer.transforms.items():
            grids = [t for t in chain if isinstance(t, FakeQuantizer)]
            if grids:
                value = held.layer.effective(name).numpy()
                found.append(Stored(f"{held.path}.{name}", value, grids[-1]))
    return found


def quantize(content: bytes, weights: list[Stored]) -> bytes:
    """The model with these weights in their bits; everything else stays float32.

    The weights lie on symmetric grids whose last level is used, so that litert-quantizer's
    min-max algorithm finds exactly these grids.

    Raises:
        ExportError: a weight that the converter folded away, that two layers store differently,
            or that LiteRT cannot store so.
    """
    if not weights:
        return content
    model = flatbuffer.read(content)
    marked = _mark(model, weights)
    worker = quantizer.Quantizer(flatbuffer.pack(model))
    for index, operators in marked.items():
        for name in operators:
            _ask(worker, index, name, weights[index])
    # Its progress bars and prints are of no use to ours.
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        result = bytes(worker.quantize().quantized_model)
    _check(result, weights)
    return result


def _ask(worker: Any, index: int, operator: str, weight: Stored) -> None:
    try:
        worker.add_dynamic_config(
            regex=_MARK.format(index),
            operation_name=qtyping.TFLOperationName(operator),
            num_bits=weight.quantizer.bits,
            granularity=_granularity(weight.quantizer),
        )
    except ValueError as error:
        raise ExportError(
            f"{weight.path} is an input of the operator {operator}, whose weights LiteRT cannot "
            f"store in {weight.quantizer.bits} bits on this grid. Leave the layer out of the "
            "Quantize rule; where its table is looked up at fixed ids, which the converter does "
            "beforehand, let the ids depend on the model's input."
        ) from error


def _granularity(grid: FakeQuantizer) -> Any:
    if grid.channel_axis is None:
        return qtyping.QuantGranularity.TENSORWISE
    if grid.block:
        return getattr(qtyping.QuantGranularity, f"BLOCKWISE_{grid.block}")
    return qtyping.QuantGranularity.CHANNELWISE


def _mark(model: Any, weights: list[Stored]) -> dict[int, set[str]]:
    """Names the outputs of every operator after the weight it uses; which operators use which."""
    owners = _owners(model, weights)
    used: dict[int, set[str]] = {index: set() for index in range(len(weights))}
    for number, graph in enumerate(model.subgraphs):
        for place, operator in enumerate(graph.operators):
            inputs = [graph.tensors[i] for i in operator.inputs if i >= 0]
            marks = [owners[t.buffer] for t in inputs if t.buffer in owners]
            prefix = _MARK.format(marks[0]) if marks else "float/"
            for slot, output in enumerate(operator.outputs):
                graph.tensors[output].name = f"{prefix}{number}/{place}/{slot}".encode()
            for index in marks:
                used[index].add(flatbuffer.operator_name(model, operator))
    lost = [weights[index].path for index, names in used.items() if not names]
    if lost:
        raise ExportError(
            f"The weight {lost[0]} is not in the converted graph: the converter computed with it "
            "beforehand (a table looked up at fixed ids, a kernel multiplied by a constant). "
            "Leave the layer out of the Quantize rule, or let its input depend on the model's."
        )
    return used


def _owners(model: Any, weights: list[Stored]) -> dict[int, int]:
    owners: dict[int, int] = {}
    shapes = {w.value.shape for w in weights} | {w.value.shape[::-1] for w in weights}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if _as_matrix(tensor.shape if tensor.shape is not None else ()) not in shapes:
                continue
            value = flatbuffer.constant(model, tensor)
            if value is not None and tensor.buffer not in owners:
                index = _owner(value.reshape(_as_matrix(value.shape)), weights)
                if index is not None:
                    owners[tensor.buffer] = index
    return owners


def _as_matrix(shape: Any) -> tuple[int, ...]:
    # A convolution's kernel is [out, h, w, in] in the file, and `[h * w * in, out]` in its layer.
    return (shape[0], int(np.prod(shape[1:]))) if len(shape) == 4 else tuple(shape)


def _owner(value: Array, weights: list[Stored]) -> int | None:
    for index, weight in enumerate(weights):
        for turned, candidate in ((False, weight.value), (True, weight.value.T)):
            if _proportional(value, candidate):
                _refuse_other_channels(weight, turned)
                return index
    return None


def _proportional(value: Array, weight: Array) -> bool:
    # Up to one factor: the converter multiplies a kernel by a constant that follows it, and the
    # product lies on a grid of the same levels.
    if value.shape != weight.shape:
        return False
    place = int(np.argmax(np.abs(weight)))
    largest = weight.flat[place]
    if largest == 0.0:
        return not value.any()
    return bool(np.allclose(value, weight * (value.flat[place] / largest), rtol=1e-5, atol=0.0))


def _refuse_other_channels(weight: Stored, turned: bool) -> None:
    axis = weight.quantizer.channel_axis
    if axis is not None and axis != (1 if turned else 0):
        raise ExportError(
            f"{weight.path} is multiplied the other way round in the file, where the scales of its "
            f"channels (axis {axis}) would not fit. Quantize it PerTensor()."
        )


def _check(content: bytes, weights: list[Stored]) -> None:
    """That no weight was left in float without a word."""
    model = flatbuffer.read(content)
    left = _owners(model, weights)
    if left:
        weight = weights[next(iter(left.values()))]
        raise ExportError(
            f"litert-quantizer left {weight.path} in float32 instead of {weight.quantizer.bits} "
            "bits. Choose another granularity or number of bits, or leave the layer out."
        )
