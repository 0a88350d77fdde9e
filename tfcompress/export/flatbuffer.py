"""Reading and writing TFLite's flatbuffer, without what a run does not need.

Beside the weights, a converted file holds a name for every tensor, one buffer for every tensor
without data, and each shape, index list and zero point once for every use. Written here, names are
gone, equal vectors and strings are stored once, and tensors without data share the empty buffer.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_OPERATORS = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
_TYPES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")
}
# Their order is more than what their tensors say.
_KEEPS_STATE = {"CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "IF", "WHILE"}
_IDENTIFIER = b"TFL3"
_BUFFER_ALIGNMENT = 16


def read(content: bytes) -> Any:
    """The `ModelT` of a file's bytes, its weights in its buffers wherever the file keeps them."""
    model = schema.ModelT.InitFromPackedBuf(content)
    for buffer in model.buffers:
        if buffer.data is None and buffer.size:  # behind the flatbuffer, found by offset
            part = content[buffer.offset : buffer.offset + buffer.size]
            buffer.data = np.frombuffer(part, np.uint8)
            buffer.offset = buffer.size = 0
    return model


def operator_name(model: Any, operator: Any) -> str:
    """Name of an operator, e.g. FULLY_CONNECTED."""
    return _OPERATORS[model.operatorCodes[operator.opcodeIndex].builtinCode]


def type_name(tensor: Any) -> str:
    """Name of a tensor's type, e.g. int8."""
    return _TYPES[tensor.type]


def constant(model: Any, tensor: Any) -> np.ndarray[Any, Any] | None:
    """The float32 value of a constant tensor, or None for any other."""
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0 or tensor.type != schema.TensorType.FLOAT32:
        return None
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32).reshape(tensor.shape)


def compact(content: bytes) -> bytes:
    """The same model in fewer bytes; every operator, weight and signature stays."""
    model = read(content)
    for graph in model.subgraphs:
        graph.name = None
        for tensor in graph.tensors:
            _strip(tensor)
    model.metadata = None
    model.metadataBuffer = None
    model.description = None
    _share_buffers(model)
    signatures = model.signatureDefs or []
    for index, graph in enumerate(model.subgraphs):
        own = [s for s in signatures if s.subgraphIndex == index]
        if _KEEPS_STATE.isdisjoint(operator_name(model, operator) for operator in graph.operators):
            _run_shared_first(graph, own, signatures)
        _number_by_use(graph, own)
    return pack(model)


def _strip(tensor: Any) -> None:
    tensor.name = None
    signature = tensor.shapeSignature
    if signature is not None and list(signature) == list(tensor.shape):
        tensor.shapeSignature = None
    found = tensor.quantization
    if found is not None and found.scale is None and found.details is None:
        tensor.quantization = None


def _share_buffers(model: Any) -> None:
    buffers = [schema.BufferT()]
    places: dict[bytes, int] = {b"": 0}
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    moved = []
    for number, buffer in enumerate(model.buffers):
        held = buffer.data is not None and number in used
        data = np.asarray(buffer.data, np.uint8).tobytes() if held else b""
        if data not in places:
            places[data] = len(buffers)
            buffers.append(buffer)
        moved.append(places[data])
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = moved[tensor.buffer]
    model.buffers = buffers


