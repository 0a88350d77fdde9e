"""What transforms that hold weights at zero have in common: a mask, however it came about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tfcompress.keras import tf
from tfcompress.measure import WeightForm


class Zeroing:
    """A transform that multiplies a weight by a mask of its shape, `_mask`, of ones and zeros."""

    order = 1
    settled: bool  # whether the mask never moves again
    _mask: Any

    def restart(self, before: Any, after: Any) -> None:
        """Nothing to set where another transform comes before this one."""

    def __call__(self, weight: Any) -> Any:
        """The weight with zeros where the mask has them."""
        return weight * self._mask

    def zero(self, weight: Any) -> None:
        """Writes the zeros into the variable."""
        weight.assign(weight * self._mask)

    def rows(self, table: Callable[[], Any], rows: Any, ids: Any) -> Any:
        """The same for the rows `ids` of a table."""
        del table
        return rows * tf.gather(self._mask, ids)

    @property
    def zeros(self) -> float:
        """The share of zeros now."""
        return zeros(self._mask)

    def planned(self, form: WeightForm) -> WeightForm:
        """How a matrix is stored after this."""
        return replace(form, sparsity=self.zeros)


def held_at_zero(wrapper: Any, training: Any) -> list[str]:
    """The weights of a `Compressed` whose zeros a training step writes into them where it begins.

    They are those under a mask that never moves, for what lies beneath it is of no use. It is one
    pass over the weight, where a product takes one forward and one backward. What an optimizer
    makes of the zeros is gone again before it is used. TF-MOT does the same.

    Nothing is written in a strategy, whose replicas may not write to a weight that they share, nor
    to what is read in a lower precision than it is held in, nor to a table, of which a step reads
    some rows.
    """
    layer = wrapper.layer
    if not isinstance(training, (bool, int)) or not training or tf.distribute.has_strategy():
        return []
    if layer.compute_dtype != layer.variable_dtype or wrapper.is_lookup():
        return []
    firsts = {name: chain[0] for name, chain in wrapper.transforms.items() if chain}
    return [name for name, one in firsts.items() if isinstance(one, Zeroing) and one.settled]


def zeros(weight: Any) -> float:
    """The share of zeros in an array.

    Example:
        >>> zeros(np.array([0.0, 1.0, 0.0, 2.0]))
        0.5
    """
    values = np.asarray(weight)
    return float(1.0 - np.count_nonzero(values) / values.size)
