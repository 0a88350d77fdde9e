"""The retrieval part by faiss: a file gives a history's vector, an index finds the items for it.

A score is a product of vectors and an item's bias. The index therefore holds the rows of the item
table with the bias as one more number, and the vector that is searched for ends with a 1. The file
that makes the vector holds the item table, too, for it reads a history of ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import tfcompress as tfc
from benchmarks.peers.made import Call, Preparation
from benchmarks.peers.subject import Subject
from benchmarks.peers.systems import converted, dynamic_range, plainly
from experiments import quality, ranking
from experiments.data import movielens
from experiments.models import files
from experiments.models.retriever import TOP
from tfcompress.keras import tf

Array = np.ndarray[Any, Any]
_ROTATIONS = 10  # of OPQ, of which faiss makes 50 by default; that takes minutes
Setting = Callable[[Any, Subject], None]


def item_vectors(model: Any) -> Array:
    """Rows of the item table with the items' biases behind them: float32 [n_items, dim + 1]."""
    rows = model.item_table.get_weights()[0][1:]
    bias = np.zeros(len(rows)) if model.item_bias is None else model.item_bias.numpy()[1:]
    return np.ascontiguousarray(np.column_stack([rows, bias]), np.float32)


class Query:
    """Makes the file in front of an index, once for a subject.

    Args:
        setting: how it is converted.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._made: tuple[Subject, bytes] | None = None

    def __call__(self, subject: Subject) -> bytes:
        """A file with one signature, `query`: history → `vector`, float32 [1, dim + 1]."""
        if self._made is None or self._made[0] is not subject:
            history = tf.TensorSpec([1, subject.model.config.length], tf.int32)
            alone = {"query": tfc.Signature(_vector, {"history": history})}
            file = converted(replace(subject, signatures=alone), self._setting)
            self._made = subject, file
        return self._made[1]


def _vector(model: Any, history: Any) -> dict[str, Any]:
    vector = model.last(history)
    return {"vector": tf.concat([vector, tf.ones_like(vector[:, :1])], -1)}


FLOAT32, DYNAMIC_RANGE = Query(plainly), Query(dynamic_range)


@dataclass(frozen=True)
class Faiss:
    """How an index is made and searched.

    Attributes:
        factory: what faiss's `index_factory` takes.
        probes: of an inverted file, how many lists are searched; None where there are no lists.
        query: makes the file in front of it.
    """

    factory: str
    probes: int | None = None
    query: Query = FLOAT32

    def __call__(self, subject: Subject, _: bytes) -> Searched:
        """Trains the index on the item vectors, and fills it with them.

        Raises:
            ImportError: if faiss is not installed (`pip install faiss-cpu`).
        """
        index = _index(self.factory, self.probes, _Vectors(item_vectors(subject.model)))
        return Searched(subject, self.query(subject), index)


class _Vectors:
    """An array that is known by its content, so that no index is trained twice."""

    def __init__(self, array: Array) -> None:
        self.array, self._content = array, array.tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Vectors) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)


@lru_cache(maxsize=16)
def _index(factory: str, probes: int | None, vectors: _Vectors) -> Any:
    import faiss

    faiss.omp_set_num_threads(1)
    width, metric = vectors.array.shape[1], faiss.METRIC_INNER_PRODUCT
    index: Any = faiss.index_factory(width, factory, metric)
    if factory.startswith("OPQ"):
        rotation: Any = faiss.downcast_VectorTransform(index.chain.at(0))
        rotation.niter = _ROTATIONS
    index.train(vectors.array)
    index.add(vectors.array)
    if probes is not None:
        faiss.extract_index_ivf(index).nprobe = probes
    return index


class Searched:
    """A query file and an index, asked one after the other.

    Args:
        subject: whose items are in the index. file: see `Query`. index: of faiss.
    """

    def __init__(self, subject: Subject, file: bytes, index: Any) -> None:
        self._subject, self._file, self._index = subject, file, index

    def contents(self) -> bytes:
        """The file, and the index as faiss writes it."""
        import faiss

        return self._file + bytes(faiss.serialize_index(self._index).tobytes())

    def quality(self) -> float:
        """NDCG@10 with the items that the index finds; those it does not find come last."""
        data, config = movielens.load(), self._subject.model.config
        ranks = ranking.evaluate(self._scores, data, "test", config.length)
        return float(quality.quality(ranks)[f"ndcg@{quality.K}"])

    def _scores(self, histories: Array) -> Array:
        """All items that are found for histories int32 [B, length]: float32 [B, n_items + 1]."""
        vectors = np.vstack([self._vector(history[None]) for history in histories])
        n_items = self._subject.model.config.n_items
        found, numbers = self._index.search(vectors, n_items)
        scores = np.full((len(histories), n_items + 2), -np.inf, np.float32)
        np.put_along_axis(scores, numbers + 1, found, axis=1)  # what is not found is number -1
        scores[:, 0] = -np.inf
        return scores[:, : n_items + 1]

    def _vector(self, history: Array) -> Array:
        vector: Array = self._query.run("query", {"history": history})["vector"]
        return vector

    @cached_property
    def _query(self) -> tfc.LiteModel:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "query.tflite"
            path.write_bytes(self._file)
            return tfc.LiteModel(path)  # which has read the file when it is made

    def preparations(self) -> Sequence[Preparation]:
        """A timed call runs the file's graph and searches for the best 100 on one thread.

        The vector is at hand before: to carry it from one to the other is Python's work here.
        """
        length = self._subject.model.config.length
        calls = files.example_calls(movielens.load(), length)
        return [self._preparation(call["history"]) for call in calls]

    def _preparation(self, history: Array) -> Preparation:
        import faiss

        vector = np.ascontiguousarray(self._vector(history))
        scores, numbers = np.empty((1, TOP), np.float32), np.empty((1, TOP), np.int64)
        pointers = [faiss.swig_ptr(array) for array in (vector, scores, numbers)]

        def prepare() -> Call:
            run = self._query.prepared("query", {"history": history})

            def call() -> Any:
                run()
                return self._index.search_c(1, pointers[0], TOP, *pointers[1:])

            call.held = (vector, scores, numbers)  # type: ignore[attr-defined]
            return call

        return prepare
