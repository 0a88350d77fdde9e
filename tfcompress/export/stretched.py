"""Files whose tables were never in memory: a small graph, then scales and codes by streaming.

TFLite's flatbuffer ends at 2 GB, and its converter holds several copies of every weight. Here the
model is converted and quantized with small stand-ins; what it says of rows is carried over to all
of them (`extrapolate`), the codes lie behind the flatbuffer, where `Buffer.offset` finds them, and
so do the scales of rows, of which one copy serves every tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from tfcompress.errors import ExportError
from tfcompress.export import flatbuffer
from tfcompress.export.apart import ApartModel
from tfcompress.export.extrapolate import Other, extrapolate
from tfcompress.export.patch import Part, Patches
from tfcompress.export.stand_in import MOST, coded, stand_in_values, with_stand_ins
from tfcompress.layers import MappedEmbedding
from tfcompress.layers.mapped import CHUNK_BYTES
from tfcompress.streaming import row_slices

Array = np.ndarray[Any, Any]
Build = Callable[[Any], bytes]
_TALLER = 1_024  # rows, in the second graph
_ALIGNED = 64


@dataclass
class _Places:
    """Where a table is in a `ModelT`: its buffers, and tensors whose scales are of its rows."""

    codes: set[int] = field(default_factory=set)
    scales: set[int] = field(default_factory=set)
    by_row: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Stretched:
    """A file that is yet to be written.

    Attributes:
        outline: the same model without the rows; for counting operators, not for running.
        head: the flatbuffer, which points at what lies behind it.
        tables: by path the layer, and where its codes and scales go.
    """

    outline: bytes
    head: Patches
    tables: Mapping[str, tuple[MappedEmbedding, Part, Part | None]]

    @property
    def bytes(self) -> int:
        """Of the whole file."""
        return self.head.end

    def write(self, path: Path) -> None:
        """Writes the file, a chunk of rows after the other.

        Raises:
            SpecError: a row that holds a number that is not finite.
        """
        console = Console(stderr=True)
        total = sum(layer.input_dim for layer, _, _ in self.tables.values())
        with (
            path.open("wb") as file,
            Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
        ):
            task = progress.add_task("Writing tables", total=total)
            self.head.write(file)
            for layer, codes, scales in self.tables.values():
                for rows in row_slices(layer.table.shape, CHUNK_BYTES):
                    part = coded(layer.table[rows], layer.quantizer)
                    _put(file, codes, layer.input_dim, rows.start, part.codes)
                    if scales is not None and part.scales is not None:
                        _put(file, scales, layer.input_dim, rows.start, part.scales)
                    progress.advance(task, rows.stop - rows.start)

    def run(self, path: Path) -> ApartModel:
        """What runs it once it is written, in a process of its own."""
        return ApartModel(path)

    def counted(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Bytes by kind, from those of the outline; not those of gzip, which reads all of it."""
        codes = sum(part.bytes for _, part, _ in self.tables.values())
        by_block = sum(s.bytes for t, _, s in self.tables.values() if s and _in_blocks(t))
        by_row = sum(s.bytes for t, _, s in self.tables.values() if s and not _in_blocks(t))
        weights = sizes["weights"] + codes + by_block
        scales = sizes["scales"] + by_row + self.head.zeros
        graph = self.bytes - weights - scales
        return {"bytes": self.bytes, "weights": weights, "scales": scales, "graph": graph}


