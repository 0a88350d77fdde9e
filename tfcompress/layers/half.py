"""The transform that rounds a weight to the float16 that it ships in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tfcompress.keras import keras
from tfcompress.layers.grid import half_precision
from tfcompress.layers.matrix import read_axes
from tfcompress.layers.quantizer import FakeQuantizer
from tfcompress.measure import Axes, WeightForm


@keras.utils.register_keras_serializable("tfcompress")
class HalfPrecision(FakeQuantizer):
    """Rounds a weight to float16, which needs no scales.

    Args:
        channel_axis: the axis, or axes, of its channels, by which the exporter knows it again
            where a file has each of them multiplied by a number.

    Example:
        >>> import tensorflow as tf
        >>> HalfPrecision()(tf.constant([[0.1]])).numpy().item()
        0.0999755859375
    """

    def __init__(self, channel_axis: Axes = None) -> None:
        super().__init__(16, read_axes(channel_axis))

    def __call__(self, weight: Any) -> Any:
        """The weight, of any shape, as float16 holds it."""
        return half_precision(weight)

    def rows(self, table: Callable[[], Any], rows: Any, ids: Any) -> Any:
        """The same for some rows of a table."""
        del table, ids
        return half_precision(rows)

    def codes(self, weight: Any) -> None:
        """None: a float16 is no multiple of a step."""

    def planned(self, form: WeightForm) -> WeightForm:
        """How a matrix is stored after this."""
        return replace(form, bits=16, scales=0, block=0)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same."""
        return {"channel_axis": self.channel_axis}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HalfPrecision:
        """The transform of such a config."""
        return cls(**config)
