"""What light, weather and a camera do to images of a scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Random = np.random.Generator

_N_STREAKS = 14


def shadows(n: int, size: int, random: Random) -> Array:
    """How much light is left where something throws a shadow with a straight edge.

    Returns:
      float32 [n, size, size, 1]; 1 without a shadow, which a half of the images are.
    """
    places = np.linspace(-1, 1, size)
    angle = random.uniform(0, 2 * np.pi, (n, 1, 1))
    side = (
        places * np.cos(angle) + places[:, None] * np.sin(angle) + random.uniform(-1, 1, (n, 1, 1))
    )
    depth = random.uniform(0.2, 0.6, (n, 1, 1)) * (random.random((n, 1, 1)) < 0.5)
    dark = depth * np.clip(0.5 + side * size / 8, 0, 1)
    return np.asarray(1 - dark, np.float32)[..., None]


def weathered(images: Array, weather: str, random: Random) -> Array:
    """Images in a weather.

    Args:
      images: float32 [n, size, size, 3], about 0 to 1.
      weather: "clear", "rain", "fog", "snow" or "night".
      random: decides the rest.
    """
    n, size = images.shape[:2]
    if weather == "fog":
        left = random.uniform(0.35, 0.7, (n, 1, 1, 1))
        return (images * left + random.uniform(0.6, 0.8) * (1 - left)).astype(np.float32)
    if weather == "rain":
        share = 0.6 * streaks(n, size, random.uniform(0.2, 0.6), 0.5, random)
        return (images * 0.75 * (1 - share) + 0.7 * share).astype(np.float32)
    if weather == "snow":
        share = 0.9 * streaks(n, size, 0.05, random.uniform(0.6, 1.3), random)
        return (images * (1 - share) + 0.95 * share).astype(np.float32)
    if weather == "night":
        places = np.linspace(-1, 1, size)
        about = random.uniform(-0.7, 0.7, (2, n, 1, 1))
        distance = (places - about[0]) ** 2 + (places[:, None] - about[1]) ** 2
        beam = random.uniform(0.1, 0.5, (n, 1, 1)) * np.exp(-distance)  # of the car's own lights
        return (images * (0.12 + beam[..., None])).astype(np.float32)
    return images


def streaks(n: int, size: int, length: float, width: float, random: Random) -> Array:
    """Drops or flakes that fall in parallel, as a camera's exposure smears them.

    Args:
      n: images. size: pixels of a side. length: of one, image -1 to 1. width: a half, in pixels.
      random: decides where.

    Returns:
      float32 [n, size, size, 1]: how much of a pixel they cover.
    """
    places = np.linspace(-1, 1, size, dtype=np.float32)
    begin = random.uniform(-1.2, 1, (2, n, _N_STREAKS, 1, 1)).astype(np.float32)
    angle = random.uniform(np.pi / 3, 2 * np.pi / 3)
    x, y = places - begin[0], places[:, None] - begin[1]
    along = np.clip(x * np.cos(angle) + y * np.sin(angle), 0, length)
    distance = np.hypot(x - along * np.cos(angle), y - along * np.sin(angle)).min(axis=1)
    return np.asarray(np.clip(width + 0.5 - distance * size / 2, 0, 1), np.float32)[..., None]


def finished(images: Array, random: Random) -> npt.NDArray[np.uint8]:
    """What one camera makes of images: motion blur, colour, exposure, noise, and 8 bits.

    Args:
      images: float32 [n, size, size, 3], about 0 to 1.
      random: decides how; colour, blur and noise are alike in all of them.
    """
    n = len(images)
    images = blurred(images, random)
    exposure = random.uniform(0.7, 1.3, (n, 1, 1, 1)) * random.uniform(0.85, 1.15, 3)
    images = np.clip(images * exposure, 0, 1) ** random.uniform(0.7, 1.4)
    noise = random.uniform(0.01, 0.04) * random.standard_normal(images.shape, np.float32)
    return np.rint(255 * np.clip(images + noise, 0, 1)).astype(np.uint8)


def blurred(images: Array, random: Random) -> Array:
    """The mean of three images along a way that the camera went while it took them."""
    angle, length = random.uniform(0, 2 * np.pi), random.uniform(0, 1.0)
    moved = [
        shifted(images, s * length * np.cos(angle), s * length * np.sin(angle)) for s in (-1, 0, 1)
    ]
    return np.asarray(np.mean(moved, axis=0), np.float32)


def shifted(images: Array, right: float, down: float) -> Array:
    """Images moved by parts of pixels, bilinear; borders are repeated.

    >>> shifted(np.array([[[[0.0], [1.0], [0.0]]]], np.float32), 0.5, 0.0).ravel().tolist()
    [0.0, 0.5, 0.5]
    """
    for axis, by in ((2, right), (1, down)):
        places = np.clip(np.arange(images.shape[axis]) - by, 0, images.shape[axis] - 1)
        first = np.minimum(places.astype(int), max(images.shape[axis] - 2, 0))
        share = (
            (places - first).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(4)])
        )
        after = np.minimum(first + 1, images.shape[axis] - 1)
        images = images.take(first, axis) * (1 - share) + images.take(after, axis) * share
    return images
