"""The transform that keeps a matrix sparse as it was made: a mask that never moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tfcompress.keras import keras, tf
from tfcompress.layers.mask import zeros
from tfcompress.layers.pruning import ByProbability, Threshold
from tfcompress.measure import WeightForm
from tfcompress.value import from_data, to_data

Array = np.ndarray[Any, Any]


@keras.utils.register_keras_serializable("tfcompress")
class Kept:
    """Multiplies a matrix by ones where its weights were kept, and zeros elsewhere.

    Args:
        how: what chose them, a value.
        kept: bool in the shape of the weight; None: it is yet to be loaded.
    """

    order = 1
    settled = True  # what is under its zeros is of no use any more

    def __init__(self, how: ByProbability | Threshold, kept: Array | None = None) -> None:
        self.how = how
        self._kept = kept

    def build(self, layer: Any, name: str, weight: Any) -> None:
        """Adds the mask to the wrapper's own weights."""
        self._mask = layer.add_weight(
            name=f"{name}_mask",
            shape=weight.shape,
            dtype=weight.dtype,
            initializer="ones",
            trainable=False,
        )

    def start(self, weight: Any) -> None:
        """Sets the mask."""
        if self._kept is not None:
            self._mask.assign(tf.cast(self._kept, weight.dtype))

    def restart(self, before: Any, after: Any) -> None:
        """Nothing to set where another transform comes before this one."""

    def advance(self, weight: Any) -> None:
        """Nothing to do at a training step."""

    def __call__(self, weight: Any) -> Any:
        """The matrix with zeros where nothing was kept."""
        return weight * self._mask

    def rows(self, table: Callable[[], Any], rows: Any, ids: Any) -> Any:
        """The same for the rows `ids` of a table."""
        del table
        return rows * tf.gather(self._mask, ids)

    def planned(self, form: WeightForm) -> WeightForm:
        """How a matrix is stored after this."""
        return replace(form, sparsity=zeros(self._mask))

    def get_config(self) -> dict[str, Any]:
        """What chose the weights; which they are is a weight of the wrapper."""
        return {"how": to_data(self.how)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Kept:
        """The transform of such a config."""
        return cls(from_data(config["how"]))
