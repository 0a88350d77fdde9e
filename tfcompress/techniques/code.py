"""Code: a table becomes a few bytes for each id, and the centroids that they name."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.layers import CodedEmbedding
from tfcompress.measure import LayerForm
from tfcompress.spec import Skip, Technique
from tfcompress.techniques import clusters
from tfcompress.techniques.tables import (
    built_like,
    check_whole,
    common_arguments,
    if_smaller,
    planned,
    why_no_table,
)
from tfcompress.value import Value

Array = np.ndarray[Any, Any]
_MOST = 256  # what a byte tells apart


@dataclass(frozen=True)
class Start(Value):
    """Where the codes of a table come from."""

    def check(self, path: str, ids: int) -> None:
        """Raises SpecError where no codes can be made for a table of so many ids at `path`."""

    @abstractmethod
    def assignments(self, table: Array, codes: int, centroids: int) -> Array:
        """Codes uint8 `[ids, codes]` for the rows of a table `[ids, width]`."""


@dataclass(frozen=True)
class KMeans(Start):
    """Codes of the nearest centroids that k-means finds among the parts of the trained rows.

    Jegou, Douze and Schmid (2011).

    Args:
        rounds: at most so many rounds of Lloyd's algorithm; from 1.
        seed: of the first centroids.

    Raises:
        SpecError: no round, or a seed that is none.

    Example:
        >>> import numpy as np
        >>> table = np.array([[0.0, 1.0], [0.0, 5.0], [9.0, 1.0]])
        >>> codes = KMeans().assignments(table, codes=2, centroids=2)
        >>> bool(codes[0, 0] == codes[1, 0] and codes[0, 1] == codes[2, 1])
        True
    """

    rounds: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole("KMeans", "rounds", self.rounds, 1)
        check_whole("KMeans", "seed", self.seed, 0)

    def assignments(self, table: Array, codes: int, centroids: int) -> Array:
        """One k-means for each code."""
        rng = np.random.default_rng(self.seed)
        found = []
        for part in clusters.parts_of(table.astype(np.float32), codes):
            book = clusters.kmeans(part, centroids, self.rounds, rng)
            found.append(clusters.nearest(part, book)[0])
        return np.stack(found, 1).astype(np.uint8)


@dataclass(frozen=True)
class Interactions(Start):
    """Codes by who interacted with what: quantiles of the factors of a matrix of interactions.

    Petrov and Macdonald, "RecJPQ" (WSDM 2024): ids that the same users met are alike in the
    leading singular vectors, and one vector gives one code. Knows nothing of the trained rows;
    their means are the first centroids.

    Args:
        path: a file that `numpy.savez` wrote, with `users` and `items`, int `[interactions]` each,
            numbered from 0; the items are the ids of the table.
        seed: of the lots that are drawn among equal factors.

    Raises:
        SpecError: a seed that is none; in `plan`, a file that is missing or does not fit the table.

    Example:
        >>> import tempfile, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(folder + "/seen.npz", users=[0, 0, 1, 1], items=[0, 1, 2, 3])
        ...     start = Interactions(folder + "/seen.npz")
        ...     codes = start.assignments(np.zeros((4, 6)), codes=1, centroids=2)
        >>> bool(codes[0] == codes[1] and codes[2] == codes[3])
        True
    """

    path: str
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole("Interactions", "seed", self.seed, 0)

    def check(self, path: str, ids: int) -> None:
        """That the file is there, and its items are ids of the table."""
        users, items = self._pairs()
        whole = all(np.issubdtype(a.dtype, np.integer) and a.ndim == 1 for a in (users, items))
        if not whole or len(users) != len(items) or not len(items):
            raise SpecError(
                f"{self.path} holds users {users.dtype} {users.shape} and items {items.dtype} "
                f"{items.shape}; expected whole numbers, as many of the one as of the other."
            )
        if min(users.min(), items.min()) < 0 or items.max() >= ids:
            raise SpecError(
                f"{self.path} has items from {items.min()} to {items.max()} and users from "
                f"{users.min()}; expected users from 0, and items from 0 to {ids - 1}, the ids of "
                f"the table {path!r}."
            )

    def assignments(self, table: Array, codes: int, centroids: int) -> Array:
        """One singular vector for each code."""
        users, items = self._pairs()
        factors = clusters.item_factors(users, items, len(table), codes)
        rng = np.random.default_rng(self.seed)
        found = [clusters.quantile_codes(column, centroids, rng) for column in factors.T]
        return np.stack(found, 1).astype(np.uint8)

    def _pairs(self) -> tuple[Array, Array]:
        try:
            with np.load(Path(self.path)) as file:
                return np.asarray(file["users"]), np.asarray(file["items"])
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise SpecError(
                f"Interactions could not read {self.path!r} ({error}); expected a file that "
                "numpy.savez(path, users=..., items=...) wrote."
            ) from error


@dataclass(frozen=True)
class Code(Technique):
    """Stores a table as `codes` bytes for each id, each the number of a trained centroid.

    Jegou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search" (2011); trained
    jointly with the model as in Petrov and Macdonald, "RecJPQ: Training Large-Catalogue Sequential
    Recommenders" (WSDM 2024). A row's part number `c` is the centroid that its code `c` names.
    Codes stay as they start, centroids are trained. Score with `tfcompress.scores`, which never
    makes the table. A table that would not become smaller is skipped, so that as many centroids as
    there are ids change nothing.

    It saves bytes, not time: on one thread a file scores 100,000 ids of width 64 with 8 codes in
    2.4 ms, where the plain table takes 0.7 ms and 30 times the bytes; twice the codes take twice as
    long (`python -m benchmarks.table_scores`).

    Quantize the centroids `PerTensor()`: per channel each of them has a scale, which takes as much
    as the few weights of it.

    Args:
        codes: bytes for an id; a divisor of the table's width.
        centroids: vectors that a code chooses from, 2 to 256.
        start: `KMeans()` of the trained rows, or `Interactions(path)`.

    Raises:
        SpecError: a field out of range; in `plan`, what `start` raises.

    Example:
        >>> Code(codes=8).centroids
        256
    """

    codes: int = 8
    centroids: int = _MOST
    start: Start = field(default_factory=KMeans)

    def __post_init__(self) -> None:
        check_whole("Code", "codes", self.codes, 1)
        check_whole("Code", "centroids", self.centroids, 2, _MOST)
        if not isinstance(self.start, Start):
            raise SpecError(
                f"Code received start={self.start!r}; expected KMeans() or Interactions(path)."
            )

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form with codes and codebooks, or why not."""
        reason = why_no_table(form, "Code")
        if reason is not None:
            return reason
        ids, width = form.weights[0].shape
        if width % self.codes:
            return Skip(f"{self.codes} codes do not divide a width of {width}")
        self.start.check(form.path, ids)
        books = (self.codes * self.centroids, width // self.codes)
        after = replace(planned(form, CodedEmbedding, {"codebooks": books}), codes=ids * self.codes)
        return if_smaller(after, form)

    def apply(self, layer: Any) -> Any:
        """The coded table, as close to the layer's as its codes allow."""
        common = {"start": self.start, **common_arguments(layer)}
        new = CodedEmbedding(codes=self.codes, centroids=self.centroids, **common)
        table = np.asarray(layer.embeddings)
        assignments = self.start.assignments(table, self.codes, self.centroids)
        built_like(new, layer)
        new.assignments.assign(assignments)
        new.codebooks.assign(clusters.centroids_of(table, assignments, self.centroids))
        return new
