"""Where a grid ends: values that make the step between its levels."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.layers import grid
from tfcompress.layers.mean_square import mean_square_scale
from tfcompress.value import Value


@dataclass(frozen=True)
class Scale(Value):
    """Where a grid ends.

    Attributes:
        clips: whether weights may lie beyond the end.
        trained: whether the step is a weight that training moves; `step` is then its first value.
    """

    clips: ClassVar[bool] = True
    trained: ClassVar[bool] = False

    @abstractmethod
    def step(self, weights: Any, axes: list[int], bits: int) -> Any:
        """The distance between two levels, for weights that share it over `axes`.

        Args:
            weights: float tensor of any shape.
            axes: kept as size 1.
            bits: of the grid; see `grid.levels`.
        """


@dataclass(frozen=True)
class AbsMax(Scale):
    """The grid ends at the largest magnitude."""

    clips: ClassVar[bool] = False

    def step(self, weights: Any, axes: list[int], bits: int) -> Any:
        """The largest magnitude by the number of levels."""
        return grid.absmax_scale(weights, axes, bits)


@dataclass(frozen=True)
class Deviations(Scale):
    """The grid ends at a multiple of the standard deviation; larger weights are clipped to it.

    Raises:
        SpecError: a multiple not above 0.
    """

    multiple: float = 3.0

    def __post_init__(self) -> None:
        if self.multiple <= 0:
            raise SpecError(f"Deviations received {self.multiple}; expected a multiple above 0.")

    def step(self, weights: Any, axes: list[int], bits: int) -> Any:
        """The multiple of the deviation by the number of levels."""
        return grid.deviation_scale(weights, axes, bits, self.multiple)


@dataclass(frozen=True)
class MeanSquare(Scale):
    """The grid ends where rounding and clipping together have the smallest mean squared error.

    Sakr et al., "Optimal Clipping and Magnitude-aware Differentiation for Improved
    Quantization-aware Training" (2022): OCTAV, found anew at every step by a few passes over the
    weights; see `layers.mean_square`.

    Example:
        >>> from tfcompress import Quantize
        >>> Quantize(bits=4, scale=MeanSquare()).scale
        MeanSquare()
    """

    def step(self, weights: Any, axes: list[int], bits: int) -> Any:
        """The clip by the number of levels."""
        return mean_square_scale(weights, axes, bits)


@dataclass(frozen=True)
class Learned(Scale):
    """The step is trained together with the weights, from `2 mean|w| / sqrt(levels)` on.

    Esser et al., "Learned Step Size Quantization" (2020), LSQ. What is held is the step's
    logarithm: so the step stays above 0, and an optimizer that makes all gradients alike, such as
    Adam, moves it by shares of itself, as Jain et al., "Trained Quantization Thresholds" (2020),
    do.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(4,))])
        >>> learned = tfc.Quantize(bits=3, scale=tfc.Learned())
        >>> student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), learned)]))
        >>> len(model.trainable_weights), len(student.trainable_weights)
        (2, 3)
    """

    trained: ClassVar[bool] = True

    def step(self, weights: Any, axes: list[int], bits: int) -> Any:
        """Where training starts."""
        mean = tf.reduce_mean(tf.abs(weights), axis=axes, keepdims=True)
        return 2.0 * tf.maximum(mean, 1e-9) / math.sqrt(grid.levels(bits))


@dataclass(frozen=True)
class Fixed(Scale):
    """A step that does not depend on the weights: `round(w * Q) / Q` with `Fixed(1 / Q)`.

    Weights beyond the last level are clipped to it: with 8 bits and `Fixed(1 / 128)` that is
    127 / 128. In blocks the step is rounded to what a file holds; powers of two stay as they are.

    Raises:
        SpecError: a step not above 0.

    Example:
        >>> import tensorflow as tf
        >>> from tfcompress.layers import FakeQuantizer
        >>> FakeQuantizer(8, scale=Fixed(1 / 64))(tf.constant([[0.2]])).numpy().tolist()
        [[0.203125]]
    """

    size: float

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not self.size > 0 or math.isinf(self.size):
            raise SpecError(
                f"Fixed received {self.size!r}; expected a step above 0, such as 1 / 64."
            )

    def step(self, weights: Any, axes: list[int], bits: int) -> Any:
        """The step, once for all."""
        return tf.fill([1] * len(weights.shape), tf.cast(self.size, weights.dtype))
