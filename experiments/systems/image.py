"""A CNN that recognizes images; published with low rank, sparsification and quantization."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import tfcompress as tfc
from experiments.data import images
from experiments.models import tf
from experiments.systems.classifying import Classified
from experiments.systems.convolving import CONVOLUTIONS, FIRST, HEAD, INNER, in_integers, recognized
from experiments.systems.system import Goal, System, Way
from experiments.training import TrainingConfig

# Filters and strides of the blocks.
BLOCKS = ((32, 1), (32, 2), (64, 1), (64, 2), (128, 1))
MOST_TURNED, MOST_SCALED, MOST_SHIFTED = math.radians(12), 0.1, 2.0  # radians, share, pixels


def network(shape: tuple[int, ...], n_classes: int) -> Any:
    """A CNN, see `recognized`.

    Args:
      shape: height, width and channels. n_classes: of the logits.

    >>> network((28, 28, 1), 10).count_params()
    141098
    """
    taken = tf.keras.Input(shape, name="image")
    return tf.keras.Model(taken, recognized(taken, n_classes, BLOCKS), name="image")


def distorted(pictures: Any, seed: Any, borders: str = "CONSTANT") -> Any:
    """Turns, scales and shifts each image a little, about its centre.

    Args:
      pictures: float32 [batch, height, width, channels].
      seed: int32 [2], decides how.
      borders: what comes in there: zeros, or with "NEAREST" what is next to it.

    Returns:
      float32 of the same shape.
    """
    batch, height, width = tf.unstack(tf.shape(pictures)[:3])
    drawn = tf.random.stateless_uniform([batch, 4], seed, -1.0, 1.0)
    turned, scale = MOST_TURNED * drawn[:, 0], 1.0 + MOST_SCALED * drawn[:, 1]
    shift = MOST_SHIFTED * drawn[:, 2:]
    cosine, sine = scale * tf.cos(turned), scale * tf.sin(turned)
    x, y = (tf.cast(size - 1, tf.float32) / 2.0 for size in (width, height))
    right = x - cosine * x + sine * y + shift[:, 0]
    down = y - sine * x - cosine * y + shift[:, 1]
    nothing = tf.zeros_like(cosine)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures,
        transforms=tf.stack([cosine, -sine, right, sine, cosine, down, nothing, nothing], axis=1),
        output_shape=tf.stack([height, width]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode=borders,
    )


def subject(folder: Path | None) -> Classified:
    """Recognizing the images of a folder, or 10,000 digits that are fetched."""
    return Classified(images.load(folder), network, distorted)


LOW_RANK = tfc.Spec([tfc.rule(INNER, tfc.Factorize(tfc.Fraction(3 / 16)))])
# What sparsification looks at is there once the factors are.
SPARSE_IN_EIGHT_BITS = tfc.Spec(
    [
        tfc.rule(
            tfc.by_type("FactorizedConv2D"), tfc.Sparsify(tfc.OfMean(0.5)), tfc.Quantize(bits=8)
        ),
        tfc.rule(FIRST | HEAD, tfc.Quantize(bits=8)),
    ]
)
PUBLISHED = Way(
    name="published",
    specs=(LOW_RANK, SPARSE_IN_EIGHT_BITS),
    training=TrainingConfig(seed=0, batch=64, epochs=14, peak_learning_rate=2e-3, warmup_steps=100),
    temperature=4.0,
    weight=0.7,
)

NARROW_IN_INTEGERS = tfc.Spec(
    [tfc.rule(CONVOLUTIONS, tfc.Shrink(keep=0.5, multiple=8)), *in_integers(BLOCKS)]
)
OWN = Way(
    name="own",
    specs=(NARROW_IN_INTEGERS,),
    training=TrainingConfig(seed=0, batch=64, epochs=20, peak_learning_rate=2e-3, warmup_steps=100),
    temperature=4.0,
    weight=0.7,
)

SYSTEM = System(
    name="image",
    published="low rank, sparsification, quantization",
    load=subject,
    goal=Goal(size_reduction=0.92, speedup=2.0, quality_loss=0.003),
    teaching=TrainingConfig(seed=0, batch=64, epochs=14, peak_learning_rate=2e-3, warmup_steps=100),
    ways=(PUBLISHED, OWN),
)
