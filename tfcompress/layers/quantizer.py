"""The transform that rounds a weight onto the exporter's grid at every use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.layers import grid
from tfcompress.layers.matrix import from_matrix, read_axes, to_matrix
from tfcompress.measure import Axes, WeightForm, axes_of

_PACKAGE = "tfcompress"


@keras.utils.register_keras_serializable(_PACKAGE)
class FakeQuantizer:
    """Rounds a matrix onto a symmetric grid of 2, 4 or 8 bits.

    Args:
        bits: width of a stored weight.
        channel_axis: the axis, or axes, with a scale of its own for each entry; None: one scale.
        block: with a channel axis, how many weights of a channel share a scale; 0: all of them.
        deviations: the grid ends at so many standard deviations; None: at the largest magnitude.
    """

    def __init__(
        self,
        bits: int,
        channel_axis: Axes = None,
        block: int = 0,
        deviations: float | None = None,
    ) -> None:
        self.bits = bits
        self.channel_axis = read_axes(channel_axis)
        self.block = block
        self.deviations = deviations

    order = 2  # behind masks: what is stored is rounded last

    def build(self, layer: Any, name: str, weight: Any) -> None:
        """Nothing to keep: the scale follows the weights."""

    def start(self, weight: Any) -> None:
        """Nothing to set."""

    def advance(self, weight: Any) -> None:
        """Nothing to do at a training step."""

    def __call__(self, weight: Any) -> Any:
        """The weight, of any shape, on its grid."""
        if self.block:
            return self._blockwise(weight)
        return self._on_grid(weight, self._scale(weight, self._axes(len(weight.shape))))

    def rows(self, table: Callable[[], Any], rows: Any, ids: Any) -> Any:
        """The same for some `rows` of `table()`, `[..., columns]`; their gradient stays sparse."""
        del ids
        if self.channel_axis is None:
            scale = tf.reshape(self._scale(table(), [0, 1]), [])
            return self._on_grid(rows, scale)
        if self.block:
            width = rows.shape[-1]
            parts = tf.reshape(rows, [-1, width // self.block, self.block])
            quantized = self._on_grid(parts, self._scale(parts, [2]))
            return tf.reshape(quantized, tf.shape(rows))
        return self._on_grid(rows, self._scale(rows, [-1]))

    def _on_grid(self, weight: Any, scale: Any) -> Any:
        return grid.fake_quantize(weight, scale, self.bits, clip=self.deviations is not None)

    def _axes(self, rank: int) -> list[int]:
        return [axis for axis in range(rank) if axis not in axes_of(self.channel_axis)]

    def _scale(self, weight: Any, axes: Sequence[int]) -> Any:
        weight = tf.stop_gradient(weight)
        if self.deviations is None:
            return grid.absmax_scale(weight, list(axes), self.bits)
        return grid.deviation_scale(weight, list(axes), self.bits, self.deviations)

    def _blockwise(self, weight: Any) -> Any:
        matrix = to_matrix(weight, self.channel_axis)
        in_rows = len(weight.shape) == 2 and self.channel_axis == 0
        channels_first = matrix if in_rows else tf.transpose(matrix)
        rows, width = channels_first.shape
        parts = tf.reshape(channels_first, [rows, width // self.block, self.block])
        quantized = self._on_grid(parts, self._scale(parts, [2]))
        flat = tf.reshape(quantized, [rows, width])
        matrix = flat if in_rows else tf.transpose(flat)
        return from_matrix(matrix, tuple(weight.shape), self.channel_axis)

    def planned(self, form: WeightForm) -> WeightForm:
        """How a matrix is stored after this."""
        channels = math.prod(form.shape[axis] for axis in axes_of(self.channel_axis))
        scales = form.parameters // self.block if self.block else channels
        return replace(form, bits=self.bits, scales=scales, block=self.block)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same quantizer."""
        return {
            "bits": self.bits,
            "channel_axis": self.channel_axis,
            "block": self.block,
            "deviations": self.deviations,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FakeQuantizer:
        """The quantizer of such a config."""
        return cls(**config)
