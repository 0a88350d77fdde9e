"""Items numbered about by frequency, and by title again, in one byte an item.

A table that is factorized further for rare items than for frequent ones is two tables, and a file
has to know in which of them an item is, and where. A map there and one back would be four bytes an
item. So items are sorted by frequency among 16 only: where an item comes among its 16 is half a
byte, and which item comes there is the other half.
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
_BITS = 4  # of a place among its group, or of an id
GROUP = 2**_BITS


@dataclass(frozen=True)
class ByFrequency:
    """Places of ids: first the most frequent ids of all groups, then the second ones, and so on.

    An id's group is its remainder; 16 ids or fewer have the same.

    Attributes:
      counts: how often each id is seen, one number for each id. Of two ids that are as frequent the
        lower one comes first. The id 0, padding, has place 0 whatever its count.

    >>> numbers = ByFrequency((0, *range(40)))  # three groups
    >>> numbers.place_of([0, 40, 39, 1]).numpy(), numbers.id_at([0, 1, 2, 40]).numpy()
    (array([ 0,  1,  3, 40], dtype=int32), array([ 0, 40, 38,  1], dtype=int32))
    """

    counts: tuple[int, ...]

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return -(-len(self.counts) // GROUP)

    @cached_property
    def ids(self) -> IntArray:
        """For each place its id: int32 [n_ids]."""
        counts = np.array(self.counts, np.int64)
        counts[0] = counts.max() + 1
        ids = np.arange(len(counts))
        # Places go round the groups as ids do, so a group's places are where its ids are.
        places = np.lexsort((ids, ids % self.groups))
        found = np.empty(len(ids), np.int32)
        found[places] = np.lexsort((ids, -counts, ids % self.groups))
        return found

    @cached_property
    def codes(self) -> npt.NDArray[np.uint8]:
        """uint8 [n_ids]: 16 p + i. The id of this number is the p-th of its group (from 0); at the
        place of this number is the i-th id of the group."""
        return (GROUP * (np.argsort(self.ids) // self.groups) + self.ids // self.groups).astype(
            np.uint8
        )

    def place_of(self, ids: Tensor) -> Tensor:
        """Where ids are: int32 [...] both ways."""
        # A shift, since LiteRT divides whole numbers slowly.
        return self._in_group(tf.bitwise.right_shift(self._codes_of(ids), _BITS), ids)

    def id_at(self, places: Tensor) -> Tensor:
        """Which ids are there: int32 [...] both ways."""
        return self._in_group(tf.math.floormod(self._codes_of(places), GROUP), places)

    def _codes_of(self, numbers: Tensor) -> Tensor:
        return tf.cast(tf.gather(self.codes, numbers), tf.int32)

    def _in_group(self, which: Tensor, numbers: Tensor) -> Tensor:
        return self.groups * which + tf.math.floormod(numbers, self.groups)
