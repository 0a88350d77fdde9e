"""What a layer costs: parameters, bytes, multiply-adds; as data, never as text."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

FLOAT_BITS = 32
SCALE_BYTES = 4


@dataclass(frozen=True)
class WeightForm:
    """How one matrix is stored.

    Attributes:
        name: attribute of its layer.
        shape: rows and columns.
        channel_axis: the axis whose entries can each have a scale of their own; None: one scale.
        lookup: whether its rows are looked up (a table) rather than multiplied.
        bits: width of a stored weight.
        scales: how many scales are stored with it.
        sparsity: share of weights that are zero because they were pruned.
    """

    name: str
    shape: tuple[int, int]
    channel_axis: int | None
    lookup: bool = False
    bits: int = FLOAT_BITS
    scales: int = 0
    sparsity: float = 0.0

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return self.shape[0] * self.shape[1]

    @property
    def bytes(self) -> int:
        """Bytes of weights and scales in a file; zeros are stored like any other weight."""
        return math.ceil(self.parameters * self.bits / 8) + self.scales * SCALE_BYTES

    @property
    def multiply_adds(self) -> int:
        """For one input vector, or none where rows are looked up."""
        return 0 if self.lookup else self.parameters


@dataclass(frozen=True)
class LayerForm:
    """What a plan knows of a layer.

    Attributes:
        path: where it is held.
        layer: the layer itself, to read, never to change.
        kind: class name of what stands there, which a technique may have changed.
        weights: its compressible matrices.
        other: parameters besides these (biases), stored as float32.
        positions: input vectors per example, where the layer's input shape says so.
        other_multiply_adds: for one example, of kernels that are not among `weights`.
    """

    path: str
    layer: Any
    kind: str
    weights: tuple[WeightForm, ...]
    other: int = 0
    positions: int = 1
    other_multiply_adds: int = 0

    @property
    def parameters(self) -> int:
        """Number of scalars."""
        return sum(w.parameters for w in self.weights) + self.other

    @property
    def bytes(self) -> int:
        """Bytes of everything the layer stores."""
        return sum(w.bytes for w in self.weights) + self.other * FLOAT_BITS // 8

    @property
    def multiply_adds(self) -> int:
        """For one example."""
        declared = self.positions * sum(w.multiply_adds for w in self.weights)
        return declared + self.other_multiply_adds

    def value(self, name: str) -> np.ndarray[Any, Any]:
        """The current weight, float32 `[rows, columns]`."""
        return np.asarray(getattr(self.layer, name))

    def with_weights(self, change: Callable[[WeightForm], WeightForm]) -> LayerForm:
        """The form with every matrix's form changed."""
        return replace(self, weights=tuple(change(w) for w in self.weights))
