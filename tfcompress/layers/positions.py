"""How often a layer uses each of its weights for one example, as far as its input's shape says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.layers.compressed import raw
from tfcompress.layers.weights import weight_of
from tfcompress.surgery.walk import own_variables

Shape = Sequence[int | None]


def positions(layer: Any) -> int:
    """Vectors that a matrix is multiplied with, places that a kernel is put at, or time steps.

    Sizes that are not known count as one; so does a layer that was never called.

    Example:
        >>> from tfcompress.keras import keras
        >>> layer = keras.layers.Conv2D(4, 3, strides=2)
        >>> layer(keras.Input((9, 9, 1))).shape.as_list(), positions(layer)
        ([None, 4, 4, 4], 16)
    """
    shape = input_shape(layer)
    if shape is None:
        return 1
    inner = raw(layer)
    count = next((_COUNTS[cls] for cls in type(inner).__mro__ if cls in _COUNTS), _vectors)
    return count(inner, shape)


_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel", "recurrent_kernel")


def is_kernel(name: str) -> bool:
    """Whether a weight of that name is multiplied with the inputs."""
    return name in _KERNELS


def kernel_multiply_adds(layer: Any) -> int:
    """For one example, of a layer whose kernels nobody declared: as their names say.

    A recurrent cell counts one step, for it does not know how many there are.

    Example:
        >>> conv = keras.layers.Conv3D(4, 3)
        >>> _ = conv(keras.backend.zeros((1, 4, 4, 4, 2)))
        >>> kernel_multiply_adds(conv)  # 8 places of 3 x 3 x 3 x 2 x 4
        1728
    """
    kernels = [
        v for v in own_variables(layer) if is_kernel(v.name.split(":")[0].rsplit("/", 1)[-1])
    ]
    return positions(layer) * sum(math.prod(v.shape) for v in kernels) if kernels else 0


def input_shape(layer: Any) -> Shape | None:
    """Shape of the layer's first input, batch first, sizes that may vary None; or None."""
    for one in (layer, raw(layer)):
        spec = tf.nest.flatten(getattr(one, "_saved_model_inputs_spec", None))
        shape = getattr(spec[0], "shape", None) if spec else None
        if shape is not None and shape.rank is not None:
            return [None if size is None else int(size) for size in shape]
    return None


def _product(sizes: Shape) -> int:
    return math.prod(1 if size is None else size for size in sizes)


def _vectors(layer: Any, shape: Shape) -> int:
    return _product(shape[1:-1])


def _places(layer: Any, shape: Shape) -> int:
    return _spatial(layer, layer.compute_output_shape(tuple(shape)))


def _spatial(layer: Any, shape: Any) -> int:
    sizes = [None if size is None else int(size) for size in shape]
    return _product(sizes[2:] if layer.data_format == "channels_first" else sizes[1:-1])


def _steps(layer: Any, shape: Shape) -> int:
    # A dimension that a recurrent layer calls its first is that of time, where it says so.
    return _product(shape[:1] if getattr(layer, "time_major", False) else shape[1:2])


def _einsum(layer: Any, shape: Shape) -> int:
    kernel = weight_of(layer, "kernel").shape
    given, _ = layer.equation.replace(" ", "").split("->")
    inputs, letters = given.split(",")
    met = [int(kernel[i]) for i, letter in enumerate(letters) if letter in inputs]
    return max(_product(shape[1:]) // math.prod(met), 1)


_layers = keras.layers
_COUNTS: dict[type, Callable[[Any, Shape], int]] = {
    _layers.Conv1D: _places,
    _layers.Conv2D: _places,
    _layers.Conv3D: _places,
    _layers.Conv1DTranspose: _spatial,  # each place of the input meets the whole kernel
    _layers.Conv2DTranspose: _spatial,
    _layers.DepthwiseConv1D: _places,
    _layers.DepthwiseConv2D: _places,
    _layers.SeparableConv1D: _places,
    _layers.SeparableConv2D: _places,
    _layers.EinsumDense: _einsum,
    _layers.RNN: _steps,
    _layers.Bidirectional: _steps,
}
