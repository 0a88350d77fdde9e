"""A CNN that recognizes spoken words; published with global pruning and distillation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tfcompress as tfc
from experiments.data import speech
from experiments.models import tf
from experiments.systems.classifying import Classified
from experiments.systems.convolving import CONVOLUTIONS, HEAD, in_integers, recognized
from experiments.systems.log_mel import log_mel, set_constants
from experiments.systems.system import Goal, System, Way
from experiments.training import TrainingConfig

# Filters and strides. Of the size of the small-footprint networks of Tang and Lin, "Deep Residual
# Learning for Small-Footprint Keyword Spotting" (2018): res8 has 110 K parameters, res15 238 K.
BLOCKS = ((32, 2), (64, 2), (64, 1), (96, 2), (96, 1))
# Logarithm of a speed, samples, share, share of the range.
MOST_FASTER, MOST_SHIFTED, LEAST_GAIN, MOST_NOISE = 0.25, 800.0, 0.5, 0.01


def network(shape: tuple[int, ...], n_classes: int) -> Any:
    """Log-mel features of a wave, see `log_mel`, and a CNN on them.

    Args:
      shape: samples at 8 kHz, a multiple of 160. n_classes: of the logits.

    >>> model = network((8000,), 12)
    >>> sum(int(tf.size(weight)) for weight in model.trainable_weights)
    195756
    """
    waves = tf.keras.Input(shape, name="wave")
    model = tf.keras.Model(waves, recognized(log_mel(waves), n_classes, BLOCKS), name="speech")
    set_constants(model)
    return model


def distorted(waves: Any, seed: Any) -> Any:
    """Plays each sound faster or slower and moves it, makes it quieter, and adds white noise.

    Speed moves formants as the length of a vocal tract does, and so makes other voices (Ko et al.,
    "Audio Augmentation for Speech Recognition", 2015).

    Args:
      waves: float32 [batch, samples]. seed: int32 [2], decides how.

    Returns:
      float32 of the same shape; what is moved out at an end comes in at the other.
    """
    batch, samples = tf.unstack(tf.shape(waves))
    drawn = tf.random.stateless_uniform([batch, 4], seed)
    speed = tf.exp((2 * drawn[:, :1] - 1) * MOST_FASTER)
    shift = (2 * drawn[:, 1:2] - 1) * MOST_SHIFTED
    middle = tf.cast(samples, tf.float32) / 2
    places = (tf.range(tf.cast(samples, tf.float32)) - middle) * speed + middle + shift
    first = tf.floor(places)
    share, left = places - first, tf.cast(first, tf.int32)
    before, after = (tf.gather(waves, (left + n) % samples, batch_dims=1) for n in (0, 1))
    moved = before + share * (after - before)
    noise = tf.random.stateless_normal(tf.shape(waves), seed + 1)
    gain = LEAST_GAIN + (1 - LEAST_GAIN) * drawn[:, 2:3]
    return gain * (moved + MOST_NOISE * drawn[:, 3:] ** 2 * noise)


def subject(folder: Path | None) -> Classified:
    """Recognizing words that espeak-ng says, or those of a folder with Speech Commands."""
    return Classified(speech.load(folder), network, distorted, asked="wave")


# The least important weights of all kernels together go, a few more every 20 steps.
SPARSE = tfc.Spec(
    [
        tfc.rule(
            CONVOLUTIONS | HEAD,
            tfc.Prune(
                sparsity=0.9,
                scope=tfc.Global(),
                schedule=tfc.PolynomialDecay(begin_step=100, end_step=1000, frequency=20),
            ),
        )
    ]
)
PUBLISHED = Way(
    name="published",
    specs=(SPARSE,),
    training=TrainingConfig(seed=0, batch=64, epochs=16, peak_learning_rate=2e-3, warmup_steps=100),
    temperature=4.0,
    weight=0.7,
    tolerance=0.01,  # of 0.001: a logarithm makes much of how a silent band's power is rounded
)

# The transform is a large share of the file. What it gives is squared, which asks more of a grid
# than 8 bits have: the sums over bands stay in floating point.
FIFTH = tfc.by_name("conv5")
NARROW_IN_INTEGERS = tfc.Spec(
    [
        tfc.rule(CONVOLUTIONS & ~FIFTH, tfc.Shrink(keep=3 / 8, multiple=8)),
        tfc.rule(FIFTH, tfc.Shrink(keep=9 / 16, multiple=8)),
        *in_integers(BLOCKS),
        tfc.rule(tfc.by_name("transform"), tfc.Quantize(bits=8)),
        tfc.rule(tfc.by_name("bands"), tfc.Quantize(bits=16)),
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
    name="speech",
    published="global pruning, distillation",
    load=subject,
    goal=Goal(size_reduction=0.9, speedup=2.0, quality_loss=0.003),
    teaching=TrainingConfig(seed=0, batch=64, epochs=14, peak_learning_rate=2e-3, warmup_steps=100),
    ways=(PUBLISHED, OWN),
)
