"""A subject whose examples are queries, each with a list of documents that people have judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tfcompress as tfc
from experiments.data import made_tables
from experiments.data.letor import Judged, Judgements
from experiments.models import tf
from experiments.models.letor import PADDING, TASK, SearchRanker, moments, noisy, padded
from experiments.systems.system import Array, Quality

LIST = 128  # documents that a file scores in one call
K = 10
N_CALLS = 8
_MOST_DOCUMENTS = 4096  # of a query, so that each of its documents gets an id of its own
Tensors = dict[str, Any]


@dataclass(frozen=True)
class Tables:
    """The tables of ids, whose vectors are made; see `made_tables`.

    Attributes:
      documents, queries: how many rows each has.
      columns: of both. seed: of both.
    """

    documents: int
    queries: int
    columns: int = 64
    seed: int = 0

    def paths(self) -> tuple[Path, Path]:
        """Their files, of documents and of queries, written if need be."""
        rows = (self.documents, self.queries)
        first, second = (made_tables.table(n, self.columns, self.seed) for n in rows)
        return first, second

    def described(self) -> dict[str, Any]:
        """What a record says of them."""
        shapes = {
            "documents": [self.documents, self.columns],
            "queries": [self.queries, self.columns],
        }
        parameters = (self.documents + self.queries) * self.columns
        return {"synthetic": True, **shapes, "parameters": parameters, "seed": self.seed}


@dataclass(frozen=True)
class Ranked:
    """Ranking the documents of a query, see `system.Subject`.

    Queries without a relevant document are left out, to train on as in measuring: no order of
    theirs is better than another (so does TensorFlow Ranking).

    Args:
      data: the judged documents.
      tables: the sizes of the tables of ids.
      made: from features float `[n, features]` to train on to a new tower, see `models.letor`.
      noise: on the logarithms of features in training, in their deviations.
    """

    data: Judgements
    tables: Tables
    made: Callable[[Array], Any]
    noise: float
    # Not the loss, whose best epoch is an early one: NDCG goes on rising behind it.
    deciding: str = field(default=f"NDCG@{K}", init=False)
    metric: str = field(default=f"NDCG@{K}", init=False)
    signature: str = field(default="score", init=False)

    @property
    def described(self) -> Mapping[str, Any]:
        """The sizes of the data, which are real, and of the tables, which are made."""
        unjudged = {
            f"{name}_without_relevant": len(split) - len(answerable(split))
            for name, split in (("train", self.data.train), ("test", self.data.test))
        }
        tables = self.tables.described()
        return {**self.data.described(), **unjudged, "synthetic": False, "tables": tables}

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        """The numbers of the queries to train on."""
        return answerable(self.data.train).astype(np.int32)

    def network(self) -> Any:
        """A new teacher."""
        network = SearchRanker(self.made(self.data.train.features), *self.tables.paths())
        network(self.batch(tf.constant(self.rows[:1]))[0])
        return network

    def batch(self, rows: Any) -> tuple[Tensors, Any]:
        """What `SearchRanker` takes, and relevance float32 `[batch, longest]`, then `PADDING`.

        A batch decides what its noise is, so that a run that goes on sees what it would have seen.
        """
        lists, wanted = self._lists(self._train, rows)
        seed = tf.stack([tf.reduce_sum(rows), rows[0]])
        lists["features"] = noisy(lists["features"], self.noise * self._deviations, seed)
        return lists, wanted

    @cached_property
    def _deviations(self) -> npt.NDArray[np.float32]:
        deviations: npt.NDArray[np.float64] = moments(self.data.train.features)[1]
        return deviations.astype(np.float32)

    def _lists(self, split: Tensors, rows: Any) -> tuple[Tensors, Any]:
        starts = tf.gather(split["starts"], rows)
        lengths = tf.gather(split["starts"], rows + 1) - starts
        documents = tf.ragged.range(starts, starts + lengths).flat_values
        lists = {name: tf.gather(split[name], documents) for name in ("features", "documents")}
        lists["queries"] = tf.repeat(tf.gather(split["queries"], rows), lengths)
        ends = tf.cumsum(lengths)
        lists["places"] = tf.ragged.range(ends - lengths, ends).to_tensor(-1)
        return lists, padded(tf.gather(split["relevance"], documents), lists["places"], PADDING)

    @cached_property
    def _train(self) -> Tensors:
        return self._tensors(self.data.train)

    @cached_property
    def _validation(self) -> Tensors:
        return self._tensors(self.data.validation)

    def _tensors(self, split: Judged) -> Tensors:
        arrays = {
            "features": split.features,
            "relevance": split.relevance.astype(np.float32),
            "starts": split.starts.astype(np.int32),
            **self._ids(split),
        }
        with tf.init_scope():  # tensors that every graph reads, and none holds a copy of
            return {name: tf.constant(value) for name, value in arrays.items()}

    def _ids(self, split: Judged) -> dict[str, npt.NDArray[np.int32]]:
        """Rows of the tables: of every document, and of every query."""
        places = np.concatenate([np.arange(length) for length in split.lengths])
        documents = np.repeat(split.names, split.lengths) * _MOST_DOCUMENTS + places
        return {
            "documents": made_tables.hashed(documents, self.tables.documents),
            "queries": made_tables.hashed(split.names, self.tables.queries),
        }

    def loss(self, wanted: Any, logits: Any) -> Any:
        """The list-wise softmax loss, by the task of TensorFlow Recommenders."""
        return TASK(labels=wanted, predictions=logits)

    def validated(self, network: Any) -> dict[str, float]:
        """NDCG, and the list-wise loss."""
        split, found, losses = self.data.validation, [], []
        for query in answerable(split):
            lists, wanted = self._lists(self._validation, tf.constant([query]))
            logits = network(lists)
            losses.append(float(self.loss(wanted, logits)))
            found.append(ndcg(logits.numpy()[0], wanted.numpy()[0]))
        return {self.metric: float(np.mean(found)), "validation_loss": float(np.mean(losses))}

    def signatures(self) -> Mapping[str, tfc.Signature]:
        """`score`: features, rows of documents and that of the query to scores `[LIST]`."""

        def score(model: Any, features: Any, documents: Any, query: Any) -> Tensors:
            return {"scores": model.score(features, documents, query)}

        taken = {
            "features": tf.TensorSpec([LIST, self.data.train.features.shape[1]], tf.float32),
            "documents": tf.TensorSpec([LIST], tf.int32),
            "query": tf.TensorSpec([1], tf.int32),
        }
        return {self.signature: tfc.Signature(score, taken)}

    def calls(self) -> Sequence[Mapping[str, Array]]:
        """The first documents of the first validation queries, a query a call."""
        split, ids = self.data.validation, self._ids(self.data.validation)
        queries = range(min(N_CALLS, len(split)))
        return [calls_of(split, ids, query)[0] for query in queries]

    def quality(self, file: Path) -> Quality:
        """NDCG@10 of all documents of each test query that has a relevant one."""
        model, split, found = tfc.LiteModel(file), self.data.test, []
        ids = self._ids(split)
        for query in answerable(split):
            start, end = split.starts[query : query + 2]
            answers = [model.run(self.signature, call) for call in calls_of(split, ids, query)]
            scores = np.concatenate([answer["scores"] for answer in answers])[: end - start]
            found.append(ndcg(scores, split.relevance[start:end]))
        return np.array(found)


def calls_of(split: Judged, ids: Mapping[str, Array], query: int) -> list[dict[str, Array]]:
    """All documents of a query, `LIST` a call; the last is filled up with its first one.

    Args:
      split: the queries. ids: rows of the tables, of every document and of every query.
      query: its number.
    """
    start, end = split.starts[query : query + 2]
    calls = []
    for first in range(start, end, LIST):
        rows = np.arange(first, first + LIST)
        rows = np.where(rows < end, rows, first)
        taken = {"features": split.features[rows], "documents": ids["documents"][rows]}
        calls.append({**taken, "query": ids["queries"][query : query + 1]})
    return calls


def answerable(split: Judged) -> npt.NDArray[np.intp]:
    """The numbers of the queries that have a relevant document."""
    return np.flatnonzero(np.maximum.reduceat(split.relevance, split.starts[:-1]) > 0)


def ndcg(scores: Array, relevance: Array, k: int = K) -> float:
    """The normalized discounted cumulative gain of a list's best `k` documents.

    Järvelin and Kekäläinen (2002), with gains `2 ** relevance - 1` (Burges et al., 2005). Of equal
    scores those come first that stand first in the list.

    Args:
      scores: float `[documents]`.
      relevance: `[documents]`, from 0; not all are 0.
      k: how many count.

    >>> ndcg(np.array([0.1, 0.9, 0.5]), np.array([0, 2, 1]))
    1.0

    Raises:
      ValueError: if no document is relevant.
    """
    gains = 2.0 ** np.asarray(relevance, np.float64) - 1.0
    if not gains.max() > 0:
        raise ValueError(f"Received {len(gains)} documents, none relevant; expected at least one.")
    best = np.sort(gains)[::-1][:k]
    found = gains[np.argsort(-scores, kind="stable")[:k]]
    discounts = 1.0 / np.log2(np.arange(2, len(best) + 2))
    return float((found * discounts).sum() / (best * discounts).sum())
