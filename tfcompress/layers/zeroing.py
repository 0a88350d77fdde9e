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
    _mask: Any

    def restart(self, before: Any, after: Any) -> None:
        """Nothing to set where another transform comes before this one."""

    def __call__(self, weight: Any) -> Any:
        """The weight with zeros where the mask has them."""
        return weight * self._mask

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


def zeros(weight: Any) -> float:
    """The share of zeros in an array.

    Example:
        >>> zeros(np.array([0.0, 1.0, 0.0, 2.0]))
        0.5
    """
    values = np.asarray(weight)
    return float(1.0 - np.count_nonzero(values) / values.size)
