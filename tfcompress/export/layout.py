"""What every byte of a TFLite file is for, and which operator is the first to need it."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flatbuffers import number_types

from tfcompress.errors import ExportError
from tfcompress.export.metadata import bytes_behind
from tfcompress.export.tables import At, Bytes, root

Place = tuple[int, int] | None
Parts = dict[str, int]

WEIGHTS, SCALES, METADATA = "weights", "scales", "metadata"
OPERATORS, TENSORS, NAMES, SIGNATURES, LAYOUT = (
    "operators", "tensors", "names", "signatures", "layout"
)  # fmt: skip
GRAPH = (OPERATORS, TENSORS, NAMES, SIGNATURES, LAYOUT)
"""The parts of a graph: operators with their kinds and settings, tensors with their shapes, names
of tensors, what can be asked, and layouts of tables with what is between them to align them."""

_BLOCKWISE = 2  # tag of `QuantizationDetails` in the schema
_UNSIGNED = number_types.Uint64Flags


def layout(content: Any, what: str = "The file") -> dict[Place, Parts]:
    """Bytes of a file by operator and part; all of them together are the file, to the byte.

    What several operators use is the first one's, in the order in which they run.

    Args:
        content: the file's bytes.
        what: how errors call the file.

    Returns:
        For each operator, by number of its graph and its own in it, bytes of each part that it has.
        Under None stands what no operator has.

    Raises:
        ExportError: the bytes are no TFLite file, it is cut off, or parts of it overlap.
    """
    try:
        bytes_ = Bytes(len(content))
        behind = bytes_behind(content)
        if behind:
            bytes_.take(len(content) - behind, len(content), (METADATA, None))
        _Walk(root(content, what), bytes_).all()
    except (struct.error, IndexError, ValueError, TypeError) as error:
        raise ExportError(
            f"{what} is cut off or damaged: of {len(content)} bytes not all could be read "
            f"({error}). Copy or export it again."
        ) from error
    found: dict[Place, Counter[str]] = {None: Counter()}
    for owner, count in bytes_.shares():
        part, place = owner if isinstance(owner, tuple) else (LAYOUT, None)
        found.setdefault(place, Counter())[part] += count
    return {place: dict(parts) for place, parts in found.items()}


def totals(parts: dict[Place, Parts]) -> Parts:
    """Bytes of each part over all operators, every part being there.

    Example:
        >>> totals({(0, 0): {"weights": 8, "operators": 2}, None: {"layout": 4}})["graph"]
        6
    """
    sums: Counter[str] = Counter()
    for one in parts.values():
        sums.update(one)
    found = {name: sums[name] for name in (WEIGHTS, SCALES, METADATA, *GRAPH)}
    return found | {"graph": sum(found[name] for name in GRAPH)}


@dataclass
class _Walk:
    """Goes through a file and says of each part whose it is. Slots are those of the schema."""

    model: At
    bytes: Bytes

    def all(self) -> None:
        self.buffers = self.model.tables(4)
        self.seen: set[int] = set()
        self.bytes.take(0, 8, (LAYOUT, None))
        self.bytes.table(self.model, (LAYOUT, None))
        self._metadata()
        graphs = self.model.tables(2)
        scales = {index: set(_scales_of_blocks(graph)) for index, graph in enumerate(graphs)}
        for index, graph in enumerate(graphs):
            self._graph(index, graph, scales[index])
        for slot in (1, 2, 4):
            self.bytes.vector(self.model, slot, 4, (TENSORS if slot == 4 else OPERATORS, None))
        for code in self.model.tables(1):
            self.bytes.table(code, (OPERATORS, None))
            self.bytes.text(code, 1, (OPERATORS, None))
        for number in range(len(self.buffers)):
            self._buffer(number, WEIGHTS, None)  # nobody reads it
        self._signatures()

    def _metadata(self) -> None:
        owner = (METADATA, None)
        self.bytes.text(self.model, 3, owner)
        self.bytes.vector(self.model, 5, 4, owner)
        self.bytes.vector(self.model, 6, 4, owner)
        numbers = self.model.numbers(5)
        for entry in self.model.tables(6):
            self.bytes.table(entry, owner)
            self.bytes.text(entry, 0, owner)
            numbers.append(entry.number(1))
        for number in numbers:
            if number:  # the first buffer is everybody's empty one
                self._buffer(number, METADATA, None)

    def _signatures(self) -> None:
        owner = (SIGNATURES, None)
        self.bytes.vector(self.model, 7, 4, owner)
        for one in self.model.tables(7):
            self.bytes.table(one, owner)
            self.bytes.text(one, 2, owner)
            for slot in (0, 1):
                self.bytes.vector(one, slot, 4, owner)
                for entry in one.tables(slot):
                    self.bytes.table(entry, owner)
                    self.bytes.text(entry, 0, owner)

    def _graph(self, number: int, graph: At, scales: set[int]) -> None:
        self.tensors = graph.tables(0)
        self.block_scales = scales
        for place, operator in enumerate(graph.tables(3)):
            self._operator(operator, (number, place))
        for tensor in range(len(self.tensors)):
            self._tensor(tensor, None)
        self.bytes.table(graph, (OPERATORS, None))
        self.bytes.text(graph, 4, (NAMES, None))
        for slot, part in ((0, TENSORS), (1, SIGNATURES), (2, SIGNATURES), (3, OPERATORS)):
            self.bytes.vector(graph, slot, 4, (part, None))

    def _operator(self, operator: At, place: Place) -> None:
        owner = (OPERATORS, place)
        self.bytes.table(operator, owner)
        for slot, size in ((1, 4), (2, 4), (5, 1), (7, 1), (8, 4)):
            self.bytes.vector(operator, slot, size, owner)
        for slot in (4, 12):
            options = operator.below(slot)
            if options is not None:
                self.bytes.table(options, owner)
        large = operator.number(9, _UNSIGNED)
        if large:
            self.bytes.take(large, large + operator.number(10, _UNSIGNED), owner)
        for slot in (1, 8, 2):
            for tensor in operator.numbers(slot):
                if tensor >= 0:
                    self._tensor(tensor, place)

    def _tensor(self, number: int, place: Place) -> None:
        tensor = self.tensors[number]
        self._buffer(tensor.number(2), SCALES if number in self.block_scales else WEIGHTS, place)
        owner = (TENSORS, place)
        self.bytes.table(tensor, owner)
        self.bytes.vector(tensor, 0, 4, owner)
        self.bytes.vector(tensor, 7, 4, owner)
        self.bytes.vector(tensor, 9, 4, owner)
        self.bytes.text(tensor, 3, (NAMES, place))
        for variant in tensor.tables(9):
            self.bytes.table(variant, owner)
            self.bytes.vector(variant, 0, 4, owner)
        quantization, sparsity = tensor.below(4), tensor.below(6)
        if quantization is not None:
            self._quantization(quantization, place)
        if sparsity is not None:
            self._sparsity(sparsity, place)

    def _quantization(self, found: At, place: Place) -> None:
        owner = (TENSORS, place)
        self.bytes.table(found, owner)
        for slot, size in ((0, 4), (1, 4), (2, 4), (3, 8)):
            self.bytes.vector(found, slot, size, (SCALES, place), owner)
        details = found.below(5)
        if details is None:
            return
        self.bytes.table(details, owner)
        if found.number(4, number_types.Uint8Flags) == _BLOCKWISE:
            self.bytes.vector(details, 3, 4, owner)
            for slot in (0, 1):
                if details.number(slot) > 0:
                    self._tensor(details.number(slot), place)
        else:
            self.bytes.vector(details, 0, 1, owner)

    def _sparsity(self, found: At, place: Place) -> None:
        # Which weights are stored is told by their indices; both together are the weights.
        owner = (WEIGHTS, place)
        self.bytes.table(found, owner)
        for slot in (0, 1, 2):
            self.bytes.vector(found, slot, 4, owner)
        for axis in found.tables(2):
            self.bytes.table(axis, owner)
            for slot in (2, 4):
                values = axis.below(slot + 1)
                if values is not None:
                    self.bytes.table(values, owner)
                    kind = axis.number(slot, number_types.Uint8Flags)
                    self.bytes.vector(values, 0, _INDEX_BYTES[kind], owner)

    def _buffer(self, number: int, part: str, place: Place) -> None:
        if number in self.seen:
            return
        self.seen.add(number)
        buffer = self.buffers[number]
        owner = (METADATA, place) if part == METADATA else (TENSORS, place)
        self.bytes.table(buffer, owner)
        self.bytes.vector(buffer, 0, 1, (part, place), owner)
        start = buffer.number(1, _UNSIGNED)
        if start > 1:  # behind the flatbuffer
            self.bytes.take(start, start + buffer.number(2, _UNSIGNED), (part, place))


_INDEX_BYTES = {1: 4, 2: 2, 3: 1}  # Int32Vector, Uint16Vector, Uint8Vector


def _scales_of_blocks(graph: At) -> Iterator[int]:
    for tensor in graph.tables(0):
        quantization = tensor.below(4)
        details = None if quantization is None else quantization.below(5)
        if quantization is None or details is None:
            continue
        if quantization.number(4, number_types.Uint8Flags) == _BLOCKWISE:
            yield from (details.number(slot) for slot in (0, 1) if details.number(slot) > 0)
