"""The transform that rounds a weight onto the exporter's grid at every use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.layers import grid
from tfcompress.layers.matrix import from_matrix, read_axes, to_matrix
from tfcompress.layers.scales import AbsMax, Deviations, Scale
from tfcompress.measure import Axes, WeightForm, axes_of
from tfcompress.value import from_data, to_data

_PACKAGE = "tfcompress"


@keras.utils.register_keras_serializable(_PACKAGE)
class FakeQuantizer:
    """Rounds a matrix onto a symmetric grid of 2, 3, 4 or 8 bits.

    Args:
        bits: of the grid, and of a stored weight; 3 are stored as 4.
        channel_axis: the axis, or axes, with a scale of its own for each entry; None: one scale.
        block: with a channel axis, how many weights of a channel share a scale; 0: all of them.
        scale: where the grid ends; None: at the largest magnitude.
    """

    def __init__(
        self,
        bits: int,
        channel_axis: Axes = None,
        block: int = 0,
        scale: Scale | None = None,
    ) -> None:
        self.bits = bits
        self.channel_axis = read_axes(channel_axis)
        self.block = block
        self.scale = scale or AbsMax()

    order = 2  # behind masks: what is stored is rounded last

    def build(self, layer: Any, name: str, weight: Any) -> None:
        """Nothing to keep: the scale follows the weights."""

    def start(self, weight: Any) -> None:
        """Nothing to set."""

    def restart(self, before: Any, after: Any) -> None:
        """Nothing to set where another transform comes before this one."""

    def advance(self, weight: Any) -> None:
        """Nothing to do at a training step."""

    def __call__(self, weight: Any) -> Any:
        """The weight, of any shape, on its grid."""
        groups = self._grouped(weight)
        return self._ungrouped(self._on_grid(groups, self._step(groups)), weight.shape)

    def rows(self, table: Callable[[], Any], rows: Any, ids: Any) -> Any:
        """The same for the rows `ids` of `table()`, `[..., columns]`; their gradient is sparse."""
        width = rows.shape[-1]
        shape = [-1, width // self.block, self.block] if self.block else [-1, width]
        parts = tf.reshape(rows, shape)
        step = self._row_step(table, parts, tf.reshape(ids, [-1]))
        return tf.reshape(self._on_grid(parts, step), tf.shape(rows))

    def steps(self, weight: Any) -> Any:
        """The step of the grid of each weight, in the weight's own shape."""
        groups = self._grouped(weight)
        return self._ungrouped(tf.broadcast_to(self._step(groups), groups.shape), weight.shape)

    def codes(self, weight: Any) -> Any:
        """The level that each weight is rounded to, int32; None: it is no multiple of a step."""
        return tf.cast(tf.round(self(weight) / self.steps(weight)), tf.int32)

    def _on_grid(self, groups: Any, step: Any) -> Any:
        clip = self.scale.clips or self.block > 0  # the steps of blocks are rounded, down too
        return grid.fake_quantize(groups, step, self.bits, clip=clip)

    def _step(self, groups: Any) -> Any:
        """The steps of all groups, of size 1 along the axes that share one."""
        return self._held(self._found(groups, self._shared(len(groups.shape))))

    def _row_step(self, table: Callable[[], Any], parts: Any, ids: Any) -> Any:
        """The steps of some rows, `[n, 1]` or `[n, blocks, 1]`, or of the whole table."""
        del ids
        if self.channel_axis is None:
            return self._step(table())
        return self._held(self._found(parts, [len(parts.shape) - 1]))

    def _found(self, weight: Any, axes: Sequence[int]) -> Any:
        return self.scale.step(tf.stop_gradient(weight), list(axes), self.bits)

    def _held(self, step: Any) -> Any:
        return grid.block_step(step) if self.block else step

    def _shared(self, rank: int) -> list[int]:
        """Axes of groups over which weights share a step."""
        if self.block:
            return [2]
        return [axis for axis in range(rank) if axis not in axes_of(self.channel_axis)]

    def _grouped(self, weight: Any) -> Any:
        """The weight; in blocks as `[channels, blocks, block]`."""
        if not self.block:
            return weight
        matrix = to_matrix(weight, self.channel_axis)
        flat = matrix if self._in_rows(weight.shape) else tf.transpose(matrix)
        rows, width = flat.shape
        return tf.reshape(flat, [rows, width // self.block, self.block])

    def _ungrouped(self, groups: Any, shape: Any) -> Any:
        """What `_grouped` made of a weight of this shape, as it was."""
        if not self.block:
            return groups
        rows, blocks, block = groups.shape
        flat = tf.reshape(groups, [rows, blocks * block])
        matrix = flat if self._in_rows(shape) else tf.transpose(flat)
        return from_matrix(matrix, tuple(shape), self.channel_axis)

    def _in_rows(self, shape: Any) -> bool:
        return len(shape) == 2 and self.channel_axis in (0, (0,))

    def planned(self, form: WeightForm) -> WeightForm:
        """How a matrix is stored after this."""
        channels = math.prod(form.shape[axis] for axis in axes_of(self.channel_axis))
        scales = form.parameters // self.block if self.block else channels
        return replace(form, bits=grid.stored_bits(self.bits), scales=scales, block=self.block)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same quantizer, what it keeps aside."""
        return {
            "bits": self.bits,
            "channel_axis": self.channel_axis,
            "block": self.block,
            "scale": to_data(self.scale),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FakeQuantizer:
        """The quantizer of such a config."""
        if "deviations" in config:  # as models were saved before scales were values
            config = dict(config)
            multiple = config.pop("deviations")
            return cls(**config, scale=None if multiple is None else Deviations(multiple))
        return cls(**{**config, "scale": from_data(config["scale"])})
