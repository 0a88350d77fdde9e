"""What each class of layer has for a matrix, and which layer computes with its factors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tfcompress.keras import keras
from tfcompress.layers import (
    FactorizedConv2D,
    FactorizedDense,
    FactorizedEinsumDense,
    FactorizedEmbedding,
)
from tfcompress.layers.einsum import Equation
from tfcompress.measure import WeightForm
from tfcompress.value import Value

Array = np.ndarray[Any, Any]
Shape = tuple[int, int]


class Kind(ABC):
    """How one class of layer is factorized."""

    weight: ClassVar[str] = "kernel"
    factorized: ClassVar[type]
    fields: ClassVar[tuple[str, ...]]

    def why_not(self, layer: Any) -> str | None:
        """Why this layer's weight is no single matrix, if it is none."""
        return None

    def value(self, layer: Any) -> Array:
        """The layer's weight."""
        return np.asarray(getattr(layer, self.weight))

    def matrix(self, layer: Any) -> Array:
        """The layer's weight as a matrix `[inputs, outputs]`."""
        return self.value(layer)

    def forms(self, layer: Any, shape: Shape, rank: int) -> tuple[WeightForm, ...]:
        """How the factors of a matrix of this shape are stored."""
        left = WeightForm("left", (shape[0], rank), 1)
        return left, WeightForm("right", (rank, shape[1]), 1)

    def arguments(self, layer: Any) -> dict[str, Any]:
        """Arguments of the factorized layer, its rank aside."""
        return {name: getattr(layer, name) for name in self.fields}

    def stored(self, layer: Any, right: Array) -> Array:
        """The right factor as the factorized layer stores it."""
        return right


class _Dense(Kind):
    factorized = FactorizedDense
    fields = ("units", "activation", "use_bias")


class _Embedding(Kind):
    weight = "embeddings"
    factorized = FactorizedEmbedding
    fields = ("input_dim", "output_dim", "mask_zero")

    def forms(self, layer: Any, shape: Shape, rank: int) -> tuple[WeightForm, ...]:
        left = WeightForm("left", (shape[0], rank), 0, lookup=True)
        return left, WeightForm("right", (rank, shape[1]), None)


class _EinsumDense(Kind):
    factorized = FactorizedEinsumDense
    fields = ("equation", "activation")

    def why_not(self, layer: Any) -> str | None:
        shared = Equation.of(layer.equation).shared
        if shared:
            return (
                f"its equation {layer.equation} has a matrix of its own for each {shared[0]}, "
                "and not one for all"
            )
        return None

    def matrix(self, layer: Any) -> Array:
        return Equation.of(layer.equation).matrix(self.value(layer))

    def arguments(self, layer: Any) -> dict[str, Any]:
        bias = None if layer.bias is None else tuple(layer.bias.shape)
        shapes = {"kernel_shape": tuple(layer.kernel.shape), "bias_shape": bias}
        return {**super().arguments(layer), **shapes}


@dataclass(frozen=True)
class Split(Value):
    """How a convolution becomes two."""

    @abstractmethod
    def second_size(self, size: Shape) -> Shape:
        """Height and width of the second convolution, for a kernel of this size."""

    @abstractmethod
    def matrix(self, kernel: Array) -> Array:
        """The kernel `[height, width, channels, filters]` as the matrix that is factorized."""

    @abstractmethod
    def right(self, right: Array, size: Shape) -> Array:
        """The right factor, its rows those of the second convolution."""


@dataclass(frozen=True)
class Channelwise(Split):
    """The whole kernel to `rank` channels, then 1x1.

    Zhang et al., "Accelerating Very Deep Convolutional Networks for Classification and Detection"
    (2016).

    Example:
        >>> Channelwise().matrix(np.zeros((3, 3, 4, 8))).shape
        (36, 8)
    """

    def second_size(self, size: Shape) -> Shape:
        """A single point."""
        return 1, 1

    def matrix(self, kernel: Array) -> Array:
        """`[height * width * channels, filters]`."""
        return kernel.reshape(-1, kernel.shape[-1])

    def right(self, right: Array, size: Shape) -> Array:
        """As it is: `[rank, filters]`."""
        return right


@dataclass(frozen=True)
class Spatial(Split):
    """A column to `rank` channels, then a row.

    Jaderberg et al., "Speeding up Convolutional Neural Networks with Low Rank Expansions" (2014).

    Example:
        >>> Spatial().matrix(np.zeros((3, 3, 4, 8))).shape
        (12, 24)
    """

    def second_size(self, size: Shape) -> Shape:
        """A row."""
        return 1, size[1]

    def matrix(self, kernel: Array) -> Array:
        """`[height * channels, width * filters]`."""
        height, width, channels, filters = kernel.shape
        return kernel.transpose(0, 2, 1, 3).reshape(height * channels, width * filters)

    def right(self, right: Array, size: Shape) -> Array:
        """`[rank, width * filters]` to `[width * rank, filters]`."""
        rank, width = len(right), size[1]
        return right.reshape(rank, width, -1).transpose(1, 0, 2).reshape(width * rank, -1)


class _Conv2D(Kind):
    factorized = FactorizedConv2D
    fields = (
        "filters", "kernel_size", "strides", "padding", "dilation_rate", "activation", "use_bias",
    )  # fmt: skip

    def __init__(self, split: Split) -> None:
        self.split = split

    def why_not(self, layer: Any) -> str | None:
        if layer.groups > 1:
            return f"its {layer.groups} groups have kernels of their own, and not one for all"
        if layer.data_format != "channels_last":
            return f"its data format is {layer.data_format}; a factorized one is channels_last"
        return None

    def matrix(self, layer: Any) -> Array:
        return self.split.matrix(self.value(layer))

    def forms(self, layer: Any, shape: Shape, rank: int) -> tuple[WeightForm, ...]:
        width = self.split.second_size(layer.kernel_size)[1]
        right = (rank * width, shape[1] // width)
        return (
            WeightForm("left", (shape[0], rank), 1, operator="CONV_2D"),
            WeightForm("right", right, 1, operator="CONV_2D"),
        )

    def arguments(self, layer: Any) -> dict[str, Any]:
        second = self.split.second_size(layer.kernel_size)
        return {**super().arguments(layer), "second_size": second}

    def stored(self, layer: Any, right: Array) -> Array:
        return self.split.right(right, layer.kernel_size)


# By the class itself: a subclass may compute something else.
KINDS: dict[type, Callable[[Split], Kind]] = {
    keras.layers.Dense: lambda split: _Dense(),
    keras.layers.Embedding: lambda split: _Embedding(),
    keras.layers.EinsumDense: lambda split: _EinsumDense(),
    keras.layers.Conv2D: _Conv2D,
}
