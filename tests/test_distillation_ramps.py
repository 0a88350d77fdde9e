"""Ramps: the number at every step, in and out of a graph, and settings refused."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tfcompress as tfc
from tfcompress.value import from_data, to_data

STEPS = np.arange(0, 40)
RAMPS = [
    (tfc.LinearRamp(4.0, 1.0, steps=20), np.interp(STEPS, [0, 20], [4, 1])),
    (tfc.LinearRamp(0.0, 0.5, steps=10, begin=15), np.interp(STEPS, [15, 25], [0, 0.5])),
    (
        tfc.CosineRamp(1.0, 3.0, steps=20, begin=5),
        2.0 - np.cos(np.pi * np.interp(STEPS, [5, 25], [0, 1])),
    ),
    (
        tfc.PiecewiseConstant((5, 30), (1.0, 0.25, 0.0)),
        np.select([STEPS < 5, STEPS < 30], [1.0, 0.25], 0.0),
    ),
]
each = pytest.mark.parametrize(("ramp", "expected"), RAMPS, ids=lambda r: type(r).__name__)


@each
def test_a_ramp_is_its_definition(ramp, expected):
    in_graph = tf.function(ramp.at)
    np.testing.assert_allclose([float(ramp.at(s)) for s in STEPS], expected, atol=1e-6)
    found = [float(in_graph(tf.constant(s, tf.int64))) for s in STEPS]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@each
def test_a_ramp_knows_its_extremes_and_survives_json(ramp, expected):
    assert ramp.extremes == pytest.approx((expected.min(), expected.max()))
    assert from_data(to_data(ramp)) == ramp


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.LinearRamp(1.0, 0.0, steps=0), "LinearRamp received steps=0 and begin=0"),
        (lambda: tfc.CosineRamp(1.0, 0.0, 5, begin=-1), "begin=-1; expected whole training steps"),
        (lambda: tfc.LinearRamp(1.0, 0.0, steps=2.5), "steps=2.5"),
        (lambda: tfc.CosineRamp("a", 0.0, 5), "CosineRamp received start='a'; expected a number"),
        (lambda: tfc.LinearRamp(1.0, float("inf"), 5), "end=inf; expected a number"),
        (lambda: tfc.PiecewiseConstant((), (1.0,)), "0 boundaries and 1 values; expected at least"),
        (lambda: tfc.PiecewiseConstant((5,), (1.0,)), "1 boundaries and 1 values"),
        (lambda: tfc.PiecewiseConstant((5, 5), (1, 2, 3)), r"boundaries=\(5, 5\); expected whole"),
        (lambda: tfc.PiecewiseConstant((0,), (1, 2)), r"boundaries=\(0,\); expected whole"),
        (lambda: tfc.PiecewiseConstant((5,), (1.0, None)), "values=None; expected a number"),
        (
            lambda: tfc.techniques.Distill(weight=tfc.LinearRamp(0.0, 1.5, 5)),
            "Distill received weight=LinearRamp.*expected 0 <= weight <= 1",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()
