"""Weights of any shape as matrices, masks and grids on them, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from grids import held_in_blocks

from tfcompress.layers import FakeQuantizer, Mask
from tfcompress.layers.mask import magnitude_mask
from tfcompress.layers.matrix import from_matrix, read_axes, to_matrix
from tfcompress.measure import WeightForm, matrix_shape

RNG = np.random.default_rng(3)
# Shape, channel axes, and the order of axes in which NumPy makes the matrix.
CASES = [
    ((6, 8), 1, (0, 1)),
    ((6, 8), 0, (0, 1)),
    ((6, 8), None, (0, 1)),
    ((3, 4, 8), 2, (0, 1, 2)),
    ((3, 3, 4, 8), 3, (0, 1, 2, 3)),
    ((3, 3, 4, 2), (2, 3), (0, 1, 2, 3)),
    ((3, 3, 8, 4), 2, (0, 1, 3, 2)),
    ((4, 6, 8), (0, 2), (1, 0, 2)),
    ((4, 6, 8), None, (0, 1, 2)),
]
every_case = pytest.mark.parametrize(("shape", "axes", "order"), CASES)


def weight(shape):
    return RNG.normal(size=shape).astype(np.float32)


@every_case
def test_a_weight_is_seen_as_numpy_transposes_it(shape, axes, order):
    value = weight(shape)
    expected = value.transpose(order).reshape(matrix_shape(shape, axes))
    matrix = to_matrix(tf.constant(value), axes)
    np.testing.assert_array_equal(matrix, expected)
    np.testing.assert_array_equal(from_matrix(matrix, shape, axes), value)


@every_case
@pytest.mark.parametrize("bits", [4, 8])
def test_each_channel_is_rounded_on_its_own_grid(shape, axes, order, bits):
    value = weight(shape)
    channels = () if axes is None else (axes,) if isinstance(axes, int) else axes
    others = tuple(axis for axis in range(len(shape)) if axis not in channels)
    step = np.abs(value).max(axis=others, keepdims=True) / (2 ** (bits - 1) - 1)
    found = FakeQuantizer(bits, axes)(tf.constant(value))
    np.testing.assert_allclose(found, np.round(value / step) * step, atol=1e-6)
    planned = FakeQuantizer(bits, axes).planned(WeightForm("kernel", shape, axes))
    assert (planned.bits, planned.scales) == (bits, step.size)


def test_blocks_of_a_convolution_run_through_its_matrix():
    value = weight((4, 4, 4, 3))
    columns = value.reshape(64, 3).T.reshape(3, 2, 32)
    step = held_in_blocks(np.abs(columns).max(axis=2, keepdims=True) / 7)
    expected = (np.round(columns / step) * step).reshape(3, 64).T.reshape(value.shape)
    found = FakeQuantizer(4, 3, block=32)(tf.constant(value))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@every_case
def test_a_mask_takes_its_blocks_from_the_matrix(shape, axes, order):
    value = tf.constant(weight(shape))
    found = Mask(0.5, (2, 2), channel_axis=axes)._new_mask(value, 0.5)
    expected = magnitude_mask(to_matrix(value, axes), 0.5, (2, 2))
    np.testing.assert_array_equal(to_matrix(found, axes), expected)
    assert found.shape == value.shape


def test_axes_survive_json():
    for made in (Mask(0.5, channel_axis=(2, 3)), FakeQuantizer(8, (2, 3))):
        again = type(made).from_config({**made.get_config(), "channel_axis": [2, 3]})
        assert again.get_config() == made.get_config()
    assert read_axes([0, 2]) == (0, 2) and read_axes(1) == 1 and read_axes(None) is None
