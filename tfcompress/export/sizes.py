"""Where the bytes and multiply-adds of a TFLite file are."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np

from tfcompress.export import flatbuffer
from tfcompress.export.metadata import bytes_behind


def byte_counts(content: bytes) -> dict[str, int]:
    """Bytes of a file: all, compressed with gzip, weights, scales, and the graph around them.

    Of a file with metadata also `metadata`: its description and the files inside.
    """
    model = flatbuffer.read(content)
    described = {entry.buffer for entry in model.metadata or []}
    sizes = [0 if b.data is None else len(b.data) for b in model.buffers]
    metadata = sum(sizes[index] for index in described) + bytes_behind(content)
    weights = sum(size for index, size in enumerate(sizes) if index not in described)
    scales: dict[bytes, int] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            for vector in _quantization(tensor):
                scales[vector.tobytes()] = vector.nbytes
    held = sum(scales.values())
    return {
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, 9, mtime=0)),
        "weights": weights,
        "scales": held,
        "graph": len(content) - weights - held - metadata,
        **({"metadata": metadata} if metadata else {}),
    }


def _quantization(tensor: Any) -> list[np.ndarray[Any, Any]]:
    found = tensor.quantization
    if found is None or found.scale is None:
        return []
    return [np.asarray(found.scale), np.asarray(found.zeroPoint)]


def parameters(content: bytes) -> int:
    """Number of floating-point or quantized constants that the file stores, each buffer once."""
    model = flatbuffer.read(content)
    sizes = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data) and tensor.type not in _INTEGERS:
                sizes[tensor.buffer] = int(np.prod(tensor.shape)) if tensor.shape is not None else 1
    return sum(sizes.values())


_INTEGERS = {
    getattr(flatbuffer.schema.TensorType, name)
    for name in ("INT32", "INT64", "UINT8", "BOOL", "STRING")
}
_MATRIX = ("FULLY_CONNECTED", "BATCH_MATMUL")


def multiply_adds(content: bytes) -> dict[str, int]:
    """For each signature, the multiply-adds of its matrix products and convolutions at one call.

    Operators with open dimensions count them as one.
    """
    model = flatbuffer.read(content)
    counts = {}
    for signature in model.signatureDefs or []:
        graph = model.subgraphs[signature.subgraphIndex]
        counts[signature.signatureKey.decode()] = sum(
            _operator_multiply_adds(model, graph, operator) for operator in graph.operators
        )
    return counts


def _operator_multiply_adds(model: Any, graph: Any, operator: Any) -> int:
    name = flatbuffer.operator_name(model, operator)
    shapes = [_shape(graph.tensors[i]) for i in operator.inputs if i >= 0]
    out = int(np.prod(_shape(graph.tensors[operator.outputs[0]])))
    if name in _MATRIX:
        return out * int(shapes[0][-1])
    if name == "CONV_2D":
        return out * int(np.prod(shapes[1][1:]))
    if name == "DEPTHWISE_CONV_2D":
        return out * int(np.prod(shapes[1][1:3]))
    return 0


def _shape(tensor: Any) -> Any:
    # What MATRIX_DIAG gives has none in a file.
    return tensor.shape if tensor.shape is not None else [1]


def operators(content: bytes) -> dict[str, int]:
    """How many operators of each kind the file runs, over all signatures."""
    model = flatbuffer.read(content)
    counts: dict[str, int] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            name = flatbuffer.operator_name(model, operator)
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))
