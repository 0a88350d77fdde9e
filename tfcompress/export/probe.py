"""Finds out what LiteRT can store and run, by storing and running it; writes the table of it.

python -m tfcompress.export.probe
"""

from __future__ import annotations

import io
import json
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from litert_quantizer import qtyping, quantizer

from tfcompress.apply import finalize
from tfcompress.calibration import observe
from tfcompress.export import flatbuffer
from tfcompress.export.convert import convert
from tfcompress.export.find import Stored, stored_weights
from tfcompress.export.lowering import lowered
from tfcompress.export.quantize import MARK, granularity, mark
from tfcompress.export.ranges import by_name, take_ranges
from tfcompress.export.runtime import LiteModel
from tfcompress.export.signature import default_signatures
from tfcompress.keras import keras
from tfcompress.layers import Compressed, FakeQuantizer, Integer, weight_roles
from tfcompress.techniques import integers
from tfcompress.techniques.quantize import Granularity, PerBlock, PerChannel, PerTensor

FLOAT, DYNAMIC = "float", "dynamic int8"
_TOLERANCE = 0.05
_layers = keras.layers
_Model = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """What was found of one combination.

    Attributes:
        operator: see `WeightRole`.
        bits: of a weight.
        granularity: which weights share a scale: `tensor`, `channel` or `block` (of 32).
        activations: `float` (weights are made floats as the file runs), `dynamic int8` (rounded as
            it runs) or `static int8` (ranges are known).
        runs: whether the file loads and agrees with Keras.
        deviation: of its outputs, see `Agreement`; None: there are none.
        reason: why it does not run.
    """

    operator: str
    bits: int
    granularity: str
    activations: str
    runs: bool
    deviation: float | None
    reason: str


def _fed(layer: Any, *shape: int) -> _Model:
    return lambda: keras.Sequential([keras.Input(shape), layer()])


_OPERATORS: dict[str, _Model] = {
    "FULLY_CONNECTED": _fed(lambda: _layers.Dense(32), 64),
    "CONV_2D": _fed(lambda: _layers.Conv2D(8, 3), 6, 6, 32),
    "CONV_2D in groups": _fed(lambda: _layers.Conv2D(8, (2, 4), groups=2), 6, 6, 32),
    "DEPTHWISE_CONV_2D": _fed(lambda: _layers.DepthwiseConv2D((4, 8), depth_multiplier=2), 9, 9, 4),
    "BATCH_MATMUL": _fed(lambda: _layers.EinsumDense("abc,bcd->abd", (3, 32)), 3, 32),
}
_GRIDS: dict[str, Granularity] = {
    "tensor": PerTensor(),
    "channel": PerChannel(),
    "block": PerBlock(32),
}


def rows() -> Iterator[Row]:
    """Every combination, tried."""
    everything = product(_OPERATORS, (2, 4, 8), _GRIDS, (FLOAT, DYNAMIC, integers.STATIC))
    for operator, bits, name, activations in everything:
        try:
            deviation, reason = _tried(operator, bits, _GRIDS[name], activations), ""
        except Exception as error:  # whatever it is, it is the finding
            deviation, reason = None, _short(error)
        if deviation is not None and not deviation <= _TOLERANCE:
            reason = f"outputs deviate by {deviation:.2g}"
        finite = deviation if deviation is not None and np.isfinite(deviation) else None
        yield Row(operator, bits, name, activations, not reason, finite, reason)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "litert-quantizer refuses it" if "policy" in text or "upported" in text else text[:90]


def _tried(operator: str, bits: int, grid: Granularity, activations: str) -> float:
    keras.utils.set_random_seed(1)
    model = _compressed(_OPERATORS[operator](), bits, grid, activations)
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(64, *model.input_shape[1:])).astype(np.float32)
    if activations == integers.STATIC:
        observe(model, [batch])
    signatures = default_signatures(model)
    name = next(iter(signatures["serve"].inputs))
    content = convert(lowered(finalize(model)), signatures)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(flatbuffer.compact(_stored(content, stored_weights(model), activations)))
        found = _in_a_process(path, [{name: row[None]} for row in batch[:8]])
    expected = model(batch[:8]).numpy()
    if not np.isfinite(found).all():
        return float("inf")
    return round(float(np.linalg.norm(found - expected) / np.linalg.norm(expected)), 4)


def _compressed(model: Any, bits: int, grid: Granularity, activations: str) -> Any:
    layer = model.layers[0]
    role = weight_roles(layer)[0]
    where = grid.arguments(role.channel_axis)
    wrap = Integer if activations == integers.STATIC else Compressed
    wrapped = wrap(layer, {role.name: [FakeQuantizer(bits, **where)]})
    return keras.Sequential([keras.Input(model.input_shape[1:]), wrapped])


def _stored(content: bytes, weights: list[Stored], activations: str) -> bytes:
    model = flatbuffer.read(content)
    ranges = take_ranges(model)
    marked = mark(model, weights, ranges)
    worker = quantizer.Quantizer(flatbuffer.pack(model))
    for operator in marked[0]:
        where = (MARK.format(0), qtyping.TFLOperationName(operator))
        how = (weights[0].quantizer.bits, granularity(weights[0].quantizer))
        if activations == integers.STATIC:
            worker.add_static_config(*where, 8, *how)
        elif activations == DYNAMIC:
            worker.add_dynamic_config(*where, *how)
        else:
            worker.add_weight_only_config(*where, *how)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return bytes(worker.quantize(by_name(model, ranges) or None).quantized_model)


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
        outputs = [next(iter(lite.run("serve", one).values())) for one in calls]
        to.send(np.concatenate(outputs))
    except Exception as error:
        to.send(RuntimeError(f"LiteRT: {error}".replace(str(path), "the file")))


def main() -> None:
    """Writes the table into the package."""
    versions = {name: metadata.version(name) for name in ("ai-edge-litert", "litert-quantizer")}
    table = {"versions": versions, "rows": [asdict(row) for row in rows()]}
    path = Path(integers.__file__).with_name(integers.TABLE)
    lines = ",\n".join("  " + json.dumps(row) for row in table.pop("rows"))
    path.write_text(f'{{\n "versions": {json.dumps(versions)},\n "rows": [\n{lines}\n ]\n}}\n')


if __name__ == "__main__":
    main()
