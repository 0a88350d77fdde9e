"""Recurrent layers in the form that LiteRT runs rightly, and stores in a few bits."""

from __future__ import annotations

from typing import Any

from tfcompress.keras import keras
from tfcompress.surgery import walk


def unfused(model: Any) -> Any:
    """`model`, changed: each LSTM is a loop of matrix products.

    The converter makes one UNIDIRECTIONAL_SEQUENCE_LSTM of an LSTM. Measured: it begins each call
    with the state that the call before ended in, where Keras begins with zeros; and its kernels,
    cut into gates, cannot be stored in a few bits. As a loop, which a GRU always becomes, it holds
    two FULLY_CONNECTED and keeps nothing.
    """
    for held in walk(model):
        for layer in held.layer._flatten_layers():
            if isinstance(layer, keras.layers.LSTM):
                layer._could_use_gpu_kernel = False
    return model
