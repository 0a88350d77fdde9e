"""Where the bytes and multiply-adds of a TFLite file are."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np

from tfcompress.export import flatbuffer
from tfcompress.export.layout import GRAPH, METADATA, SCALES, WEIGHTS, layout, totals
from tfcompress.export.loops import body_and_condition, turns


def byte_counts(content: bytes, what: str = "The file") -> dict[str, int]:
    """Where the bytes of a file are: `weights`, `scales`, `graph` and `metadata` add up to `bytes`.

    Weights are all constants, biases, shapes and the indices of sparse ones included; scales come
    with their zero points. What is used twice and stored once counts once. `gzip_bytes` is the
    file compressed with gzip; `what` is how errors call it.

    Raises:
        ExportError: the bytes are no TFLite file, or cut off.
    """
    found = totals(layout(content, what))
    return {
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, 9, mtime=0)),
        **{name: found[name] for name in (WEIGHTS, SCALES, "graph", METADATA)},
    }


def graph_bytes(content: bytes) -> dict[str, int]:
    """Bytes of the parts of a file's graph, which add up to `graph` of `byte_counts`.

    `operators` with their kinds and settings; `tensors` with their shapes and buffers; `names` of
    tensors; `signatures`, inputs and outputs; and `layout`, of tables and of what aligns them.
    """
    found = totals(layout(content))
    return {name: found[name] for name in GRAPH}


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

    The body of a loop counts as often as it runs. Operators with open dimensions count them as one,
    and so do loops over them.
    """
    model = flatbuffer.read(content)
    return {
        signature.signatureKey.decode(): _graph_multiply_adds(model, signature.subgraphIndex)
        for signature in model.signatureDefs or []
    }


def _graph_multiply_adds(model: Any, number: int) -> int:
    graph = model.subgraphs[number]
    return sum(_operator_multiply_adds(model, graph, operator) for operator in graph.operators)


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
    if name == "TRANSPOSE_CONV":  # every input meets the whole kernel `[out, h, w, in]`
        return int(np.prod(shapes[2])) * int(np.prod(shapes[1][:-1]))
    if name == "WHILE":
        body, _ = body_and_condition(operator)
        return turns(model, graph, operator) * _graph_multiply_adds(model, body)
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
