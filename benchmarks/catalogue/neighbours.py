"""faiss over the same vectors: indexes as its documentation recommends them, each at its best.

`pip install faiss-cpu`. Every index is made for inner products. What has a number to turn (lists
that are read, width of the search, candidates that are scored again) is asked at several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.catalogue.vectors import Array

_TRAINED_ON = 200_000
_LISTS = (16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Turned:
    """An index, and the settings at which it is asked.

    Attributes:
        factory: its description for `faiss.index_factory`.
        settings: for `faiss.ParameterSpace`, from the fastest on; empty: there is nothing to turn.
    """

    factory: str
    settings: Sequence[str] = ("",)


INDEXES = (
    Turned("Flat"),
    Turned("SQ8"),
    Turned("SQ4"),
    Turned("PQ32"),
    Turned("IVF1024,SQ8", [f"nprobe={n}" for n in _LISTS]),
    Turned("IVF1024,PQ32", [f"nprobe={n}" for n in _LISTS]),
    Turned("IVF1024,PQ32x4fs", [f"nprobe={n}" for n in _LISTS]),
    Turned(
        "IVF1024,PQ32x4fs,Refine(SQ8)",
        [f"nprobe={n},k_factor_rf={k}" for n in _LISTS for k in (4, 10)],
    ),
    Turned(
        "IVF1024,PQ32x4fs,RFlat",
        [f"nprobe={n},k_factor_rf={k}" for n in _LISTS for k in (4, 10)],
    ),
    Turned("HNSW32", [f"efSearch={n}" for n in (128, 256, 512, 1024)]),
)


def file_of(index: Turned, folder: Path) -> Path:
    """Where an index is kept."""
    return folder / f"{index.factory.replace(',', '-')}.faiss"


def write_index(index: Turned, items: Array, file: Path) -> None:
    """Trains, fills and writes an index."""
    import faiss

    made = faiss.index_factory(items.shape[1], index.factory, faiss.METRIC_INNER_PRODUCT)
    rng = np.random.default_rng(0)
    made.train(items[rng.permutation(len(items))[:_TRAINED_ON]])
    made.add(items)
    unfinished = file.with_suffix(".unfinished")
    faiss.write_index(made, str(unfinished))
    unfinished.rename(file)


def read_index(file: Path) -> Any:
    """An index that answers on one thread."""
    import faiss

    faiss.omp_set_num_threads(1)
    return faiss.read_index(str(file))


def turn(index: Any, setting: str) -> None:
    """Sets what there is to turn."""
    import faiss

    if setting:
        space: Any = faiss.ParameterSpace()
        space.set_index_parameters(index, setting)


def answers(index: Any, asking: Array, k: int) -> Array:
    """The ids that an index gives for each vector, one at a time: int `[q, k]`."""
    return np.concatenate([index.search(one[None], k)[1] for one in asking])


def caller(index: Any, setting: str, asking: Array, k: int) -> Callable[[int], Callable[[], Any]]:
    """From the number of a vector to a search with it, that was made once before."""

    def prepared(number: int) -> Callable[[], Any]:
        turn(index, setting)
        index.search(asking[number][None], k)
        return lambda: index.search(asking[number][None], k)

    return prepared
