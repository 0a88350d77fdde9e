"""The weights of Keras's own layers: which they are, their channels, and what runs them in a file.

A channel is an output: what has a scale of its own in LiteRT's kernels. The layouts are those of
Keras: `[h, w, in, out]` for a convolution, `[h, w, in, multiplier]` for a depthwise one,
`[h, w, out, in]` for a transposed one, `[inputs, gates * units]` for recurrent cells.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tfcompress.keras import keras
from tfcompress.layers.weights import Roles, WeightRole, declare, weight_roles

_layers = keras.layers
LOOP = "WHILE that returns sequences"


def _fixed(*roles: WeightRole) -> Any:
    return lambda layer: roles


def _kernel(channel_axis: Any, operator: str) -> Any:
    return _fixed(WeightRole("kernel", channel_axis, operator=operator))


def _convolution(channel_axis: int) -> Any:
    def roles(layer: Any) -> Roles:
        operator = "CONV_2D" if layer.groups == 1 else "CONV_2D in groups"
        return (WeightRole("kernel", channel_axis, operator=operator),)

    return roles


def _depthwise(*channel_axes: int) -> WeightRole:
    return WeightRole("depthwise_kernel", channel_axes, operator="DEPTHWISE_CONV_2D")


def _pointwise(channel_axis: int) -> WeightRole:
    return WeightRole("pointwise_kernel", channel_axis, operator="CONV_2D")


def einsum_roles(layer: Any) -> Roles:
    """The kernel of an EinsumDense; its channels are the axes that only the output shares.

    An axis that both inputs and outputs share (a kernel for each head) makes it a batch of
    products.

    Example:
        >>> from tfcompress.keras import keras
        >>> einsum_roles(keras.layers.EinsumDense("abc,cde->abde", (None, 2, 8)))[0].channel_axis
        (1, 2)
    """
    given, result = layer.equation.replace(" ", "").split("->")
    inputs, kernel = given.split(",")
    channels = tuple(i for i, k in enumerate(kernel) if k in result and k not in inputs)
    shared = any(k in result and k in inputs for k in kernel)
    operator = "BATCH_MATMUL" if shared else "FULLY_CONNECTED"
    axis = channels[0] if len(channels) == 1 else channels or None
    return (WeightRole("kernel", axis, operator=operator),)


def _cell_roles(layer: Any) -> Roles:
    # Only a loop that gathers its outputs is another thing to LiteRT, see techniques/storable.py.
    gathers = layer.return_sequences and not layer.unroll
    roles = (role.below("cell") for role in weight_roles(layer.cell))
    return tuple(replace(r, operator=LOOP) if gathers else r for r in roles)


def _directions(layer: Any) -> Roles:
    return tuple(
        role.below(name)
        for name in ("forward_layer", "backward_layer")
        for role in weight_roles(getattr(layer, name))
    )


_FULL = "FULLY_CONNECTED"
_CELL = _fixed(
    WeightRole("kernel", 1, operator=_FULL), WeightRole("recurrent_kernel", 1, operator=_FULL)
)
_KINDS = {
    _layers.Dense: _kernel(1, _FULL),
    _layers.Embedding: _fixed(WeightRole("embeddings", 0, True, "EMBEDDING_LOOKUP")),
    _layers.EinsumDense: einsum_roles,
    _layers.Conv1D: _convolution(2),
    _layers.Conv2D: _convolution(3),
    _layers.Conv1DTranspose: _kernel(1, "TRANSPOSE_CONV"),
    _layers.Conv2DTranspose: _kernel(2, "TRANSPOSE_CONV"),
    _layers.DepthwiseConv1D: _fixed(_depthwise(1, 2)),
    _layers.DepthwiseConv2D: _fixed(_depthwise(2, 3)),
    _layers.SeparableConv1D: _fixed(_depthwise(1, 2), _pointwise(2)),
    _layers.SeparableConv2D: _fixed(_depthwise(2, 3), _pointwise(3)),
    _layers.SimpleRNNCell: _CELL,
    _layers.GRUCell: _CELL,
    _layers.LSTMCell: _CELL,
}
for _class, _roles in _KINDS.items():
    declare(_class, _roles)
# A recurrent layer reads its cell's weights past the cell, so it is wrapped with its cell inside.
declare(_layers.RNN, _cell_roles, whole=True)
declare(_layers.Bidirectional, _directions, whole=True)
