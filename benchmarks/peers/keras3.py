"""Keras 3 in a process of its own: python -m benchmarks.peers.keras3 IN OUT WAY [optimized].

IN is an .npz file with the teacher's weights, some histories, what the teacher scores for them, and
`sizes` as JSON. OUT gets the TFLite file; the last line that is printed is JSON: what went wrong,
or None. This module must not import tfcompress or experiments, which choose Keras 2.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.pop("TF_USE_LEGACY_KERAS", None)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peers.keras3_model import Ported, ported

_TOLERANCE = 1e-3  # of scores, which are up to about 15: the order of float32 sums differs
_SAMPLES = 256


class _Identity:
    """What GPTQ wants for a tokenizer, for histories that are numbers already."""

    def tokenize(self, text: Any) -> Any:
        """The same."""
        return text


def _int8(model: Any, _: Any) -> None:
    model.quantize("int8")


def _int8_weights(model: Any, _: Any) -> None:
    model.quantize(config=keras.quantizers.Int8QuantizationConfig(activation_quantizer=None))


def _int4(model: Any, _: Any) -> None:
    model.quantize("int4")


def _gptq(model: Any, histories: Any) -> None:
    whole = histories[(histories != 0).all(1)][:_SAMPLES]
    config = keras.quantizers.GPTQConfig(
        dataset=list(whole), tokenizer=_Identity(), weight_bits=4, num_samples=len(whole),
        sequence_length=histories.shape[1],
    )  # fmt: skip
    model.quantize("gptq", config=config)


WAYS: Mapping[str, Callable[[Any, Any], None]] = {
    "float32": lambda model, _: None,
    "int8": _int8,
    "int8-weights": _int8_weights,
    "int4": _int4,
    "gptq-int4": _gptq,
}


def check(model: Ported, histories: Any, expected: Any) -> None:
    """Compares the port with the teacher.

    Raises:
        ValueError: if its scores differ.
    """
    gap = float(np.abs(np.asarray(model(histories)) - expected).max())
    if not gap <= _TOLERANCE:
        raise ValueError(
            f"The port's scores differ from the teacher's by {gap:.2g}, expected at most "
            f"{_TOLERANCE}. Compare keras3_model.py with experiments/models/sasrec.py."
        )


def converted(model: Ported, length: int, optimized: bool) -> bytes:
    """The file with both signatures: a SavedModel by `ExportArchive`, then TensorFlow's converter.

    `model.export(format="litert")` does the same for `call` alone.

    Args:
        optimized: whether the converter quantizes what Keras has left in floats (dynamic range).
    """
    history = tf.TensorSpec([1, length], tf.int32, "history")
    candidates = tf.TensorSpec([None], tf.int32, "candidates")
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("recommend", model.recommend, input_signature=[history])
    archive.add_endpoint("score", model.score, input_signature=[history, candidates])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["recommend", "score"]
        )
        converter.optimizations = [tf.lite.Optimize.DEFAULT] if optimized else []
        content: bytes = converter.convert()
    return content


def make(source: Path, way: str, optimized: bool) -> bytes:
    """Ports, checks, quantizes and converts."""
    with np.load(source) as arrays:
        weights = dict(arrays)
    sizes = json.loads(str(weights.pop("sizes")))
    histories, expected = weights.pop("histories"), weights.pop("expected")
    model = ported(sizes, weights)
    check(model, histories[: len(expected)], expected)
    WAYS[way](model, histories)
    return converted(model, sizes["length"], optimized)


def main() -> None:
    """Runs the command line."""
    source, out, way, *more = sys.argv[1:]
    error = None
    try:
        Path(out).write_bytes(make(Path(source), way, optimized="optimized" in more))
    except Exception as raised:  # converters and quantizers raise all kinds of errors
        error = f"{type(raised).__name__}: {' '.join(str(raised).split())[:2000]}"
    print(json.dumps(error))


if __name__ == "__main__":
    main()
