"""Which activation functions look at one channel at a time."""

from __future__ import annotations

from typing import Any

ELEMENTWISE = frozenset({
    "linear", "relu", "relu6", "tanh", "sigmoid", "hard_sigmoid", "elu", "selu", "gelu", "swish",
    "silu", "softplus", "softsign", "exponential", "exp", "mish", "leaky_relu", "abs", "square",
})  # fmt: skip
_PACKAGES = ("tf_keras", "keras", "tensorflow")


def mixes_channels(activation: Any) -> bool:
    """Whether the function may compute a channel of others (softmax; whatever a user wrote).

    Example:
        >>> from tfcompress.keras import keras
        >>> mixes_channels(keras.activations.relu), mixes_channels(keras.activations.softmax)
        (False, True)
    """
    if activation is None:
        return False
    known = str(getattr(activation, "__module__", "")).split(".")[0] in _PACKAGES
    return not known or getattr(activation, "__name__", "") not in ELEMENTWISE
