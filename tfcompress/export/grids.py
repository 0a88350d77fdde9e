"""Where the grids of a weight end in a file."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.export.find import Stored, channels_last
from tfcompress.layers.grid import SMALLEST, levels, stored_bits
from tfcompress.layers.matrix import to_matrix

Array = np.ndarray[Any, Any]


def grid_ends(value: Array, weight: Stored, turned: bool) -> Array:
    """The last level of each grid of a constant, float32: its step times the most levels.

    The step is told from the largest weight of a group and the level of it that training saw. So
    it is the trained one, multiplied by what the converter multiplied the weight by.

    Args:
        value: the constant, in the layout of its operator.
        weight: what it is, with codes.
        turned: whether its matrix is turned round, see `find_place`.

    Returns:
        `[channels, blocks]` where blocks have scales, else of the constant's axes, each of size 1
        but that of the channels.
    """
    codes = np.asarray(to_matrix(weight.codes, weight.channel_axis))
    codes = (codes.T if turned else codes).reshape(value.shape)
    grid = weight.quantizer
    if grid.block:
        largest, level = (_by_block(x, grid.block) for x in (value, codes))
    else:
        axes = _shared(value, grid.channel_axis is not None, turned)
        largest, level = (np.abs(x).max(axis=axes, keepdims=True) for x in (value, codes))
    step = np.where(level > 0, largest.astype(np.float64) / np.maximum(level, 1), SMALLEST)
    return (step * levels(stored_bits(grid.bits))).astype(np.float32)


def _by_block(value: Array, block: int) -> Array:
    found: Array = np.abs(value.reshape(len(value), -1, block)).max(axis=2)
    return found


def _shared(value: Array, by_channel: bool, turned: bool) -> tuple[int, ...]:
    if not by_channel:
        return tuple(range(value.ndim))
    channel = value.ndim - 1 if channels_last(value, turned) else 0
    return tuple(axis for axis in range(value.ndim) if axis != channel)
