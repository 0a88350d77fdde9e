"""Log-mel features of a wave, computed in a network by layers that are not trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.models import tf

HOP = 160  # samples; a window is two of them: 20 and 40 ms of 8 kHz
N_BANDS = 32
FLOOR = 1e-8  # of the power of a sine wave that fills the range: 80 dB below it
LOWEST_HZ = 20.0

Matrix = npt.NDArray[np.float32]


@tf.keras.utils.register_keras_serializable("experiments")
class Overlapped(tf.keras.layers.Layer):  # type: ignore[misc]
    """A Hann window over two blocks of samples, whose halves are added up.

    The discrete Fourier transform of what it returns has every second coefficient of that of the
    whole window (Crochiere, "A Weighted Overlap-Add Method of Short-Time Fourier Analysis/
    Synthesis", 1980), which the window makes that smooth: a quarter of the work, and a quarter of
    the constants.

    Example:
        >>> Overlapped()(tf.ones([1, 3, 4])).numpy().round(6).tolist()
        [[[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]]
    """

    def call(self, blocks: Any) -> Any:
        """Blocks [batch, n, samples] to [batch, n - 1, samples]."""
        hop = blocks.shape[-1]
        window = np.sin(np.pi * np.arange(2 * hop) / (2 * hop)).astype(np.float32) ** 2
        return blocks[:, :-1] * window[:hop] + blocks[:, 1:] * window[hop:]


@tf.keras.utils.register_keras_serializable("experiments")
class Log(tf.keras.layers.Layer):  # type: ignore[misc]
    """The natural logarithm of a power, a floor added.

    Example:
        >>> float(Log()(tf.constant(1.0)))
        0.0
    """

    def call(self, power: Any) -> Any:
        """A tensor of the same shape."""
        return tf.math.log(power + FLOOR)


def log_mel(waves: Any) -> Any:
    """Features of each band in each window, as an image of one channel.

    Windows of 40 ms every 20 ms are what Zhang et al., "Hello Edge: Keyword Spotting on
    Microcontrollers" (2017), take. Every step is a layer, so that a file computes them as well.
    `set_constants` has to be called on the model.

    Args:
      waves: a Keras tensor float32 [batch, samples], a multiple of `HOP`, at 8 kHz.

    Returns:
      A Keras tensor [batch, samples / HOP - 1, N_BANDS, 1], normalized by batch and band.
    """
    layers = tf.keras.layers
    blocks = layers.Reshape((-1, HOP), name="blocks")(waves)
    transform = layers.Dense(HOP - 2, use_bias=False, trainable=False, name="transform")
    parts = transform(Overlapped(name="windows")(blocks))
    power = layers.Multiply(name="power")([parts, parts])
    bands = layers.Dense(N_BANDS, use_bias=False, trainable=False, name="bands")(power)
    features = layers.BatchNormalization(name="features")(Log(name="log")(bands))
    return layers.Reshape((-1, N_BANDS, 1), name="picture")(features)


def set_constants(model: Any) -> None:
    """Gives the layers of `log_mel` in a model their constants; no training changes them."""
    model.get_layer("transform").set_weights([fourier(HOP)])
    model.get_layer("bands").set_weights([np.tile(mel(HOP, 50 * HOP, N_BANDS), (2, 1))])


def fourier(length: int) -> Matrix:
    """The discrete Fourier transform of real values, without its first and last coefficients.

    Args:
      length: even, of what is transformed.

    Returns:
      float32 [length, length - 2]: cosines, then sines. A sine wave that is 1 at most, in the sum
      of two windowed blocks, has the power 1 in both together.

    >>> tone = 2 * np.cos(2 * np.pi * 3 * np.arange(8) / 8) / 2
    >>> abs(tone @ fourier(8)).round(6).tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    """
    angles = 2 * np.pi * np.outer(np.arange(length), np.arange(1, length // 2)) / length
    both = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    return (both * (2 / length)).astype(np.float32)


def mel(length: int, rate: int, n_bands: int) -> Matrix:
    """How much of each coefficient's power is in each band of the mel scale: triangles.

    O'Shaughnessy, "Speech Communication" (1987) for the scale.

    Args:
      length: of what was transformed, see `fourier`. rate: samples a second. n_bands: how many.

    Returns:
      float32 [length / 2 - 1, n_bands].
    """
    hertz = np.arange(1, length // 2) * rate / length
    highest = 2595 * np.log10(1 + rate / 2 / 700)
    places = np.linspace(2595 * np.log10(1 + LOWEST_HZ / 700), highest, n_bands + 2)
    edges = 700 * (10 ** (places / 2595) - 1)
    rising = (hertz[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - hertz[:, None]) / np.diff(edges)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
