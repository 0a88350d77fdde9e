"""A sentence on how each system was set, by the beginning of its name; the longest one counts."""

from __future__ import annotations

from collections.abc import Mapping

_LITERT = "litert-quantizer's recipe of this name on TensorFlow's float32 conversion"
_NARROW = "the teacher's architecture at this width, trained by the teacher's trainer for 30 epochs"
_TAUGHT = (
    ", and 20 more beside the teacher (0.9 KL divergence at temperature 1, 0.1 cross-entropy), no "
    "dropout"
)
_REBUILT = (
    "the teacher as a Functional model, wrapped layer by layer, 4 epochs beside the teacher as for "
    "the smaller models, stripped, with TFLite's dynamic range"
)
_PORT = (
    "the same weights in Keras 3 layers (ReversibleEmbedding for the tied table), exported with "
    "ExportArchive and TFLiteConverter"
)
_FAISS = (
    "the query part as a float32 TFLite file, item table included, and an inner-product index with "
    "the biases as one more dimension; bytes and time are of both, search for 100 on one thread"
)
_WHOLE = "TF-MOT on the teacher as it is, which is a subclassed model"
SETTINGS: Mapping[str, str] = {
    "tfcompress": "the files of saved_models, of which report.json says how they were made",
    "TFLite": "TensorFlow's converter with optimizations=[DEFAULT] where it is not float32",
    "TFLite, float16": "TensorFlow's converter, optimizations=[DEFAULT], supported_types=[float16]",
    "TFLite, int8": "TensorFlow's converter with a representative dataset from training data",
    "TFLite, int8 only": "the same, and TFLITE_BUILTINS_INT8 as the only operators",
    "litert-quantizer": _LITERT,
    "litert-quantizer, static": _LITERT + ", calibrated with training data",
    "TF-MOT": _WHOLE,
    "TF-MOT, rebuilt": _REBUILT,
    "TF-MOT, rebuilt, pruning": _REBUILT + "; PolynomialDecay over the first half; a "
    "whole graph is refused for the layers that PruneRegistry does not know; zeros show gzipped",
    "TF-MOT, rebuilt, 16 clusters": _REBUILT + "; KMEANS_PLUS_PLUS; shared values show gzipped",
    "TF-MOT, rebuilt, quantization": (
        _REBUILT.replace(", stripped", "")
        + "; quantize_apply around the Dense layers alone: it refuses tables and ids (TypeError)"
    ),
    "Keras": "Keras 2 as the model is, which has no quantize",
    "Keras 3 port": _PORT,
    "Keras 3 port, quantize": _PORT + ", after model.quantize with its default config",
    "Keras 3 port, quantize int8, weights": _PORT + ", Int8QuantizationConfig without activations",
    "Keras 3 port, quantize GPTQ": _PORT
    + ", GPTQConfig of 4 bits, else its defaults, on histories",
    "smaller, dim 32": _NARROW,
    "smaller, dim 16": _NARROW,
    "smaller, dim 32, distilled": _NARROW + _TAUGHT,
    "smaller, dim 16, distilled": _NARROW + _TAUGHT,
    "faiss": _FAISS,
    "faiss, PQ": _FAISS + "; OPQ of 10 iterations in front of PQ",
    "faiss, PQ of 16 bytes, query": (
        _FAISS.replace("a float32 TFLite file", "a TFLite file with dynamic range")
        + "; OPQ of 10 iterations in front of PQ"
    ),
    "faiss, IVF": _FAISS + "; 8 lists are searched",
}


def setting_of(system: str) -> str:
    """The sentence on a system.

    Raises:
        KeyError: if there is none.

    >>> setting_of("tfcompress, float32")
    'the files of saved_models, of which report.json says how they were made'
    """
    starts = [start for start in SETTINGS if system.startswith(start)]
    if not starts:
        raise KeyError(
            f"Received the system {system!r}, expected one of which SETTINGS has the beginning. "
            "Write a sentence on it in benchmarks/peers/settings.py."
        )
    return SETTINGS[max(starts, key=len)]
