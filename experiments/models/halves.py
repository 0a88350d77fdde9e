"""Items numbered so that the more frequent half come first, and back, in one byte an item.

A table that is factorized further for rare items than for frequent ones has two parts, and a file
has to know in which one an item is, and where. A map both ways would be four bytes an item. So
frequent and rare are told apart within each 16 neighbouring ids: an item's place among 16 is half
a byte, and the item that is at a place another half.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.models import tf

IntArray = npt.NDArray[np.int32]
Tensor = Any
BLOCK, HALF = 16, 8


def first_half(n_ids: int) -> int:
    """How many of the ids 0 … n_ids - 1 have their places in the first half."""
    return HALF * (n_ids // BLOCK) + min(HALF, n_ids % BLOCK)


@dataclass(frozen=True)
class Halves:
    """The places of ids: of each 16 ids the 8 more frequent are in the first half, in their order.

    Attributes:
      counts: how often each id is seen, [n_ids]; of ids as frequent the lower ones come first. The
        id 0, padding, keeps its number, whatever its count.

    >>> halves = Halves((0, *range(20)))
    >>> halves.place_of([0, 20, 1]).numpy(), halves.id_at([0, 8, 12, 20]).numpy()
    (array([ 0,  8, 20], dtype=int32), array([ 0, 20, 16,  1], dtype=int32))
    """

    counts: tuple[int, ...]

    @property
    def n_ids(self) -> int:
        """How many ids there are, and places."""
        return len(self.counts)

    @cached_property
    def places(self) -> IntArray:
        """For each id its place: int32 [n_ids]."""
        counts = np.array(self.counts, np.int64)
        counts[0] = counts.max() + 1
        ids = np.arange(self.n_ids)
        block = ids // BLOCK
        sorted_ids = np.lexsort((ids, -counts, block))
        rank = np.empty(self.n_ids, np.int64)
        rank[sorted_ids] = ids % BLOCK
        later = np.where(rank < HALF, 0, first_half(self.n_ids) - HALF)
        return (HALF * block + rank + later).astype(np.int32)

    @cached_property
    def ids(self) -> IntArray:
        """For each place its id: int32 [n_ids]."""
        return np.argsort(self.places).astype(np.int32)

    @cached_property
    def codes(self) -> npt.NDArray[np.int8]:
        """int8 [n_ids]: 16 r + i. `r` is where among 8 this id is placed, less 8 in the second half,
        and `i` the id, among its 16, that is placed here."""
        half = first_half(self.n_ids)
        among = np.where(self.places < half, self.places % HALF, (self.places - half) % HALF - HALF)
        return (BLOCK * among + self.ids % BLOCK).astype(np.int8)

    def place_of(self, ids: Tensor) -> Tensor:
        """Where ids are: int32 [...] both ways."""
        codes = self._codes_of(ids)
        among = HALF * tf.math.floordiv(ids, BLOCK) + tf.math.floordiv(codes, BLOCK)
        second = tf.math.floordiv(codes, HALF * BLOCK)  # -1, in the first half 0
        return among - (first_half(self.n_ids) + HALF) * second

    def id_at(self, places: Tensor) -> Tensor:
        """Which ids are there: int32 [...] both ways."""
        block = tf.math.floordiv(tf.math.floormod(places, first_half(self.n_ids)), HALF)
        return BLOCK * block + tf.math.floormod(self._codes_of(places), BLOCK)

    def _codes_of(self, rows: Tensor) -> Tensor:
        return tf.cast(tf.gather(self.codes, rows), tf.int32)
