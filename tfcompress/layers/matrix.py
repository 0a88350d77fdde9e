"""Weights of any shape as matrices `[rows, columns]`, and back; see `measure.matrix_shape`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.keras import tf
from tfcompress.measure import Axes, axes_of, matrix_shape


def to_matrix(weight: Any, channel_axis: Axes) -> Any:
    """A tensor of two or more axes as `[rows, columns]`, its channels in the columns.

    Two axes are taken as they are.

    Example:
        >>> import tensorflow as tf
        >>> to_matrix(tf.zeros((3, 3, 8, 2)), channel_axis=2).shape.as_list()
        [18, 8]
    """
    if len(weight.shape) == 2:
        return weight
    shape = tuple(int(size) for size in weight.shape)
    order = _order(len(shape), channel_axis)
    return tf.reshape(tf.transpose(weight, order), matrix_shape(shape, channel_axis))


def from_matrix(matrix: Any, shape: tuple[int, ...], channel_axis: Axes) -> Any:
    """The tensor of `shape` that `to_matrix` makes `matrix` of."""
    if len(shape) == 2:
        return matrix
    order = _order(len(shape), channel_axis)
    parts = tf.reshape(matrix, [shape[axis] for axis in order])
    return tf.transpose(parts, [int(place) for place in np.argsort(order)])


def _order(rank: int, channel_axis: Axes) -> list[int]:
    channels = axes_of(channel_axis) or (rank - 1,)
    return [axis for axis in range(rank) if axis not in channels] + list(channels)


def read_axes(channel_axis: Any) -> Axes:
    """Channel axes as a config brings them: JSON has lists where there were tuples."""
    return tuple(channel_axis) if isinstance(channel_axis, (list, tuple)) else channel_axis
