"""Finds out what LiteRT can store and run, by storing and running it; writes the table of it.

python -m tfcompress.export.modes

What the table has of the same versions is kept; without the table everything is tried anew.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from litert_quantizer import qtyping, quantizer

from tfcompress.apply import finalize
from tfcompress.calibration import observe
from tfcompress.errors import ExportError
from tfcompress.export import flatbuffer
from tfcompress.export.convert import convert
from tfcompress.export.find import Stored, stored_weights
from tfcompress.export.lowering import lowered
from tfcompress.export.mode_subjects import SUBJECTS, ZEROS, with_zeros, without_zeros
from tfcompress.export.quantize import MARK, granularity, mark, quantize
from tfcompress.export.ranges import by_name, take_ranges
from tfcompress.export.runtime import LiteModel
from tfcompress.export.signature import default_signatures
from tfcompress.export.sizes import operators
from tfcompress.keras import keras
from tfcompress.layers import Compressed, FakeQuantizer, HalfPrecision, Integer, weight_roles
from tfcompress.measure import FLOAT_BITS
from tfcompress.techniques import modes
from tfcompress.techniques.modes import (
    BLOCK,
    CHANNEL,
    DYNAMIC,
    FLOAT,
    HALF_BITS,
    STATIC,
    TENSOR,
    WHOLE,
    Mode,
    Row,
)
from tfcompress.techniques.quantize import Granularity, PerBlock, PerChannel, PerTensor

_TOLERANCE = 0.05
_GRIDS: dict[str, Granularity] = {
    TENSOR: PerTensor(),
    CHANNEL: PerChannel(),
    BLOCK: PerBlock(32),
}
_PACKAGES = ("ai-edge-litert", "litert-quantizer")


def tried() -> Iterator[Mode]:
    """Everything that is tried."""
    for name, subject in SUBJECTS.items():
        for bits in (FLOAT_BITS, HALF_BITS):
            yield Mode(name, bits, WHOLE, FLOAT)
        kinds = (FLOAT, DYNAMIC, STATIC) if subject.in_integers else (FLOAT, DYNAMIC)
        for bits, grid, activations in product((2, 4, 8), _GRIDS, kinds):
            yield Mode(name, bits, grid, activations)
        for zeros in ZEROS if subject.sparse else ():
            yield Mode(name, FLOAT_BITS, WHOLE, FLOAT, zeros)
            yield Mode(name, 8, CHANNEL, DYNAMIC, zeros)


def found(mode: Mode) -> Row:
    """What becomes of a mode."""
    remark = ""
    try:
        deviation, remark = _tried(mode)
    except Exception as error:  # whatever it is, it is the finding
        return Row(**asdict(mode), runs=False, deviation=None, reason=_short(error))
    if not deviation <= _TOLERANCE:
        remark = f"outputs deviate by {deviation:.2g}"
    finite = deviation if np.isfinite(deviation) else None
    runs = deviation <= _TOLERANCE
    return Row(**asdict(mode), runs=runs, deviation=finite, reason=remark)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "litert-quantizer refuses it" if "policy" in text or "upported" in text else text[:90]


def _tried(mode: Mode) -> tuple[float, str]:
    """The deviation of a file's outputs, and what else is to be said of it."""
    keras.utils.set_random_seed(1)
    subject = SUBJECTS[mode.operator]
    model = subject.model()
    if mode.zeros:
        with_zeros(model, ZEROS[mode.zeros])
    elif mode.bits < FLOAT_BITS:
        model = _compressed(model, mode)
    batch = subject.batch(model)
    if mode.activations == STATIC:
        observe(model, [batch])
    signatures = default_signatures(model)
    name = next(iter(signatures["serve"].inputs))
    content = _content(mode, model, signatures)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        answer = _in_a_process(path, [{name: row[None]} for row in batch[:8]])
    filled = mode.zeros and "DENSIFY" in operators(content)
    return _apart(answer, model(batch[:8]).numpy()), "filled up when it is loaded" if filled else ""


def _apart(answer: Any, expected: Any) -> float:
    if not np.isfinite(answer).all():
        return float("inf")
    return round(float(np.linalg.norm(answer - expected) / np.linalg.norm(expected)), 4)


def _content(mode: Mode, model: Any, signatures: Any) -> bytes:
    if mode.zeros and mode.bits < FLOAT_BITS:
        return _with_sparsity(mode, without_zeros(model))
    if mode.zeros:
        sparse = convert(lowered(finalize(model)), signatures, sparse=True)
        return _with_sparsity(mode, flatbuffer.compact(sparse))
    content = convert(lowered(finalize(model)), signatures)
    stored = stored_weights(model)
    if mode.bits >= HALF_BITS:
        return flatbuffer.compact(quantize(content, stored))
    return flatbuffer.compact(_stored(content, stored, mode))


