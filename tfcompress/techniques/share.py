"""Share: ids share the rows of two small tables, the most frequent ones aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.layers import ChosenSharedEmbedding, KeptSharedEmbedding, SharedEmbedding
from tfcompress.layers.hashing import Hashing, QuotientRemainder
from tfcompress.measure import LayerForm
from tfcompress.spec import Skip, Technique
from tfcompress.techniques.tables import (
    built_like,
    common_arguments,
    if_smaller,
    planned,
    why_no_table,
)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Share(Technique):
    """Makes the rows of a table out of the rows of two small ones, by hashing.

    Shi et al., "Compositional Embeddings Using Complementary Partitions" (KDD 2020); Zhang et al.,
    "Model Size Reduction Using Frequency Based Double Hashing" (RecSys 2020), which keeps the most
    frequent ids whole. The small tables start as the fit of least squares to the trained rows
    (`layers/two_way.py`). Score with `tfcompress.scores`, which never makes the table. A table that
    would not become smaller is skipped, so that keeping every id changes nothing.

    Args:
        hashing: `QuotientRemainder(remainders, combine)` or `DoubleHash(buckets)`.
        keep: how many ids keep a row of their own.
        by_frequency: ids, the most frequent first, at least `keep` of them; the rest is not looked
            at. Empty: ids are numbered by frequency, and the first `keep` are kept.

    Raises:
        SpecError: a field out of range; in `plan`, ids to keep that the table does not have.

    Example:
        >>> Share(QuotientRemainder(remainders=32), keep=2, by_frequency=(7, 3, 5)).by_frequency
        (7, 3)
    """

    hashing: Hashing = field(default_factory=QuotientRemainder)
    keep: int = 0
    by_frequency: Sequence[int] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.hashing, Hashing):
            raise SpecError(
                f"Share received hashing={self.hashing!r}; expected QuotientRemainder(...) or "
                "DoubleHash(...)."
            )
        if not isinstance(self.keep, int) or isinstance(self.keep, bool) or self.keep < 0:
            raise SpecError(f"Share received keep={self.keep!r}; expected a whole number from 0.")
        object.__setattr__(self, "by_frequency", self._kept_ids())

    def _kept_ids(self) -> tuple[int, ...]:
        given = np.asarray(self.by_frequency)
        if not given.size:
            return ()
        whole = given.ndim == 1 and np.issubdtype(given.dtype, np.integer)
        kept = tuple(int(i) for i in given[: self.keep]) if whole else ()
        twice = len(set(kept)) < len(kept)
        if not whole or twice or len(kept) < self.keep or min(kept, default=0) < 0:
            raise SpecError(
                f"Share received by_frequency={_shown(self.by_frequency)} with keep={self.keep}; "
                "expected ids, whole numbers from 0, none twice, and at least as many as are kept."
            )
        return kept

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form with two small tables, or why not."""
        reason = why_no_table(form, "Share")
        if reason is not None:
            return reason
        ids, width = form.weights[0].shape
        if self.by_frequency and max(self.by_frequency) >= ids:
            raise SpecError(
                f"Share received the id {max(self.by_frequency)} in by_frequency for the table "
                f"{form.path!r}; expected ids from 0 to {ids - 1}."
            )
        if self.keep >= ids:
            return Skip(f"every one of its {ids} ids is kept")
        first, second = self.hashing.sizes(ids)
        shapes = {"first": (first, width), "second": (second, width)}
        if self.keep:
            shapes = {"kept": (self.keep, width), **shapes}
        after = planned(form, self._kind(), shapes)
        return if_smaller(replace(after, other=len(self.by_frequency)), form)

    def _kind(self) -> type[SharedEmbedding]:
        if not self.keep:
            return SharedEmbedding
        return ChosenSharedEmbedding if self.by_frequency else KeptSharedEmbedding

    def apply(self, layer: Any) -> Any:
        """The shared table, as close to the layer's as least squares come."""
        kept = {"keep": self.keep} if self.keep else {}
        new = self._kind()(hashing=self.hashing, **kept, **common_arguments(layer))
        built_like(new, layer)
        table = np.asarray(layer.embeddings)
        ids = np.array(sorted(self.by_frequency) or range(self.keep), np.int64)
        if self.by_frequency:
            new.kept_ids.assign(ids)
        if self.keep:
            new.kept.assign(table[ids])
        first, second = fitted(table, self.hashing, ids)
        new.first.assign(first)
        new.second.assign(second)
        return new


def _shown(ids: Any) -> str:
    text = repr(ids)
    return text if len(text) <= 60 else f"{text[:57]}..."


def fitted(table: Array, hashing: Hashing, kept: Array) -> tuple[Array, Array]:
    """The two small tables that make the rows of all ids but the kept ones best.

    Args:
        table: float `[ids, width]`.
        hashing: which rows an id has.
        kept: int `[keep]`, ids whose rows need not be made.

    Returns:
        float64 tables of `hashing.sizes(ids)` rows; those that only kept ids have are zero.
    """
    shared = np.setdiff1d(np.arange(len(table)), kept)
    first, second = hashing.places(shared)
    return hashing.combined.fit(table[shared], first, second, hashing.sizes(len(table)))
