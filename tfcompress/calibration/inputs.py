"""What was seen of a layer's inputs, in NumPy: as much as an error of its outputs needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Inputs(ABC):
    """What was seen of a layer's inputs: as much as an error of its outputs needs.

    Attributes:
        count: input vectors or ids seen.
    """

    count: int = 0

    @abstractmethod
    def add(self, inputs: Array) -> None:
        """Takes more inputs in."""

    @abstractmethod
    def weighed(self, matrix: Array, smoothing: float) -> Array:
        """A matrix that is to this one as the layer's outputs are to its weights.

        The sum of its squares is the mean square of the outputs, each direction of the inputs
        weighing `smoothing` times the mean one more.

        Args:
            matrix: `[inputs, outputs]`, or a table `[ids, width]`.
            smoothing: not below 0.
        """

    @abstractmethod
    def mean_squares(self) -> Array:
        """The mean square of every input, float64 `[inputs]`; of ids, the share of each."""


class SecondMoments(Inputs):
    """The sum of `x x'` over all input vectors `x`, in float64: `[inputs, inputs]`.

    Args:
        width: of an input vector.

    Example:
        >>> seen = SecondMoments(2)
        >>> seen.add(np.array([[1.0, 0.0], [3.0, 0.0]]))
        >>> seen.total.tolist(), seen.count
        ([[10.0, 0.0], [0.0, 0.0]], 2)
    """

    def __init__(self, width: int) -> None:
        self.total = np.zeros((width, width))

    def add(self, inputs: Array) -> None:
        """Takes in vectors `[n, width]`."""
        vectors = inputs.astype(np.float64)
        self.total += vectors.T @ vectors
        self.count += len(vectors)

    def weighed(self, matrix: Array, smoothing: float) -> Array:
        """`S @ matrix` with `S' S` the smoothed mean of `x x'`."""
        mean = self.total / max(self.count, 1)
        mean = mean + smoothing * np.trace(mean) / len(mean) * np.eye(len(mean))
        squares, vectors = np.linalg.eigh(mean)
        return (np.sqrt(np.maximum(squares, 0.0))[:, None] * vectors.T) @ matrix

    def mean_squares(self) -> Array:
        """The diagonal of the mean of `x x'`."""
        return np.diagonal(self.total) / max(self.count, 1)


class Counts(Inputs):
    """How often each id was looked up: int64 `[ids]`.

    Args:
        ids: how many there are.

    Example:
        >>> seen = Counts(3)
        >>> seen.add(np.array([0, 2, 2]))
        >>> seen.total.tolist()
        [1, 0, 2]
    """

    def __init__(self, ids: int) -> None:
        self.total = np.zeros(ids, np.int64)

    def add(self, inputs: Array) -> None:
        """Takes in ids of any shape."""
        self.total += np.bincount(inputs.reshape(-1), minlength=len(self.total))
        self.count += inputs.size

    def weighed(self, matrix: Array, smoothing: float) -> Array:
        """Every row times the root of its smoothed frequency."""
        share = self.total / max(self.count, 1)
        root = np.sqrt(share + smoothing / len(share)).astype(matrix.dtype)
        return root[:, None] * matrix

    def mean_squares(self) -> Array:
        """The share of each id: an id is there or not, 1 or 0."""
        return self.total / max(self.count, 1)