def _with_sparsity(mode: Mode, content: bytes) -> bytes:
    """The content.

    Raises:
        ExportError: the converter left the zeros in, or the weights in floats.
    """
    tensors = [t for graph in flatbuffer.read(content).subgraphs for t in graph.tensors]
    kinds = {flatbuffer.type_name(t) for t in tensors if t.sparsity is not None}
    wanted = "int8" if mode.bits == 8 else "float32"
    if kinds != {wanted}:
        left = sorted(kinds) or "none"
        raise ExportError(f"the converter wrote no sparse {wanted} kernel ({left})")
    return content


def _compressed(model: Any, mode: Mode) -> Any:
    layer = model.layers[-1]
    wrap = Integer if mode.activations == STATIC else Compressed
    chains = {role.name: [_grid(mode, role.channel_axis)] for role in weight_roles(layer)}
    wrapped = wrap(layer, chains)
    return keras.Sequential(
        [keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype), wrapped]
    )


def _grid(mode: Mode, channel_axis: Any) -> FakeQuantizer:
    if mode.bits == HALF_BITS:
        return HalfPrecision(channel_axis)
    return FakeQuantizer(mode.bits, **_GRIDS[mode.granularity].arguments(channel_axis))


def _stored(content: bytes, weights: list[Stored], mode: Mode) -> bytes:
    model = flatbuffer.read(content)
    ranges = take_ranges(model)
    marked = mark(model, weights, ranges)
    worker = quantizer.Quantizer(flatbuffer.pack(model))
    for index, names in marked.items():
        for operator in names:
            _ask(worker, (MARK.format(index), operator), weights[index].quantizer, mode)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return bytes(worker.quantize(by_name(model, ranges) or None).quantized_model)


def _ask(worker: Any, place: tuple[str, str], grid: FakeQuantizer, mode: Mode) -> None:
    named = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}.get(place[1], place[1])
    where = (place[0], qtyping.TFLOperationName(named))
    how = (grid.bits, granularity(grid))
    if mode.activations == STATIC:
        worker.add_static_config(*where, 8, *how)
    elif mode.activations == DYNAMIC:
        worker.add_dynamic_config(*where, *how)
    else:
        worker.add_weight_only_config(*where, *how)


def _in_a_process(path: Path, calls: list[dict[str, Any]]) -> Any:
    """What the file answers, in a process of its own: some files end it."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=_answer, args=(path, calls, theirs))
    worker.start()
    theirs.close()
    try:
        answer = ours.recv() if ours.poll(60) else RuntimeError("LiteRT does not end")
    except EOFError:
        answer = RuntimeError("LiteRT crashes")
    worker.kill()
    worker.join()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _answer(path: Path, calls: list[dict[str, Any]], to: Any) -> None:
    try:
        lite = LiteModel(path)
        outputs = [next(iter(lite.run(lite.signatures[0], one).values())) for one in calls]
        to.send(np.concatenate(outputs))
    except Exception as error:
        to.send(RuntimeError(f"LiteRT: {error}".replace(str(path), "the file")))


def kept(path: Path, versions: dict[str, str]) -> dict[Mode, Row]:
    """The rows of a table that was written with these versions."""
    if not path.exists():
        return {}
    table = json.loads(path.read_text())
    rows = [Row(**row) for row in table["rows"]] if table["versions"] == versions else []
    return {row.mode: row for row in rows}


def write(path: Path, versions: dict[str, str], rows: Mapping[Mode, Row]) -> None:
    """Writes a table, a row a line, in the order in which they are tried."""
    ordered = [rows[mode] for mode in tried() if mode in rows]
    lines = ",\n".join("  " + json.dumps(asdict(row)) for row in ordered)
    path.write_text(f'{{\n "versions": {json.dumps(versions)},\n "rows": [\n{lines}\n ]\n}}\n')


def main() -> None:
    """Writes the table into the package, row by row."""
    path = Path(modes.__file__).with_name(modes.TABLE)
    versions = {name: metadata.version(name) for name in _PACKAGES}
    rows = kept(path, versions)
    for mode in tried():
        if mode not in rows:
            rows[mode] = found(mode)
            write(path, versions, rows)


if __name__ == "__main__":
    main()
