"""The convolutional networks of the systems that recognize something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tfcompress as tfc
from experiments.models import tf

FIRST, HEAD = tfc.by_name("conv1"), tfc.by_name("head")
CONVOLUTIONS = tfc.by_type("Conv2D")
INNER = CONVOLUTIONS & ~FIRST


def recognized(values: Any, n_classes: int, blocks: Sequence[tuple[int, int]]) -> Any:
    """Blocks of 3x3 convolution, BatchNormalization and ReLU, the mean over places, and logits.

    Simonyan and Zisserman (2015) for the small kernels, Ioffe and Szegedy (2015) for the
    normalization, Springenberg et al. (2015) for strides in the place of pooling. Fully
    convolutional: no large Dense layer is there only to be compressed.

    Args:
      values: a Keras tensor [batch, height, width, channels]. n_classes: of the logits.
      blocks: filters and strides of each.

    Returns:
      A Keras tensor, the logits [batch, n_classes].
    """
    layers = tf.keras.layers
    for number, (filters, strides) in enumerate(blocks, 1):
        values = layers.Conv2D(
            filters, 3, strides, padding="same", use_bias=False, name=f"conv{number}"
        )(values)
        values = layers.BatchNormalization(name=f"norm{number}")(values)
        values = layers.ReLU(name=f"relu{number}")(values)
    values = layers.GlobalAveragePooling2D(name="mean")(values)
    return layers.Dense(n_classes, name="head")(values)


def in_integers(blocks: Sequence[tuple[int, int]]) -> list[tfc.Rule]:
    """Rules for convolutions and the head in 8 bits with their activations.

    Four bits would be smaller, and are slower in LiteRT's convolutions.

    Args:
      blocks: see `recognized`.
    """
    last = tfc.by_name(f"relu{len(blocks)}")
    return [
        tfc.rule(CONVOLUTIONS | HEAD, tfc.Quantize(bits=8)),
        tfc.rule(CONVOLUTIONS | last | HEAD, tfc.QuantizeActivations()),
    ]
