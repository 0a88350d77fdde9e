"""What a layer costs: parameters, bytes, multiply-adds; as data, never as text."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

FLOAT_BITS = 32
SCALE_BYTES = 12  # a float32, and a zero point of 64 bits
BLOCK_SCALE_BYTES = 2  # a float16

Axes = int | tuple[int, ...] | None


def axes_of(channel_axis: Axes) -> tuple[int, ...]:
    """Channel axes as a tuple; empty where there are none."""
    if channel_axis is None:
        return ()
    return (channel_axis,) if isinstance(channel_axis, int) else tuple(channel_axis)


def matrix_shape(shape: tuple[int, ...], channel_axis: Axes) -> tuple[int, int]:
    """Rows and columns of a weight seen as a matrix.

    Two axes are taken as they are. Of more, the channels (without any: the last axis) are the
    columns, and all others the rows: a kernel of a convolution `[h, w, in, out]` is
    `[h * w * in, out]`.

    Example:
        >>> matrix_shape((3, 3, 16, 32), 3), matrix_shape((3, 3, 16, 2), (2, 3))
        ((144, 32), (9, 32))
    """
    if len(shape) == 2:
        return shape[0], shape[1]
    columns = math.prod(shape[axis] for axis in axes_of(channel_axis) or (len(shape) - 1,))
    return math.prod(shape) // columns, columns


@dataclass(frozen=True)
class WeightForm:
    """How one weight is stored.

    Attributes:
        name: attribute of its layer, dotted where it is deeper (`cell.kernel`).
        shape: its own shape; `matrix` is the one it is seen as.
        channel_axis: the axis, or axes, whose entries can each have a scale of their own; None:
            one scale.
        lookup: whether its rows are looked up (a table) rather than multiplied.
        bits: width of a stored weight.
        scales: how many scales are stored with it.
        block: how many weights of a channel share a scale; 0: all of them.
        sparsity: share of weights that are zero because they were pruned.
        operator: what computes with it in a file, e.g. CONV_2D; empty: not known.
    """

    name: str
    shape: tuple[int, ...]
    channel_axis: Axes
    lookup: bool = False
    bits: int = FLOAT_BITS
    scales: int = 0
    block: int = 0
    sparsity: float = 0.0
    operator: str = ""

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def matrix(self) -> tuple[int, int]:
        """Rows and columns, see `matrix_shape`."""
        return matrix_shape(self.shape, self.channel_axis)

    @property
    def channels(self) -> int:
        """How many entries can have a scale of their own."""
        return math.prod(self.shape[axis] for axis in axes_of(self.channel_axis))

    @property
    def bytes(self) -> int:
        """Bytes of weights and scales in a file, at most; zeros are stored like any other weight.

        Zero points are zero, and matrices with equally many scales share them.
        """
        scale_bytes = BLOCK_SCALE_BYTES if self.block else SCALE_BYTES
        return math.ceil(self.parameters * self.bits / 8) + self.scales * scale_bytes

    @property
    def sparse_bytes(self) -> int:
        """Bytes where zeros are not stored, at most: a bit for each weight, or a gap for each kept.

        `save_sparse` stores weights so, in 32 bits; a TFLite file with native sparse kernels holds
        indices of its own.
        """
        kept = round(self.parameters * (1.0 - self.sparsity))
        where = min(math.ceil(self.parameters / 8), kept + self.parameters // 255)
        values = math.ceil(kept * self.bits / 8)
        dense = math.ceil(self.parameters * self.bits / 8)
        return min(dense, where + values) + self.bytes - dense

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
        positions: how often each weight is used for an example, where shapes say so.
        inputs: what it saw in a calibration (`calibration.Inputs`); None: there was none.
        harm: what was measured that techniques harm the model's outputs here; None: nothing was.
        codes: bytes of integer codes, which choose among weights and are none.
        other_multiply_adds: for one example, of kernels that are not among `weights`.
    """

    path: str
    layer: Any
    kind: str
    weights: tuple[WeightForm, ...]
    other: int = 0
    positions: int = 1
    inputs: Any = None
    codes: int = 0
    other_multiply_adds: int = 0
    harm: Mapping[Any, float] | None = None

    @property
    def parameters(self) -> int:
        """Number of scalars."""
        return sum(w.parameters for w in self.weights) + self.other

    @property
    def bytes(self) -> int:
        """Bytes of everything the layer stores."""
        return sum(w.bytes for w in self.weights) + self.other * FLOAT_BITS // 8 + self.codes

    @property
    def sparse_bytes(self) -> int:
        """Bytes of everything the layer stores, its zeros left out; see `WeightForm`."""
        return self.bytes - sum(w.bytes - w.sparse_bytes for w in self.weights)

    @property
    def multiply_adds(self) -> int:
        """For one example."""
        declared = self.positions * sum(w.multiply_adds for w in self.weights)
        return declared + self.other_multiply_adds

    def value(self, name: str) -> np.ndarray[Any, Any]:
        """The current weight, float32 in its own shape."""
        return np.asarray(functools.reduce(getattr, name.split("."), self.layer))

    def with_weights(self, change: Callable[[WeightForm], WeightForm]) -> LayerForm:
        """The form with every matrix's form changed."""
        return replace(self, weights=tuple(change(w) for w in self.weights))
