"""TFLite metadata: what a file says about its inputs, and small files inside it.

The convention: a buffer under the name TFLITE_METADATA holds a flatbuffer of its own, which names
the model's inputs and outputs and the files that belong to them; these files lie in a zip archive
behind the model. LiteRT maps the model and reads no further; `unzip` and metadata extractors find
the archive from the end. Entries are not compressed, as extractors want them.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfcompress.export import flatbuffer

ENTRY = b"TFLITE_METADATA"
DESCRIPTIONS, VOCABULARY = 1, 5  # AssociatedFileType
_IDENTIFIER, _PARSER = b"M001", "1.0.1"  # the version that knows VOCABULARY
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # so that the same model is the same bytes


@dataclass(frozen=True)
class Attached:
    """A file inside the model's file.

    Attributes:
        name: of the file.
        content: its bytes.
        description: what it is.
        kind: DESCRIPTIONS or VOCABULARY.
    """

    name: str
    content: bytes
    description: str
    kind: int


@dataclass(frozen=True)
class Tensor:
    """An input or output.

    Attributes:
        name: in its signature.
        description: what goes in or comes out.
        files: the names of the files that belong to it.
    """

    name: str
    description: str = ""
    files: tuple[str, ...] = ()


def attach(
    content: bytes, files: Sequence[Attached], inputs: Mapping[str, Sequence[Tensor]]
) -> bytes:
    """The same model with metadata and files.

    Args:
        content: a TFLite file.
        files: what to put inside.
        inputs: for each signature what is known of its inputs; others get their names alone.
    """
    if not files:
        return content
    model = flatbuffer.read(content)
    entry = schema.MetadataT()
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.frombuffer(_description(model, files, inputs), np.uint8)
    model.metadata = [*(model.metadata or []), entry]
    return _zipped(flatbuffer.pack(model), files)


def _zipped(content: bytes, files: Sequence[Attached]) -> bytes:
    whole = io.BytesIO()
    whole.write(content)
    # Written from here on, so that offsets count from the start of the whole file.
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(file.name, _FIRST_DAY), file.content)
    return whole.getvalue()


def attached(content: bytes) -> dict[str, bytes]:
    """The files inside a TFLite file, by name; none, where it has no archive."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def bytes_behind(content: bytes) -> int:
    """How many bytes the archive behind a model takes."""
    # Without the entry, what looks like an archive is weights.
    if ENTRY not in bytes(content) or not zipfile.is_zipfile(io.BytesIO(content)):
        return 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return len(content) - min(info.header_offset for info in archive.infolist())


def _description(
    model: Any, files: Sequence[Attached], inputs: Mapping[str, Sequence[Tensor]]
) -> bytes:
    builder = flatbuffers.Builder(1024)
    write = _Writer(builder, {file.name: file for file in files})
    graphs = []
    signatures = {s.subgraphIndex: s for s in model.signatureDefs or []}
    for number, graph in enumerate(model.subgraphs):
        signature = signatures.get(number)
        name = signature.signatureKey.decode() if signature is not None else ""
        known = {tensor.name: tensor for tensor in inputs.get(name, ())}
        ends = [
            [known.get(tensor, Tensor(tensor)) for tensor in _names(places, maps)]
            for places, maps in (
                (graph.inputs, signature.inputs if signature else []),
                (graph.outputs, signature.outputs if signature else []),
            )
        ]
        graphs.append(write.graph(name, ends[0], ends[1]))
    builder.Finish(write.model(graphs), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _names(places: Sequence[int], maps: Sequence[Any]) -> list[str]:
    named = {entry.tensorIndex: entry.name.decode() for entry in maps}
    return [named.get(int(place), "") for place in places]


class _Writer:
    """Writes the tables of TFLite's metadata_schema.fbs; numbers are the places of their fields."""

    def __init__(self, builder: Any, files: Mapping[str, Attached]) -> None:
        self._builder = builder
        self._files = files

    def model(self, graphs: list[int]) -> int:
        files = self._vector([self._file(file) for file in self._files.values()])
        return self._table(8, {3: self._vector(graphs), 6: files, 7: self._text(_PARSER)})

    def graph(self, name: str, inputs: list[Tensor], outputs: list[Tensor]) -> int:
        ends = [self._vector([self._tensor(t) for t in some]) for some in (inputs, outputs)]
        return self._table(8, {0: self._text(name), 2: ends[0], 3: ends[1]})

    def _tensor(self, tensor: Tensor) -> int:
        fields = {0: self._text(tensor.name), 1: self._text(tensor.description)}
        files = [self._file(self._files[name]) for name in tensor.files]
        return self._table(7, fields | ({6: self._vector(files)} if files else {}))

    def _file(self, file: Attached) -> int:
        fields = {0: self._text(file.name), 1: self._text(file.description)}
        return self._table(4, fields, lambda b: b.PrependInt8Slot(2, file.kind, 0))

    def _text(self, text: str) -> int:
        return int(self._builder.CreateSharedString(text)) if text else 0

    def _vector(self, offsets: list[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def _table(
        self, slots: int, offsets: Mapping[int, int], more: Callable[[Any], None] | None = None
    ) -> int:
        self._builder.StartObject(slots)
        for slot, offset in offsets.items():
            self._builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        if more is not None:
            more(self._builder)
        return int(self._builder.EndObject())
