"""A catalogue's vectors, made from the few that were trained, and those that ask for them.

A million trained items are not at hand; 3,706 are, those of the teacher. Each made vector starts
from a trained one and goes away from it along random mixtures of the differences to its 32 nearest
trained neighbours, `SPREAD` times as far: smoothing along the directions in which the items
around differ (a kernel density with a local covariance). Its norm is the trained one's, times
`exp(0.05 g)`. `SPREAD` and the number of neighbours were chosen so that as many made vectors as
there are trained ones, drawn at random, have cosines to their nearest neighbours, norms and a
spectrum like the trained ones; `resemblance` measures it anew at every run.

The vectors that ask are the teacher's own: what it says of histories of MovieLens users. Those of
the first 4,000 users, cut at several places, are the sample that compression may look at; those
of the other users, whole, ask when recall is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SPREAD, NEIGHBOURS, NORM_SPREAD = 0.8, 32, 0.05
_CHUNK = 50_000
_LENGTH, _LAST_SEEN = 64, 4_000
_CUTS = (0, 3, 6, 10, 15, 20, 27, 34)


@dataclass(frozen=True)
class Catalogue:
    """What is searched, and by what.

    Attributes:
        trained: float32 `[m, width]`, the teacher's items.
        items: float32 `[rows, width]`, made.
        sample: float32 `[n, width]`, vectors that compression may look at.
        asking: float32 `[q, width]`, of other users.
    """

    trained: Array
    items: Array
    sample: Array
    asking: Array


def made(trained: Array, rows: int, seed: int) -> Array:
    """Vectors float32 `[rows, width]` like the trained ones `[m, width]`; see the module."""
    rng = np.random.default_rng(seed)
    norms = np.linalg.norm(trained, axis=1)
    near = neighbours(trained, min(NEIGHBOURS, len(trained) - 1))
    start = rng.integers(0, len(trained), rows)
    result = np.empty((rows, trained.shape[1]), np.float32)
    for first in range(0, rows, _CHUNK):
        of = start[first : first + _CHUNK]
        mix = rng.standard_normal((len(of), near.shape[1]), np.float32) / np.sqrt(near.shape[1])
        away = -mix.sum(1, keepdims=True) * trained[of]
        for place in range(near.shape[1]):
            away += mix[:, place : place + 1] * trained[near[of, place]]
        moved = trained[of] + SPREAD * away
        size = norms[of] * np.exp(NORM_SPREAD * rng.standard_normal(len(of)))
        moved *= (size / np.linalg.norm(moved, axis=1))[:, None]
        result[first : first + _CHUNK] = moved
    return result


def neighbours(vectors: Array, k: int) -> Array:
    """The `k` of the largest cosine of each vector, itself aside: int `[n, k]`."""
    return np.argsort(-_cosines(vectors), axis=1)[:, :k]


def _cosines(vectors: Array) -> Array:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines: Array = unit @ unit.T
    np.fill_diagonal(cosines, -2.0)
    return cosines


def resemblance(catalogue: Catalogue, seed: int) -> dict[str, Any]:
    """Statistics of the trained vectors beside those of as many made ones, as JSON data."""
    chosen = np.random.default_rng(seed).permutation(len(catalogue.items))
    few = catalogue.items[chosen[: len(catalogue.trained)]]
    return {
        "trained": statistics(catalogue.trained, catalogue.asking),
        "made, as many": statistics(few, catalogue.asking),
    }


def statistics(vectors: Array, asking: Array, k: int = 100) -> dict[str, Any]:
    """Cosines of neighbours, norms, spectrum, and how rounding to 8 bits a row changes answers."""
    cosines = -np.sort(-_cosines(vectors), axis=1)
    values = np.linalg.eigvalsh(np.cov(vectors, rowvar=False))[::-1]
    share = np.cumsum(values) / values.sum()
    width = vectors.shape[1]
    k = min(k, len(vectors) // 2)
    step = np.abs(vectors).max(1, keepdims=True) / 127
    rounded = best(np.rint(vectors / step) * step, asking, k)
    return {
        "cosine of the nearest neighbour, 5 25 50 75 95 %": _quantiles(cosines[:, 0]),
        "cosine of the 10th": _quantiles(cosines[:, min(9, len(vectors) - 1)]),
        "norm": _quantiles(np.linalg.norm(vectors, axis=1)),
        "variance along the first 1/8, 1/4, 1/2 of the axes": [
            round(float(share[max(width // part - 1, 0)]), 3) for part in (8, 4, 2)
        ],
        f"recall@{k} in int8 rows": round(shared(rounded, best(vectors, asking, k)), 4),
    }


def _quantiles(values: Array) -> list[float]:
    return [round(float(q), 3) for q in np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))]


def best(items: Array, asking: Array, k: int) -> Array:
    """The `k` items of the largest inner product for each vector that asks: int `[q, k]`."""
    found = []
    for first in range(0, len(asking), 16):
        scores = asking[first : first + 16] @ items.T
        found.append(np.argpartition(-scores, k - 1, axis=1)[:, :k])
    return np.concatenate(found)


def shared(found: Array, expected: Array) -> float:
    """The share of the ids of each row of one that are in the other's."""
    rows = zip(found.tolist(), expected.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in rows]))


def catalogue_of(teacher: Path, rows: int, sample: int, asking: int, seed: int) -> Catalogue:
    """The catalogue, from a folder with the teacher and MovieLens-1M."""
    from experiments.data import movielens
    from experiments.models import store

    model = store.load_model(teacher)
    histories = np.asarray(movielens.inputs(movielens.load(), "test", _LENGTH)[0])
    trained = model.item_table.embeddings.numpy()[1:].astype(np.float32)
    rng = np.random.default_rng(seed)
    seen = np.concatenate([_cut(histories[:_LAST_SEEN], places) for places in _CUTS])
    seen = seen[rng.permutation(len(seen))[:sample]]
    others = histories[_LAST_SEEN:]
    others = others[rng.permutation(len(others))[:asking]]
    vectors = [_vectors(model, several) for several in (seen, others)]
    return Catalogue(trained, made(trained, rows, seed), *vectors)


def _cut(histories: Array, places: int) -> Array:
    """Histories `[n, length]` without their last events, those of users who have any left."""
    shifted = np.zeros_like(histories)
    shifted[:, places:] = histories[:, : histories.shape[1] - places]
    return shifted[shifted[:, -1] > 0]


def _vectors(model: Any, histories: Array) -> Array:
    parts = [model.last(histories[i : i + 256]).numpy() for i in range(0, len(histories), 256)]
    return np.concatenate(parts).astype(np.float32)
