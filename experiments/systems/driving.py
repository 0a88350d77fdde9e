"""A CNN that recognizes road signs; published with sparsification and dynamic pruning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tfcompress as tfc
from experiments.data import signs
from experiments.models import tf
from experiments.systems import image
from experiments.systems.classifying import Classified
from experiments.systems.convolving import (
    CONVOLUTIONS,
    FIRST,
    HEAD,
    INNER,
    in_integers,
    recognized,
)
from experiments.systems.system import Goal, System, Way
from experiments.training import TrainingConfig

# Filters and strides. Of GTSRB a multi-scale CNN of 1.4 M parameters finds 99.2 % (Sermanet and
# LeCun, "Traffic Sign Recognition with Multi-Scale Convolutional Networks", 2011).
BLOCKS = ((32, 1), (32, 2), (64, 1), (64, 2), (128, 1))
MOST_LIT = 0.3  # share by which brightness goes up or down


def network(shape: tuple[int, ...], n_classes: int) -> Any:
    """A CNN, see `recognized`.

    Args:
      shape: height, width and channels. n_classes: of the logits.

    >>> network((32, 32, 3), 18).count_params()
    142706
    """
    taken = tf.keras.Input(shape, name="image")
    return tf.keras.Model(taken, recognized(taken, n_classes, BLOCKS), name="driving")


def distorted(pictures: Any, seed: Any) -> Any:
    """Turns, scales and shifts each image a little, and makes it brighter or darker.

    Args:
      pictures: float32 [batch, height, width, channels], 0 to 1. seed: int32 [2], decides how.

    Returns:
      float32 of the same shape, 0 to 1.
    """
    batch = tf.shape(pictures)[0]
    lit = tf.random.stateless_uniform([batch, 1, 1, 1], seed + 1, 1 - MOST_LIT, 1 + MOST_LIT)
    return tf.minimum(lit * image.distorted(pictures, seed, borders="NEAREST"), 1.0)


def subject(folder: Path | None) -> Classified:
    """Recognizing drawn signs, or those of a folder with GTSRB."""
    return Classified(signs.load(folder), network, distorted)


# Small kernels lose what is small from the start; the large ones a few weights more every 20 steps,
# and those that grow again come back.
DYNAMIC = tfc.PolynomialDecay(begin_step=100, end_step=1100, frequency=20)
SPARSE = tfc.Spec(
    [
        tfc.rule(FIRST | HEAD, tfc.Sparsify(tfc.OfMean(0.5))),
        tfc.rule(INNER, tfc.Prune(sparsity=0.92, scope=tfc.Global(), schedule=DYNAMIC)),
    ]
)
PUBLISHED = Way(
    name="published",
    specs=(SPARSE,),
    training=TrainingConfig(seed=0, batch=64, epochs=14, peak_learning_rate=2e-3, warmup_steps=100),
    temperature=4.0,
    weight=0.7,
)

# The last blocks are computed at few places; they keep more of their filters.
FOURTH, FIFTH = tfc.by_name("conv4"), tfc.by_name("conv5")
NARROW_IN_INTEGERS = tfc.Spec(
    [
        tfc.rule(CONVOLUTIONS & ~(FOURTH | FIFTH), tfc.Shrink(keep=1 / 2, multiple=8)),
        tfc.rule(FOURTH, tfc.Shrink(keep=5 / 8, multiple=8)),
        tfc.rule(FIFTH, tfc.Shrink(keep=9 / 16, multiple=8)),
        *in_integers(BLOCKS),
    ]
)
OWN = Way(
    name="own",
    specs=(NARROW_IN_INTEGERS,),
    training=TrainingConfig(seed=0, batch=64, epochs=36, peak_learning_rate=2e-3, warmup_steps=100),
    temperature=4.0,
    weight=0.7,
)

SYSTEM = System(
    name="driving",
    published="sparsification, dynamic pruning",
    load=subject,
    goal=Goal(size_reduction=0.9, speedup=2.0, quality_loss=0.003),
    teaching=TrainingConfig(seed=0, batch=64, epochs=14, peak_learning_rate=2e-3, warmup_steps=100),
    ways=(PUBLISHED, OWN),
)
