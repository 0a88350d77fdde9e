"""The transform that keeps a matrix sparse as it was made: a mask that never moves."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.keras import keras, tf
from tfcompress.layers.pruning import ByProbability, Threshold
from tfcompress.layers.zeroing import Zeroing
from tfcompress.value import from_data, to_data

Array = np.ndarray[Any, Any]


@keras.utils.register_keras_serializable("tfcompress")
class Kept(Zeroing):
    """Multiplies a matrix by ones where its weights were kept, and zeros elsewhere.

    Args:
        how: what chose them, a value.
        kept: bool in the shape of the weight; None: it is yet to be loaded.
    """

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

    def advance(self, weight: Any) -> None:
        """Nothing to do at a training step."""

    def get_config(self) -> dict[str, Any]:
        """What chose the weights; which they are is a weight of the wrapper."""
        return {"how": to_data(self.how)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Kept:
        """The transform of such a config."""
        return cls(from_data(config["how"]))
