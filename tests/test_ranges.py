"""The grids of activations, held against NumPy and TensorFlow, and how observers find them."""

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.keras import tf
from tfcompress.layers import ranges

ENDS = [(-1.0, 1.01), (0.0, 6.0), (-0.37, 2.91), (-5.0, 0.0), (-0.001, 0.002)]


@pytest.mark.parametrize(("low", "high"), ENDS)
def test_rounding_is_what_the_stored_scale_and_zero_point_say(low, high):
    values = np.random.default_rng(0).normal(0, 2 * (high - low), 500).astype(np.float32)
    scale, zero = ranges.scale_and_zero_point(low, high)
    # Halves are rounded up there and to even here; none of these values is one.
    integers = np.clip(np.round(values / scale) + zero, -128, 127)
    found = ranges.round_to_range(tf.constant(values), low, high).numpy()
    np.testing.assert_allclose(found, (integers - zero) * scale, atol=1e-5 * scale * 255)
    assert -128 <= zero <= 127


def test_the_gradient_passes_inside_of_the_range_alone():
    values = tf.constant([-3.0, -0.9, 0.0, 0.9, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(ranges.round_to_range(values, -1.0, 1.0))
    assert tape.gradient(total, values).numpy().tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("ends", "expected"), [((1.0, 3.0), (0.0, 3.0)), ((-3.0, -1.0), (-3.0, 0.0)), ((0, 0), (0, 0))]
)
def test_a_range_holds_zero_and_has_a_width(ends, expected):
    low, high = map(float, ranges.around_zero(*map(float, ends)))
    assert (low, high) == pytest.approx(expected, abs=2e-6) and high > low


@pytest.mark.parametrize("percent", [60.0, 99.0, 100.0])
def test_percentiles_are_numpy_s_nearest_ranks(percent):
    values = np.random.default_rng(1).normal(size=(7, 43)).astype(np.float32)
    found = [float(one) for one in ranges.percentiles(tf.constant(values), percent)]
    expected = np.percentile(values, [100 - percent, percent], method="nearest")
    np.testing.assert_array_equal(found, expected)


def followed(observer, batches):
    layer = tfc.layers.Integer(tfc.keras.keras.layers.Dense(2), {}, observer)
    for batch in batches:
        layer(tf.constant(batch), training=True)
    return layer.ranges["inputs"]


def test_observers_follow_batches_as_numpy_does():
    rng = np.random.default_rng(2)
    batches = [rng.normal(0, 1 + i, (64, 5)).astype(np.float32) for i in range(4)]
    all_of_them = np.concatenate(batches)
    extremes = all_of_them.min(), all_of_them.max()
    assert followed(tfc.MinMax(), batches) == pytest.approx(extremes)
    low, high = batches[0].min(), batches[0].max()
    for batch in batches[1:]:
        low, high = 0.9 * low + 0.1 * batch.min(), 0.9 * high + 0.1 * batch.max()
    assert followed(tfc.MovingAverage(0.9), batches) == pytest.approx((low, high))
    inner = followed(tfc.Percentile(95.0, 0.9), batches)
    assert low < inner[0] < 0.0 < inner[1] < high


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.MovingAverage(1.0), "MovingAverage received momentum=1.0.*below 1"),
        (lambda: tfc.MovingAverage(-0.1), "momentum=-0.1"),
        (lambda: tfc.Percentile(50.0), "Percentile received percent=50.0.*above 50"),
        (lambda: tfc.Percentile(99.0, momentum=2.0), "Percentile received momentum=2.0"),
    ],
)
def test_observers_check_their_fields(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()
