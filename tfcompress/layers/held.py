"""Quantizers that keep their grid, as a weight beside the one that they round."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from tfcompress.keras import keras, tf
from tfcompress.layers import grid
from tfcompress.layers.quantizer import FakeQuantizer
from tfcompress.measure import axes_of
from tfcompress.value import from_data, to_data


@keras.utils.register_keras_serializable("tfcompress")
class HeldQuantizer(FakeQuantizer):
    """Rounds a matrix onto the grid that its scale gave it at first, whatever the weights do.

    What is held is the logarithm of the step, in the weights of the wrapper.

    Args:
        rounding: how the weights came onto the grid, a value; None: not known.
        arguments: those of `FakeQuantizer`.
    """

    trainable: ClassVar[bool] = False

    def __init__(self, *arguments: Any, rounding: Any = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.rounding = rounding

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same quantizer, what it keeps aside."""
        return {**super().get_config(), "rounding": to_data(self.rounding)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HeldQuantizer:
        """The quantizer of such a config."""
        rest = {name: value for name, value in config.items() if name != "rounding"}
        made: HeldQuantizer = super().from_config(rest)  # type: ignore[assignment]
        made.rounding = from_data(config.get("rounding"))
        return made

    def build(self, layer: Any, name: str, weight: Any) -> None:
        """Adds the logarithms of the steps to the wrapper's own weights."""
        groups = self._group_shape(tuple(int(size) for size in weight.shape))
        shared = self._shared(len(groups))
        shape = [1 if axis in shared else size for axis, size in enumerate(groups)]
        self._sharing = math.prod(groups) // math.prod(shape)
        self._log_step = layer.add_weight(
            name=f"{name}_log_step",
            shape=shape,
            initializer="zeros",
            trainable=self.trainable,
            experimental_autocast=False,  # a float16 of it would be another step
        )

    def _group_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if not self.block:
            return shape
        channels = math.prod(shape[axis] for axis in axes_of(self.channel_axis))
        return channels, math.prod(shape) // channels // self.block, self.block

    def start(self, weight: Any) -> None:
        """Takes the steps that the scale gives this weight."""
        self._log_step.assign(tf.math.log(self._first(weight)))

    def _first(self, weight: Any) -> Any:
        groups = self._grouped(weight)
        found = self._found(groups, self._shared(len(groups.shape)))
        return tf.broadcast_to(found, self._log_step.shape)

    def _step(self, groups: Any) -> Any:
        return self._of_logarithms(tf.convert_to_tensor(self._log_step), groups)

    def _row_step(self, table: Callable[[], Any], parts: Any, ids: Any) -> Any:
        if self.channel_axis is None:
            return self._step(parts)
        return self._of_logarithms(tf.gather(self._log_step, ids), parts)

    def _of_logarithms(self, logarithms: Any, groups: Any) -> Any:
        return self._held(tf.cast(tf.exp(logarithms), groups.dtype))


@keras.utils.register_keras_serializable("tfcompress")
class LearnedQuantizer(HeldQuantizer):
    """Rounds a matrix onto a grid whose steps are trained; see `Learned`."""

    trainable: ClassVar[bool] = True

    def restart(self, before: Any, after: Any) -> None:
        """Steps that were not trained yet start anew from the weight as it comes now."""
        first = tf.math.log(self._first(before))
        if bool(tf.reduce_all(tf.equal(first, self._log_step))):
            self.start(after)

    def _on_grid(self, groups: Any, step: Any) -> Any:
        return grid.learned_quantize(groups, step, self.bits, self._sharing)
