"""Product quantization's arithmetic: k-means, quantiles, and the centroids of given codes.

Rows are float `[n, width]`; a row's parts are `width / codes` consecutive weights each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.layers.two_way import means_by_place

Array = np.ndarray[Any, Any]
_CHUNK = 16_384  # rows whose distances are held at a time
_ENOUGH = 256  # rows for each centroid beyond which k-means gains nothing


def parts_of(table: Array, codes: int) -> Array:
    """The parts of each row: `[n, width]` to `[codes, n, width / codes]`."""
    return table.reshape(len(table), codes, -1).transpose(1, 0, 2)


def nearest(points: Array, centroids: Array) -> tuple[Array, Array]:
    """The nearest centroid of each point, and the squared distance to it.

    Args:
        points: `[n, width]`.
        centroids: `[k, width]`.

    Returns:
        int64 `[n]` and float `[n]`.

    Example:
        >>> import numpy as np
        >>> nearest(np.array([[1.0], [9.0]]), np.array([[0.0], [10.0]]))[0].tolist()
        [0, 1]
    """
    lengths = np.square(centroids).sum(1)
    places, distances = [], []
    for start in range(0, len(points), _CHUNK):
        part = points[start : start + _CHUNK]
        squared = lengths - 2 * part @ centroids.T
        place = squared.argmin(1)
        places.append(place)
        distances.append(squared[np.arange(len(part)), place] + np.square(part).sum(1))
    return np.concatenate(places), np.maximum(np.concatenate(distances), 0.0)


def spread_out(points: Array, k: int, rng: np.random.Generator) -> Array:
    """First centroids, far from each other: `[n, width]` to `[k, width]`.

    Arthur and Vassilvitskii, "k-means++" (2007): each is drawn with the odds of its squared
    distance to the nearest one before it.
    """
    chosen = [points[rng.integers(len(points))]]
    distances = np.square(points - chosen[0]).sum(1)
    for _ in range(k - 1):
        odds = np.cumsum(distances, dtype=np.float64)
        place = np.searchsorted(odds, rng.random() * odds[-1], side="right")
        chosen.append(points[min(int(place), len(points) - 1)])
        distances = np.minimum(distances, np.square(points - chosen[-1]).sum(1))
    return np.stack(chosen)


def kmeans(points: Array, k: int, rounds: int, rng: np.random.Generator) -> Array:
    """Centroids of clusters with a small sum of squared distances.

    Lloyd, "Least Squares Quantization in PCM" (1982). A centroid that no point is nearest to
    moves to the point that is worst served. At most 256 points for each centroid are looked at.

    Args:
        points: `[n, width]`.
        k: number of centroids.
        rounds: at most so many; fewer where nothing moves any more.
        rng: draws the sample and the start.

    Returns:
        float32 `[k, width]`.
    """
    if len(points) > _ENOUGH * k:
        points = points[rng.permutation(len(points))[: _ENOUGH * k]]
    points = points.astype(np.float32)
    centroids = spread_out(points, k, rng)
    before = None
    for _ in range(rounds):
        places, distances = nearest(points, centroids)
        if before is not None and np.array_equal(places, before):
            break
        before = places
        centroids = means_by_place(points, places, k).astype(np.float32)
        empty = np.flatnonzero(np.bincount(places, minlength=k) == 0)
        centroids[empty] = points[np.argsort(-distances, kind="stable")[: len(empty)]]
    return centroids


def centroids_of(table: Array, assignments: Array, centroids: int) -> Array:
    """The codebooks that come closest to a table, its codes given: means of the parts.

    Args:
        table: float `[n, width]`.
        assignments: integers `[n, codes]`.
        centroids: how many each codebook has; those that no row uses are zero.

    Returns:
        float32 `[codes * centroids, width / codes]`.

    Example:
        >>> import numpy as np
        >>> table = np.array([[1.0, 5.0], [3.0, 7.0], [8.0, 9.0]])
        >>> centroids_of(table, np.array([[0, 0], [0, 1], [1, 1]]), 2).tolist()
        [[2.0], [8.0], [5.0], [8.0]]
    """
    parts = parts_of(table.astype(np.float64), assignments.shape[1])
    books = [means_by_place(p, a, centroids) for p, a in zip(parts, assignments.T, strict=True)]
    return np.concatenate(books).astype(np.float32)


def quantile_codes(values: Array, centroids: int, rng: np.random.Generator) -> Array:
    """Numbers cut into groups of equal size in ascending order, ties drawn by lot.

    Args:
        values: float `[n]`.
        centroids: number of groups.
        rng: draws the lots.

    Returns:
        int64 `[n]` from 0 to `centroids - 1`.

    Example:
        >>> import numpy as np
        >>> quantile_codes(np.array([5.0, 1.0, 9.0, 7.0]), 2, np.random.default_rng(0)).tolist()
        [0, 0, 1, 1]
    """
    order = np.lexsort((rng.random(len(values)), values))
    places = np.empty(len(values), np.int64)
    places[order] = np.arange(len(values))
    return places * min(centroids, len(values)) // max(len(values), 1)


def item_factors(users: Array, items: Array, count: int, rank: int) -> Array:
    """The leading right singular vectors of a matrix of interactions, a row for each item.

    Halko, Martinsson and Tropp, "Finding Structure with Randomness" (2011), with eight rounds of
    the power method. Every pair counts once, however often it occurs.

    Args:
        users: int `[pairs]`, from 0.
        items: int `[pairs]`, from 0 to `count - 1`.
        count: number of items.
        rank: number of vectors.

    Returns:
        float64 `[count, rank]`.
    """
    users, items = np.unique(np.stack([users, items]), axis=1)
    rows = int(users.max()) + 1
    width = min(rank + 8, count, rows)
    basis = np.random.default_rng(0).normal(size=(count, width))
    for _ in range(8):
        basis, _ = np.linalg.qr(_times(users, items, basis, rows))
        basis, _ = np.linalg.qr(_times(items, users, basis, count))
    _, _, right = np.linalg.svd(_times(users, items, basis, rows), full_matrices=False)
    found = basis @ right[:rank].T
    return np.pad(found, [(0, 0), (0, rank - found.shape[1])])


def _times(rows: Array, columns: Array, matrix: Array, count: int) -> Array:
    """A sparse matrix of ones at these places, times a dense one."""
    made = [np.bincount(rows, weights=column[columns], minlength=count) for column in matrix.T]
    return np.stack(made, axis=1)
