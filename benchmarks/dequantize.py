"""The table that a file holds, read out of it by NumPy alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.export import flatbuffer
from tfcompress.streaming import release

Array = np.ndarray[Any, Any]
_HEAD = 1 << 20  # bytes that hold the flatbuffer of a file whose weights lie behind it
_SCALE = 8  # the place in the vtable of QuantizationParameters


class FileTable:
    """A table of int4 that lies behind a file's flatbuffer, as floats.

    Args:
        path: the file.
        shape: of the table, rows and columns.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.shape = shape
        with path.open("rb") as file:
            head = file.read(_HEAD)
        model = flatbuffer.schema.Model.GetRootAs(head, 0)
        graph = model.Subgraphs(0)
        tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
        tensor = next(t for t in tensors if t.ShapeLength() == 2 and _shape(t) == shape)
        while tensor.Type() != flatbuffer.schema.TensorType.INT4:
            tensors.remove(tensor)
            tensor = next(t for t in tensors if t.ShapeLength() == 2 and _shape(t) == shape)
        self._codes = _mapped(path, model.Buffers(tensor.Buffer()), np.uint8, shape[0])
        self._scales = _scales(path, model, graph, tensor, shape[0])

    def __getitem__(self, rows: slice) -> Array:
        """Rows, float32."""
        packed = np.array(self._codes[rows])
        codes = np.stack([packed & 15, packed >> 4], axis=-1).astype(np.int8)
        levels = ((codes ^ 8) - 8).reshape(len(packed), -1)
        scales = self._scales
        if scales.shape[0] > 1:
            scales = np.array(scales[rows], np.float32)
        for part in (self._codes, self._scales):
            release(part)
        blocks = levels.reshape(len(levels), scales.shape[1], -1) * scales[:, :, None]
        return blocks.reshape(len(levels), -1).astype(np.float32)


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(tensor.Shape(i)) for i in range(tensor.ShapeLength()))


def _mapped(path: Path, buffer: Any, kind: Any, rows: int) -> Array:
    width = buffer.Size() // rows // np.dtype(kind).itemsize
    return np.memmap(path, kind, "r", buffer.Offset(), (rows, width))


def _scales(path: Path, model: Any, graph: Any, tensor: Any, rows: int) -> Array:
    """`[rows, blocks]`, `[rows, 1]` or `[1, 1]`."""
    found = tensor.Quantization()
    if found.DetailsType() == flatbuffer.schema.QuantizationDetails.BlockwiseQuantization:
        blocks = flatbuffer.schema.BlockwiseQuantization()
        blocks.Init(found.Details().Bytes, found.Details().Pos)
        buffer = model.Buffers(graph.Tensors(blocks.Scales()).Buffer())
        return _mapped(path, buffer, np.float16, rows)
    if found.ScaleLength() == 1:
        return np.array([[found.Scale(0)]], np.float32)
    start = found._tab.Vector(found._tab.Offset(_SCALE))
    return np.memmap(path, np.float32, "r", start, (rows, 1))