def _run_shared_first(graph: Any, own: list[Any], signatures: list[Any]) -> None:
    """Puts what needs an input of one signature alone behind all that others compute as well."""
    asked = [{_text(entry.name) for entry in signature.inputs} for signature in signatures]
    shared = set.intersection(*asked) if asked else set()
    inputs = [entry for signature in own for entry in signature.inputs]
    waiting = {entry.tensorIndex for entry in inputs if _text(entry.name) not in shared}
    first: list[Any] = []
    later: list[Any] = []
    for operator in graph.operators:
        waits = not waiting.isdisjoint(operator.inputs)
        waiting.update(operator.outputs if waits else ())
        (later if waits else first).append(operator)
    graph.operators = first + later


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _number_by_use(graph: Any, signatures: list[Any]) -> None:
    # Two signatures share their trunk. Where both number its tensors alike, their operators are
    # equal to the byte, and the file holds them once.
    used = [i for op in graph.operators for i in [*op.inputs, *op.outputs] if i >= 0]
    order = list(dict.fromkeys([*used, *graph.inputs, *graph.outputs]))
    # Scales of blocks are tensors of their own, named by the tensor that they belong to.
    order += [i for i in _block_scales([graph.tensors[old] for old in order]) if i not in order]
    place = {old: new for new, old in enumerate(order)} | {-1: -1}
    graph.tensors = [graph.tensors[old] for old in order]
    for tensor in graph.tensors:
        if tensor.quantization is not None and tensor.quantization.details is not None:
            details = tensor.quantization.details
            details.scales = place[details.scales]
            details.zeroPoints = place.get(details.zeroPoints, details.zeroPoints)
    graph.inputs = _renumbered(graph.inputs, place)
    graph.outputs = _renumbered(graph.outputs, place)
    for operator in graph.operators:
        operator.inputs = _renumbered(operator.inputs, place)
        operator.outputs = _renumbered(operator.outputs, place)
    for signature in signatures:
        for entry in [*signature.inputs, *signature.outputs]:
            entry.tensorIndex = place[entry.tensorIndex]


def _block_scales(tensors: list[Any]) -> list[int]:
    found = [t.quantization.details for t in tensors if t.quantization is not None]
    used = [i for d in found if d is not None for i in (d.scales, d.zeroPoints) if i > 0]
    return list(dict.fromkeys(used))


def _renumbered(indices: Any, place: dict[int, int]) -> np.ndarray[Any, Any]:
    return np.array([place[int(index)] for index in indices], np.int32)


def pack(model: Any) -> bytes:
    """The bytes of a `ModelT`."""
    builder = _SharingBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Stores equal vectors of numbers, strings and tables once.

    A flatbuffer refers to these by offset, and nothing forbids two references to one of them. What
    was just written and is there already is taken back by moving the head.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._known: dict[Any, int] = {}
        self._before = 0
        self._kind: Any = None
        self._slots: list[Any] = []

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        # Bytes hold the weights, which kernels want aligned (force_align in TFLite's schema).
        alignment = _BUFFER_ALIGNMENT if elemSize == 1 and numElems > 1 else alignment
        self._before = self.Offset()
        self._kind = (elemSize, numElems, alignment)
        return super().StartVector(elemSize, numElems, alignment)

    def PrependUOffsetTRelative(self, off: int) -> None:  # noqa: N802
        self._kind = None  # offsets are relative to where they stand: equal bytes mean nothing
        super().PrependUOffsetTRelative(off)

    def EndVector(self, numElems: int | None = None) -> int:  # noqa: N802, N803
        end = int(super().EndVector())
        if self._kind is None:
            return end
        size, count, _ = self._kind
        key = (self._kind, bytes(self.Bytes[self.head : self.head + 4 + size * count]))
        return self._shared(key, end, self._before)

    def CreateString(self, s: Any, encoding: str = "utf-8", errors: str = "strict") -> int:  # noqa: N802
        before = self.Offset()
        self._kind = None
        return self._shared(("text", s), int(super().CreateString(s, encoding, errors)), before)

    def StartObject(self, numfields: int) -> None:  # noqa: N802
        self._slots = [numfields]
        self._before = self.Offset()
        super().StartObject(numfields)

    def PrependSlot(self, flags: Any, o: int, x: Any, d: Any) -> None:  # noqa: N802
        self._slots.append((o, flags, x))
        super().PrependSlot(flags, o, x, d)

    def PrependUOffsetTRelativeSlot(self, o: int, x: int, d: Any) -> None:  # noqa: N802
        self._slots.append((o, "offset", int(x)))
        super().PrependUOffsetTRelativeSlot(o, x, d)

    def EndObject(self) -> int:  # noqa: N802
        key, before, layouts = tuple(self._slots), self._before, len(self.vtables)
        end = int(super().EndObject())
        known = self._shared(key, end, before)
        if known != end and len(self.vtables) > layouts:
            self.vtables.popitem()  # padded otherwise, it had a layout of its own, now taken back
        return known

    def _shared(self, key: Any, end: int, before: int) -> int:
        known = self._known.setdefault(key, end)
        if known != end:
            self.head = len(self.Bytes) - before
        return known
