"""A flatbuffer's tables by where they lie, which tells what every byte of a file is for."""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flatbuffers import number_types
from flatbuffers.table import Table

from tfcompress.errors import ExportError

IDENTIFIER = b"TFL3"
_HEAD = 8  # the offset of the root table, and the identifier


def root(content: Any, what: str) -> At:
    """The `Model` table of a file's bytes.

    Raises:
        ExportError: the bytes are no TFLite file.
    """
    if len(content) < _HEAD or bytes(content[4:_HEAD]) != IDENTIFIER:
        raise ExportError(
            f"{what} is not a TFLite file: received {len(content)} bytes that begin with "
            f"{bytes(content[:_HEAD])!r}, expected {IDENTIFIER.decode()} at byte 4."
        )
    return At(Table(content, struct.unpack_from("<I", content)[0]))


@dataclass(frozen=True)
class At:
    """A table at its place in a flatbuffer; slots are numbered as the schema lists its fields."""

    table: Any

    @property
    def place(self) -> int:
        """Where it begins."""
        return int(self.table.Pos)

    @property
    def end(self) -> int:
        """Where its own fields end; what they refer to lies elsewhere."""
        layout = self.place - self.table.Get(number_types.SOffsetTFlags, self.place)
        return self.place + int(self.table.Get(number_types.VOffsetTFlags, layout + 2))

    def _offset(self, slot: int) -> int:
        return int(self.table.Offset(4 + 2 * slot))

    def number(self, slot: int, flags: Any = number_types.Int32Flags, default: int = 0) -> int:
        """A field that is a number."""
        return int(self.table.GetSlot(4 + 2 * slot, default, flags))

    def below(self, slot: int) -> At | None:
        """A field that is a table."""
        offset = self._offset(slot)
        if not offset:
            return None
        return At(Table(self.table.Bytes, self.table.Indirect(self.place + offset)))

    def vector(self, slot: int) -> tuple[int, int] | None:
        """A field that is a vector or text: where its length stands, and this length."""
        offset = self._offset(slot)
        if not offset:
            return None
        return int(self.table.Vector(offset)) - 4, int(self.table.VectorLen(offset))

    def numbers(self, slot: int) -> list[int]:
        """A field that is a vector of int32."""
        found = self.vector(slot)
        if found is None:
            return []
        return list(struct.unpack_from(f"<{found[1]}i", self.table.Bytes, found[0] + 4))

    def tables(self, slot: int) -> list[At]:
        """A field that is a vector of tables."""
        found = self.vector(slot)
        if found is None:
            return []
        places = [found[0] + 4 + 4 * index for index in range(found[1])]
        return [At(Table(self.table.Bytes, self.table.Indirect(place))) for place in places]


@dataclass
class Bytes:
    """Who has which bytes of a file: the first who says so, for a place may be referred to twice.

    Attributes:
        length: of the file.
    """

    length: int
    _taken: dict[int, tuple[int, Hashable]] = field(default_factory=dict)

    def take(self, start: int, end: int, owner: Hashable) -> None:
        """Bytes from `start` to before `end`.

        Raises:
            ExportError: the file ends before.
        """
        if end > self.length or start < 0:
            raise ExportError(
                f"The file is cut off: it has {self.length} bytes, and refers to byte {end}."
            )
        if end > start:
            self._taken.setdefault(start, (end, owner))

    def table(self, table: At, owner: Hashable) -> None:
        """A table's own fields."""
        self.take(table.place, table.end, owner)

    def vector(
        self, table: At, slot: int, size: int, owner: Hashable, length: Hashable = None
    ) -> None:
        """A vector of numbers or offsets of `size` bytes each, with the length before it."""
        found = table.vector(slot)
        if found is not None:
            start, count = found
            self.take(start, start + 4, length or owner)
            self.take(start + 4, start + 4 + size * count, owner)

    def text(self, table: At, slot: int, owner: Hashable) -> None:
        """A text, with the length before it and the zero behind it."""
        found = table.vector(slot)
        if found is not None:
            self.take(found[0], found[0] + 4, owner)
            self.take(found[0] + 4, found[0] + 4 + found[1] + 1, owner)

    def shares(self) -> Iterator[tuple[Hashable, int]]:
        """Owners and how many bytes each has, in the order of the file; None has the rest.

        Raises:
            ExportError: parts of the file overlap, so that no sum would be right.
        """
        behind = 0
        for start, (end, owner) in sorted(self._taken.items(), key=lambda one: one[0]):
            if start < behind:
                raise ExportError(
                    f"Parts of the file overlap at byte {start}; expected a TFLite file as "
                    "converters write it."
                )
            if start > behind:
                yield None, start - behind
            yield owner, end - start
            behind = end
        if self.length > behind:
            yield None, self.length - behind
