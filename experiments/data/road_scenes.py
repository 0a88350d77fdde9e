"""Scenes with road signs: a place, its weather and a camera, and signs seen there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from experiments.data.road_weather import finished, shadows, weathered
from experiments.data.sign_shapes import SIGNS, Array, texture

SIZE = 32  # pixels of a side of an image
FINE = 2  # samples of a pixel's side, whose mean it is
WEATHERS = ("clear", "clear", "rain", "fog", "snow", "night")
_TEXTURE = 96  # pixels of a side of a sign's texture
_PLACE = 128  # of a scene's background

Random = np.random.Generator


@dataclass(frozen=True)
class Scene:
    """A place with its light, weather and camera; its number decides everything.

    Attributes:
      seed: of all scenes. number: of this one.
    """

    seed: int
    number: int

    def seen(self, n: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        """Signs seen in the scene.

        Args:
          n: how many.

        Returns:
          uint8 [n, SIZE, SIZE, 3] and their classes, int32 [n]: places in `SIGNS`.
        """
        random = np.random.default_rng([self.seed, self.number])
        weather = WEATHERS[random.integers(len(WEATHERS))]
        first = random.integers(len(SIGNS))  # of the signs that there are most of
        labels = random.permutation((first + np.arange(n)) % len(SIGNS)).astype(np.int32)
        behind = cut(place(random), n, random)
        signs = projected(labels, homographies(n, random))
        light = random.uniform(0.6, 1.2, (n, 1, 1, 1)) * shadows(n, FINE * SIZE, random)
        fresh = 1 - random.uniform(0, 0.35)  # signs of one place are bleached and dirty alike
        colours = (fresh * signs[..., :3] + (1 - fresh) * 0.5) * light
        share = signs[..., 3:]
        fine = share * colours + (1 - share) * behind
        images = fine.reshape(n, SIZE, FINE, SIZE, FINE, 3).mean(axis=(2, 4))
        return finished(weathered(images, weather, random), random), labels


def smooth(size: int, cells: int, random: Random) -> Array:
    """Noise without detail: bilinear between `cells` + 1 values a side, float32 [size, size, 3]."""
    values = random.uniform(-1, 1, (cells + 1, cells + 1, 3))
    places = np.linspace(0, cells, size, endpoint=False)
    first, share = places.astype(int), (places % 1)[:, None, None]
    rows = values[first] * (1 - share) + values[first + 1] * share
    share = share[:, 0]
    both = rows[:, first] * (1 - share) + rows[:, first + 1] * share
    return np.asarray(both, np.float32)


def place(random: Random) -> Array:
    """What is behind the signs: sky, ground, noise of several sizes, and things with edges.

    Returns:
      float32 [_PLACE, _PLACE, 3], about 0 to 1.
    """
    sky, ground = random.uniform(0.4, 0.95, 3), random.uniform(0.1, 0.5, 3)
    height = np.linspace(0, 1, _PLACE)[:, None, None]
    horizon = random.uniform(0.3, 0.8)
    share = 1 / (1 + np.exp(-(height - horizon) * random.uniform(8, 60)))
    values = np.broadcast_to(sky * (1 - share) + ground * share, (_PLACE, _PLACE, 3)).copy()
    for cells in (4, 10, 25, 60):
        values += random.uniform(0.02, 0.15) * smooth(_PLACE, cells, random)
    for _ in range(random.integers(5, 25)):
        top, left = random.integers(0, _PLACE - 8, 2)
        size = random.integers(3, 40, 2)
        area = values[top : top + size[0], left : left + size[1]]
        area += (random.uniform(0, 1, 3) - area) * random.uniform(0.4, 0.9)
    return values.astype(np.float32)


def cut(background: Array, n: int, random: Random) -> Array:
    """Parts of a background, float32 [n, FINE * SIZE, FINE * SIZE, 3]."""
    size = FINE * SIZE
    corners = random.integers(0, _PLACE - size + 1, (n, 2))
    return np.stack([background[y : y + size, x : x + size] for y, x in corners])


def homographies(n: int, random: Random) -> npt.NDArray[np.float64]:
    """From image to sign: a pinhole camera before a plane that is turned about all three axes.

    Returns:
      float64 [n, 3, 3]; both planes are -1 to 1.
    """
    yaw, pitch, roll = (random.uniform(-most, most, n) for most in (0.7, 0.4, 0.2))
    one, nothing = np.ones(n), np.zeros(n)

    def turn(*rows: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        return np.array(rows).transpose(2, 0, 1)

    about_y = turn([np.cos(yaw), nothing, np.sin(yaw)], [nothing, one, nothing],
                   [-np.sin(yaw), nothing, np.cos(yaw)])  # fmt: skip
    about_x = turn([one, nothing, nothing], [nothing, np.cos(pitch), -np.sin(pitch)],
                   [nothing, np.sin(pitch), np.cos(pitch)])  # fmt: skip
    about_z = turn([np.cos(roll), -np.sin(roll), nothing], [np.sin(roll), np.cos(roll), nothing],
                   [nothing, nothing, one])  # fmt: skip
    away, size = random.uniform(2.5, 6, n), random.uniform(0.65, 0.95, n)
    plane = (about_z @ about_x @ about_y)[:, :, :2]
    centre = random.uniform(-0.15, 0.15, (2, n)) / size
    seen = np.concatenate([plane, np.stack([*centre, away], axis=1)[:, :, None]], axis=2)
    seen[:, :2] *= (size * away)[:, None, None]  # the focal length: signs come in all sizes
    return np.linalg.inv(seen)


@cache
def textures() -> Array:
    """All signs, float32 [signs, _TEXTURE, _TEXTURE, 4]."""
    return np.stack([texture(sign, _TEXTURE) for sign in SIGNS])


def projected(labels: npt.NDArray[np.int32], to_sign: npt.NDArray[np.float64]) -> Array:
    """Signs as a camera sees them, with nothing behind.

    Args:
      labels: int [n], which. to_sign: float [n, 3, 3], see `homographies`.

    Returns:
      float32 [n, FINE * SIZE, FINE * SIZE, 4], see `sign_shapes.texture`.
    """
    size = FINE * SIZE
    places = (np.arange(size) + 0.5) * 2 / size - 1
    x, y = np.meshgrid(places, places)
    points = to_sign @ np.stack([x.ravel(), y.ravel(), np.ones(size * size)])
    flat = points[:, :2] / points[:, 2:]
    texels = np.clip((flat + 1) * _TEXTURE / 2 - 0.5, 0, _TEXTURE - 1.001)
    first = texels.astype(int)
    right, down = (texels - first).astype(np.float32).transpose(1, 0, 2)[..., None]
    begin = (labels[:, None] * _TEXTURE + first[:, 1]) * _TEXTURE + first[:, 0]
    drawn = textures().reshape(-1, 4)
    above = drawn.take(begin, 0) * (1 - right) + drawn.take(begin + 1, 0) * right
    begin += _TEXTURE
    below = drawn.take(begin, 0) * (1 - right) + drawn.take(begin + 1, 0) * right
    return (above * (1 - down) + below * down).reshape(len(labels), size, size, 4)
