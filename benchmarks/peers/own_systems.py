"""Ways that need a form of the model made for them by hand: rebuilt, ported, narrower, or in parts.

A subject that none was made for is simply not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.peers.faiss_search import DYNAMIC_RANGE, Faiss
from benchmarks.peers.kept import WAYS, folder_of, restored
from benchmarks.peers.porting import keras3
from benchmarks.peers.subject import Subject
from benchmarks.peers.systems import System, converted, dynamic_range, float16
from experiments.models import store

Setting = Callable[[Any, Subject], None]


def narrower(name: str, setting: Setting) -> System:
    """A smaller model that is kept under results/peers, converted."""

    def made(subject: Subject, _: bytes) -> bytes:
        return converted(replace(subject, model=store.load_model(folder_of(name))), setting)

    return made


def tfmot(name: str) -> System:
    """What TF-MOT made of the rebuilt teacher, kept under results/peers, with dynamic range."""

    def made(subject: Subject, _: bytes) -> bytes:
        model = restored(folder_of(name), WAYS[name])
        return converted(replace(subject, model=model), dynamic_range)

    return made


_RETRIEVAL: Mapping[str, System] = {
    "TF-MOT, rebuilt, pruning 50 %": tfmot("tfmot-pruned-50"),
    "TF-MOT, rebuilt, pruning 75 %": tfmot("tfmot-pruned-75"),
    "TF-MOT, rebuilt, 16 clusters": tfmot("tfmot-clustered-16"),
    "TF-MOT, rebuilt, quantization-aware training": tfmot("tfmot-quantized"),
    "Keras 3 port, float32": keras3("float32"),
    "Keras 3 port, quantize int8": keras3("int8"),
    "Keras 3 port, quantize int8, weights": keras3("int8-weights"),
    "Keras 3 port, quantize int8, weights; then dynamic range": keras3("int8-weights", "optimized"),
    "Keras 3 port, quantize int4": keras3("int4"),
    "Keras 3 port, quantize GPTQ int4": keras3("gptq-int4"),
    "smaller, dim 32, float16": narrower("narrow-32", float16),
    "smaller, dim 32, dynamic range": narrower("narrow-32", dynamic_range),
    "smaller, dim 32, distilled, float16": narrower("narrow-32-distilled", float16),
    "smaller, dim 32, distilled, dynamic range": narrower("narrow-32-distilled", dynamic_range),
    "smaller, dim 16, float16": narrower("narrow-16", float16),
    "smaller, dim 16, dynamic range": narrower("narrow-16", dynamic_range),
    "smaller, dim 16, distilled, float16": narrower("narrow-16-distilled", float16),
    "smaller, dim 16, distilled, dynamic range": narrower("narrow-16-distilled", dynamic_range),
    "faiss, flat": Faiss("Flat"),
    "faiss, SQ8": Faiss("SQ8"),
    "faiss, SQ4": Faiss("SQ4"),
    "faiss, PQ of 32 bytes": Faiss("OPQ32_64,PQ32"),
    "faiss, PQ of 16 bytes": Faiss("OPQ16_64,PQ16"),
    "faiss, PQ of 8 bytes": Faiss("OPQ8_64,PQ8"),
    "faiss, PQ of 32 codes of 4 bits, fast scan": Faiss("OPQ32_64,PQ32x4fs"),
    "faiss, IVF of 64 lists, SQ8": Faiss("IVF64,SQ8", probes=8),
    "faiss, PQ of 16 bytes, query with dynamic range": Faiss("OPQ16_64,PQ16", query=DYNAMIC_RANGE),
}
OWN_SYSTEMS: Mapping[str, Mapping[str, System]] = {"retrieval": _RETRIEVAL}
