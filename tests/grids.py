"""Grids by their definition, in NumPy, and as a file holds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.export import flatbuffer

_KINDS = flatbuffer.schema.TensorType
_BITS = {_KINDS.INT2: 2, _KINDS.INT4: 4, _KINDS.INT8: 8}


def held_in_blocks(step: Any) -> Any:
    """Eight significant bits, halves to even: NumPy has no bfloat16."""
    fraction, exponent = np.frexp(step)
    return np.ldexp(np.round(fraction * 256) / 256, exponent).astype(np.float32)


def rounded(weights: Any, step: Any, top: int) -> Any:
    """The definition: `round(w / s) * s`, clipped."""
    return np.clip(np.round(weights / step), -top, top) * step


def integers_in(content: bytes) -> list[tuple[Any, Any, int]]:
    """Codes, steps that fit them, and bits of each matrix in few bits of a file's first graph."""
    model = flatbuffer.read(content)
    graph = model.subgraphs[0]
    found = {}
    for tensor in graph.tensors:
        data = model.buffers[tensor.buffer].data
        if tensor.type in _BITS and data is not None and len(data) and len(tensor.shape) > 1:
            bits = _BITS[tensor.type]
            codes = unpacked(np.asarray(data, np.uint8), bits, tensor.shape)
            found[tensor.buffer] = codes, _steps(model, graph, tensor), bits
    return list(found.values())


def unpacked(data: Any, bits: int, shape: Any) -> Any:
    """Codes of so many bits each, the first in the lowest bits of a byte."""
    places = np.arange(0, 8, bits)
    codes = (data[:, None] >> places & (2**bits - 1)).reshape(-1)[: np.prod(shape)].astype(int)
    return np.where(codes >= 2 ** (bits - 1), codes - 2**bits, codes).reshape(shape)


def _steps(model: Any, graph: Any, tensor: Any) -> Any:
    quantization = tensor.quantization
    if quantization.details is not None:
        scales = graph.tensors[quantization.details.scales]
        data = np.asarray(model.buffers[scales.buffer].data, np.uint8).tobytes()
        steps = np.frombuffer(data, np.float16).astype(np.float32).reshape(tensor.shape[0], -1)
        return np.repeat(steps, tensor.shape[1] // steps.shape[1], axis=1)
    shape = [1] * len(tensor.shape)
    shape[quantization.quantizedDimension] = -1
    return np.reshape(quantization.scale, shape)