def _put(file: Any, part: Part, rows: int, first: int, values: Array) -> None:
    file.seek(part.start + first * (part.bytes // rows))
    file.write(values.tobytes())


def _in_blocks(layer: MappedEmbedding) -> bool:
    return layer.quantizer is not None and bool(layer.quantizer.block)


def stretched(model: Any, mapped: Mapping[str, MappedEmbedding], build: Build) -> Stretched:
    """The file of a model with tables that stay in theirs.

    Args:
        model: a model.
        mapped: its `MappedEmbedding`s by path.
        build: makes the file of a model without any.

    Raises:
        ExportError: `build` does, or the graph depends on a table in another way than by looking
            rows up and scoring them.
    """
    few = {path: min(layer.input_dim, MOST) for path, layer in mapped.items()}
    base_model, first, places = _built(model, mapped, few, build)
    others = []
    for path, layer in mapped.items():
        taller = {**few, path: few[path] + _TALLER}
        _, other, _ = _built(base_model, mapped, taller, build)
        others.append(Other(other, _TALLER, layer.input_dim - few[path]))
    extrapolate(first, others)
    return _laid_out(first, mapped, places)


def _built(
    model: Any, mapped: Mapping[str, MappedEmbedding], rows: Mapping[str, int], build: Build
) -> tuple[Any, Any, dict[str, _Places]]:
    """A model with stand-ins, its `ModelT` without their rows, and where those were."""
    values = {
        path: stand_in_values(layer, rows[path], seed)
        for seed, (path, layer) in enumerate(mapped.items())
    }
    small = with_stand_ins(model, mapped, values)
    file = flatbuffer.read(build(small))
    used = {tensor.buffer for graph in file.subgraphs for tensor in graph.tensors}
    for number, buffer in enumerate(file.buffers):
        if number not in used:  # metadata that nobody reads any more, of this very file
            buffer.data = None
    places = {path: _find(file, path, layer, values[path]) for path, layer in mapped.items()}
    for number, found in enumerate(places.values()):
        for buffer in found.codes | found.scales:
            file.buffers[buffer].data = None
        for quantization in found.by_row:
            quantization.scale = np.array([_marker(number)], np.float32)
            quantization.zeroPoint = np.zeros(1, np.int64)
            quantization.min = quantization.max = None
    return small, file, places


def _marker(number: int) -> float:
    return (number + 1) * 2.0**-140  # a scale that no weight has, so that nothing else is shared


def _find(file: Any, path: str, layer: MappedEmbedding, values: Array) -> _Places:
    expected = coded(values, layer.quantizer)
    content, places = expected.codes.tobytes(), _Places()
    for graph in file.subgraphs:
        for tensor in graph.tensors:
            data = file.buffers[tensor.buffer].data
            if data is None or len(data) != len(content) or bytes(data) != content:
                continue
            places.codes.add(tensor.buffer)
            found = tensor.quantization
            if found is None or expected.scales is None:
                continue
            if found.details is not None:
                places.scales.add(graph.tensors[found.details.scales].buffer)
            elif not any(found is one for one in places.by_row):
                places.by_row.append(found)
    scaled = places.scales or places.by_row or expected.scales is None
    if len(places.codes) != 1 or len(places.scales) > 1 or not scaled:
        raise ExportError(
            f"The table of {path} is in the converted graph {len(places.codes)} times as it is "
            "stored; expected once. Look its rows up by calling the layer, and score with "
            "tfcompress.scores(vectors, layer)."
        )
    return places


def _laid_out(
    file: Any, mapped: Mapping[str, MappedEmbedding], places: Mapping[str, _Places]
) -> Stretched:
    external = {b for found in places.values() for b in found.codes | found.scales}
    for buffer in external:
        file.buffers[buffer].data = np.zeros(2, np.uint8)
    outline = flatbuffer.pack(file)
    for buffer in external:
        file.buffers[buffer].data = None
        file.buffers[buffer].offset, file.buffers[buffer].size = buffer + 2, 2
    patches = Patches(flatbuffer.pack(file), _ALIGNED)
    ones = {path: coded(layer.table[0:1], layer.quantizer) for path, layer in mapped.items()}
    # Scales of rows first: a flatbuffer finds these by offsets of 32 bits.
    scales: dict[str, Part | None] = {
        path: patches.vector(_marker(number), layer.input_dim) if places[path].by_row else None
        for number, (path, layer) in enumerate(mapped.items())
    }
    tables = {}
    for path, layer in mapped.items():
        for buffer in places[path].scales:
            one = ones[path].scales
            scales[path] = patches.buffer(
                buffer, layer.input_dim * (0 if one is None else one.nbytes)
            )
        (buffer,) = places[path].codes
        codes = patches.buffer(buffer, layer.input_dim * ones[path].codes.nbytes)
        tables[path] = layer, codes, scales[path]
    return Stretched(outline, patches, tables)
