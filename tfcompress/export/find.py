"""The weights to store in few bits, and where they are in a converted graph.

Names do not survive the converter, values do. It holds a kernel turned round, `[out, in]` or
`[out, h, w, in]`, a depthwise one as `[1, h, w, out]`, a table as it is; and it multiplies kernels
by constants that follow them: a number, or one for each channel (BatchNormalization).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.layers import (
    Compressed,
    FakeQuantizer,
    Fixed,
    HalfPrecision,
    TieredEmbedding,
    weight_roles,
)
from tfcompress.layers.matrix import to_matrix
from tfcompress.measure import Axes
from tfcompress.surgery import walk

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Stored:
    """A weight that goes into the file in a few bits.

    Attributes:
        path: layer and weight, e.g. `blocks.0.query.kernel`.
        value: float32 in its own shape, on its grid.
        quantizer: the grid.
        channel_axis: which of its axes are channels, see `WeightRole`.
        codes: the level of each weight, int32 in its own shape; None: it has none, as a float16.
    """

    path: str
    value: Array
    quantizer: FakeQuantizer
    channel_axis: Axes = None
    codes: Array | None = None

    @property
    def matrix(self) -> Array:
        """The value as `[rows, columns]`, see `to_matrix`."""
        return np.asarray(to_matrix(self.value, self.channel_axis))

    @property
    def scaled_axis(self) -> int | None:
        """The axis of `matrix` whose entries each have a scale, or scales; None: one scale."""
        if self.quantizer.channel_axis is None:
            return None
        return 0 if self.value.ndim == 2 and self.quantizer.channel_axis in (0, (0,)) else 1


def stored_weights(model: Any) -> list[Stored]:
    """Every fake-quantized matrix of a compressed model, with the value that training saw."""
    found = []
    for held in walk(model):
        if isinstance(held.layer, TieredEmbedding):
            found += _codes(held.path, held.layer)
        if not isinstance(held.layer, Compressed):
            continue
        for name, chain in held.layer.transforms.items():
            grids = [t for t in chain if isinstance(t, FakeQuantizer)]
            if grids:
                value = held.layer.effective(name).numpy()
                codes = grids[-1].codes(held.layer.before(name, grids[-1]))
                axes = {role.name: role.channel_axis for role in weight_roles(held.layer.layer)}
                found.append(
                    Stored(
                        f"{held.path}.{name}",
                        value,
                        grids[-1],
                        axes[name],
                        None if codes is None else codes.numpy(),
                    )
                )
    return found


def _codes(path: str, table: TieredEmbedding) -> list[Stored]:
    """Both codes of a table of tiers, on grids of whole numbers."""
    several = {"codes": table.codes().numpy(), "second": table.second_codes().numpy()}
    grid = FakeQuantizer(4, scale=Fixed(1.0))
    return [
        Stored(f"{path}.{name}", codes, grid, codes=codes.astype(np.int32))
        for name, codes in several.items()
    ]


def find_owner(value: Array, weights: list[Stored]) -> int | None:
    """Which of the weights a constant of the graph is; see `find_place`."""
    place = find_place(value, weights)
    return None if place is None else place[0]


def find_place(value: Array, weights: list[Stored]) -> tuple[int, bool] | None:
    """Which of the weights a constant of the graph is, and whether its matrix is turned round.

    Raises:
        ExportError: it is one, turned so that its scales would not fit.
    """
    for index, weight in enumerate(weights):
        if value.size != weight.value.size:
            continue
        for found, turned in _seen_as_matrices(value):
            candidate = weight.matrix.T if turned else weight.matrix
            if _proportional(found, candidate, _scaled(weight, turned)):
                _refuse_other_channels(value, weight, turned)
                return index, turned
    return None


def _seen_as_matrices(value: Array) -> list[tuple[Array, bool]]:
    """A constant as matrices that may be a weight's, and whether this is turned round for it."""
    if value.ndim < 2:
        return []
    first, last = value.shape[0], value.shape[-1]
    by_first, by_last = value.reshape(first, -1), value.reshape(-1, last)
    if value.ndim == 2:
        return [(value, False), (value, True)]
    return [(by_last, False), (by_first, True)]


def _scaled(weight: Stored, turned: bool) -> int | None:
    axis = weight.scaled_axis
    return axis if axis is None or not turned else 1 - axis


def _proportional(value: Array, weight: Array, axis: int | None) -> bool:
    # Up to one factor, or one for each channel with scales of its own: the converter multiplies a
    # kernel by what follows it, and the product lies on grids of the same levels.
    if value.shape != weight.shape:
        return False
    if axis is None or weight.shape[1 - axis] == 1:  # a single number is a multiple of any other
        return _same_up_to_factors(value.reshape(1, -1), weight.reshape(1, -1))
    return _same_up_to_factors(np.moveaxis(value, axis, 0), np.moveaxis(weight, axis, 0))


def _same_up_to_factors(value: Array, weight: Array) -> bool:
    """Whether each row `[rows, n]` of one is a multiple of the other's row."""
    place = np.argmax(np.abs(weight), axis=1)[:, None]
    largest = np.take_along_axis(weight, place, 1)
    factor = np.take_along_axis(value, place, 1) / np.where(largest == 0.0, 1.0, largest)
    nothing_lost = np.array_equal(factor == 0.0, largest == 0.0)
    return nothing_lost and bool(np.allclose(value, weight * factor, rtol=1e-5, atol=0.0))


def channels_last(value: Array, turned: bool) -> bool:
    """Whether a constant has its scales along the last axis, as a depthwise `[1, h, w, out]`."""
    return value.ndim > 2 and not turned


def _refuse_other_channels(value: Array, weight: Stored, turned: bool) -> None:
    axis = _scaled(weight, turned)
    if isinstance(weight.quantizer, HalfPrecision):
        return
    if axis is not None and axis != (1 if channels_last(value, turned) else 0):
        raise ExportError(
            f"{weight.path} is multiplied the other way round in the file, where the scales of its "
            f"channels (axis {weight.quantizer.channel_axis}) would not fit. "
            "Quantize it PerTensor()."
        )
