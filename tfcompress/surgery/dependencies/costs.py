"""Multiply-adds of layers whose kernels are not declared as compressible matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.keras import keras

_Conv = keras.src.layers.convolutional.base_conv.Conv
_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel", "recurrent_kernel")


def is_kernel(name: str) -> bool:
    """Whether a weight of that name is multiplied with the inputs."""
    return name in _KERNELS


def kernel_multiply_adds(layer: Any) -> int:
    """For one example: a layer's own kernels at every position that they are used for.

    A recurrent cell counts one step, for it does not know how many there are.

    Example:
        >>> conv = keras.layers.Conv2D(4, 3)
        >>> _ = conv(keras.backend.zeros((1, 8, 8, 2)))
        >>> kernel_multiply_adds(conv)  # 6 x 6 positions of 3 x 3 x 2 x 4
        2592
    """
    own = [*layer._trainable_weights, *layer._non_trainable_weights]
    kernels = [v for v in own if is_kernel(v.name.split(":")[0].rsplit("/", 1)[-1])]
    return _positions(layer) * sum(int(np.prod(v.shape)) for v in kernels) if kernels else 0


def _positions(layer: Any) -> int:
    shape = getattr(getattr(layer, "_saved_model_inputs_spec", None), "shape", None)
    if shape is None or shape.rank is None or shape.rank < 3:
        return 1
    if isinstance(layer, keras.layers.EinsumDense):
        return int(np.prod([size or 1 for size in _repeated(layer.equation, shape)]))
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    if isinstance(layer, _Conv):
        shape = layer.compute_output_shape(shape)
    return int(np.prod([size or 1 for size in (shape[2:] if first else shape[1:-1])]))


def _repeated(equation: str, shape: Any) -> list[int | None]:
    # The sizes of the input's axes, the batch aside, for each entry of which the kernel is used.
    inputs, kernel = equation.split("->")[0].replace(" ", "").split(",")
    named = inputs.replace("...", "")
    spread = list(shape[1 : shape.rank - len(named)]) if "..." in inputs else []
    sizes = list(shape[shape.rank - len(named) :])
    apart = [size for name, size in zip(named, sizes, strict=True) if name not in kernel]
    return [*spread, *apart] if "..." in inputs else apart[1:]
