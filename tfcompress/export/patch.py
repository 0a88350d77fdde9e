"""Pointing a flatbuffer at what lies behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.export import flatbuffer

_SCALE, _ZERO_POINT = 8, 10  # places in the vtable of QuantizationParameters
_OFFSET, _SIZE = 6, 8  # and in that of Buffer
_LENGTH = 4  # bytes of a vector's length, which stands before it
_REACH = 2**31 - 1  # of an offset in a flatbuffer


@dataclass(frozen=True)
class Part:
    """A piece of a file behind its flatbuffer.

    Attributes:
        start: where it begins.
        bytes: how long it is.
    """

    start: int
    bytes: int


class Patches:
    """A flatbuffer to which parts are added behind its end.

    Args:
        content: the flatbuffer. Buffers that are to lie behind it have an offset and a size.
        alignment: of every part.

    Attributes:
        end: where the file ends so far.
        zeros: bytes of zero points, which are never written.
    """

    def __init__(self, content: bytes, alignment: int = 64) -> None:
        self._alignment = alignment
        self._content = bytearray(content)
        self._lengths: list[tuple[int, int]] = []  # where a vector's length goes, and the length
        self._zeros: dict[int, int] = {}
        self.end = len(content)
        self.zeros = 0

    def buffer(self, index: int, size: int) -> Part:
        """Puts the data of a buffer of the model behind what there is."""
        part = self._part(size)
        table = flatbuffer.schema.Model.GetRootAs(self._content, 0).Buffers(index)._tab
        for field, value in ((_OFFSET, part.start), (_SIZE, size)):
            self._write(table.Pos + table.Offset(field), np.uint64(value))
        return part

    def vector(self, marker: float, rows: int) -> Part:
        """Puts float32 scales of so many rows, and zero points, behind what there is.

        Args:
            marker: the one scale that stands in the place of them.
            rows: how many.

        Raises:
            ExportError: they would begin where no flatbuffer can point to.
        """
        part = self._vector(rows, 4)
        if rows not in self._zeros:
            self._zeros[rows] = self._vector(rows, 8).start
            self.zeros += 8 * rows
        for table in self._quantizations(np.float32(marker)):
            for field, start in ((_SCALE, part.start), (_ZERO_POINT, self._zeros[rows])):
                slot = table.Pos + table.Offset(field)
                self._write(slot, np.uint32(start - _LENGTH - slot))
        return part

    def write(self, file: Any) -> None:
        """Writes the flatbuffer and the lengths of its vectors, and makes the file its full size.

        Zero points, which are zeros, need no more.
        """
        file.write(self._content)
        for place, length in self._lengths:
            file.seek(place)
            file.write(np.uint32(length).tobytes())
        file.truncate(self.end)

    def _vector(self, rows: int, size: int) -> Part:
        self.end += self._alignment  # the length stands before an aligned start
        part = self._part(rows * size)
        if part.start > _REACH:
            raise ExportError(
                f"The scales of {rows:,} rows begin at byte {part.start:,}; a flatbuffer points to "
                f"{_REACH:,} at most. Store the table PerBlock(32), whose scales lie elsewhere, or "
                "PerTensor()."
            )
        self._lengths.append((part.start - _LENGTH, rows))
        return part

    def _part(self, size: int) -> Part:
        start = -(-self.end // self._alignment) * self._alignment
        self.end = start + size
        return Part(start, size)

    def _quantizations(self, marker: Any) -> list[Any]:
        model = flatbuffer.schema.Model.GetRootAs(self._content, 0)
        graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
        tensors = [graph.Tensors(i) for graph in graphs for i in range(graph.TensorsLength())]
        found = [tensor.Quantization() for tensor in tensors]
        return [q._tab for q in found if q is not None and q.ScaleLength() and q.Scale(0) == marker]

    def _write(self, place: int, value: Any) -> None:
        raw = value.tobytes()
        self._content[place : place + len(raw)] = raw
