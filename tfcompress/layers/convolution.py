"""A convolution of limited rank: two plain ones, one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.layers.weights import WeightRole, declare

Pair = tuple[int, int]


def _pair(value: int | Sequence[int]) -> Pair:
    if isinstance(value, int):
        return value, value
    return int(value[0]), int(value[1])


@keras.utils.register_keras_serializable("tfcompress")
class FactorizedConv2D(keras.layers.Layer):  # type: ignore[misc]
    """A Conv2D to `rank` channels and one from there to `filters`, without anything between them.

    With `second_size=(1, 1)` the first one is as large as the whole kernel and the second one mixes
    channels (Zhang et al., "Accelerating Very Deep Convolutional Networks for Classification and
    Detection", 2016). With `second_size=(1, width)` the first one goes down and the second one
    across (Jaderberg et al., "Speeding up Convolutional Neural Networks with Low Rank Expansions",
    2014). Along an axis on which the second is larger than 1 the first one is 1, and stride and
    dilation along that axis are the second's.

    The factors are stored as matrices, the kernels' outputs in columns: `left` is
    `[first height * first width * channels, rank]`, `right` is
    `[second height * second width * rank, filters]`.

    Args:
        filters: channels of the output.
        kernel_size: height and width of the kernel that the factors stand for.
        rank: channels between the two.
        second_size: height and width of the second one, each 1 or the kernel's.
        strides: as for Conv2D.
        padding: as for Conv2D.
        dilation_rate: as for Conv2D.
        activation: as for Conv2D.
        use_bias: as for Conv2D.

    Example:
        >>> import tensorflow as tf
        >>> layer = FactorizedConv2D(8, (3, 3), rank=2, second_size=(1, 3), padding="same")
        >>> layer(tf.ones((1, 5, 5, 4))).shape.as_list()
        [1, 5, 5, 8]
        >>> layer.kernel.shape.as_list()
        [3, 3, 4, 8]
    """

    # As many arguments as the Conv2D that it stands for needs to say what it computes.
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        rank: int,
        second_size: int | Sequence[int] = (1, 1),
        activation: Any = None,
        **kwargs: Any,
    ) -> None:
        self.strides = _pair(kwargs.pop("strides", 1))
        self.padding = str(kwargs.pop("padding", "valid"))
        self.dilation_rate = _pair(kwargs.pop("dilation_rate", 1))
        self.use_bias = bool(kwargs.pop("use_bias", True))
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = _pair(kernel_size)
        self.rank = rank
        self.second_size = _pair(second_size)
        self.activation = keras.activations.get(activation)

    @property
    def first_size(self) -> Pair:
        """Height and width of the first kernel."""
        (height, width), (down, across) = self.kernel_size, self.second_size
        return height if down == 1 else 1, width if across == 1 else 1

    def build(self, input_shape: Any) -> None:
        """Adds the factors and the bias."""
        channels = int(input_shape[-1])
        inputs = math.prod(self.first_size) * channels
        between = math.prod(self.second_size) * self.rank
        self.left = self.add_weight(name="left", shape=(inputs, self.rank))
        self.right = self.add_weight(name="right", shape=(between, self.filters))
        self.bias = (
            self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
            if self.use_bias
            else None
        )
        super().build(input_shape)

    def _kernels(self) -> tuple[Any, Any]:
        left = tf.reshape(self.left, [*self.first_size, -1, self.rank])
        return left, tf.reshape(self.right, [*self.second_size, self.rank, self.filters])

    def call(self, inputs: Any) -> Any:
        """Images `[n, height, width, channels]` to `[n, height, width, filters]`."""
        left, right = self._kernels()
        across = [size > 1 for size in self.second_size]
        hidden = self._convolved(inputs, left, [not second for second in across])
        outputs = self._convolved(hidden, right, across)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return self.activation(outputs) if self.activation is not None else outputs

    def _convolved(self, inputs: Any, kernel: Any, moves: Sequence[bool]) -> Any:
        # Along each axis one of the two convolutions moves; the other one looks at single points.
        return tf.nn.conv2d(
            inputs,
            kernel,
            strides=[s if m else 1 for s, m in zip(self.strides, moves, strict=True)],
            padding=self.padding.upper(),
            dilations=[d if m else 1 for d, m in zip(self.dilation_rate, moves, strict=True)],
        )

    @property
    def kernel(self) -> Any:
        """The kernel `[height, width, channels, filters]` that the factors stand for."""
        left, right = self._kernels()
        whole = tf.einsum("abcr,derf->adbecf", left, right)
        return tf.reshape(whole, [*self.kernel_size, -1, self.filters])

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": list(self.kernel_size),
            "rank": self.rank,
            "second_size": list(self.second_size),
            "activation": keras.activations.serialize(self.activation),
            "strides": list(self.strides),
            "padding": self.padding,
            "dilation_rate": list(self.dilation_rate),
            "use_bias": self.use_bias,
        }


_ROLES = tuple(WeightRole(name, 1, operator="CONV_2D") for name in ("left", "right"))
declare(FactorizedConv2D, lambda layer: _ROLES)
