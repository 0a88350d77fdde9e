"""Steps of grids: against NumPy, brute force and TensorFlow, and their gradients."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tf_keras as keras
from grids import held_in_blocks, rounded

import tfcompress as tfc
from tfcompress.layers import (
    Compressed,
    FakeQuantizer,
    HalfPrecision,
    HeldQuantizer,
    LearnedQuantizer,
    Mask,
)
from tfcompress.layers.grid import block_step, learned_quantize, levels, stored_bits
from tfcompress.layers.mean_square import mean_square_scale

RNG = np.random.default_rng(0)
W = RNG.normal(size=(12, 8)).astype(np.float32)
DENSE = {"learned": LearnedQuantizer, "held": HeldQuantizer}


def dense(quantizer: Any, kernel: Any = W) -> Any:
    """A wrapped Dense layer without a bias."""
    layer = keras.layers.Dense(kernel.shape[1], use_bias=False)
    layer.build((None, kernel.shape[0]))
    layer.kernel.assign(kernel)
    wrapper = Compressed(layer, {})
    wrapper.add_transform("kernel", quantizer)
    return wrapper


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("share", [0.4, 1.0], ids=["clipped", "whole"])
def test_a_grid_is_the_one_of_tensorflows_fake_quantization(bits, share):
    end = float(np.abs(W).max()) * share
    theirs = tf.quantization.fake_quant_with_min_max_vars(
        W, -end, end, num_bits=bits, narrow_range=True
    )
    ours = FakeQuantizer(bits, scale=tfc.Fixed(end / levels(bits)))(tf.constant(W))
    np.testing.assert_allclose(ours, theirs, atol=1e-6 * end + 1e-6)


@pytest.mark.parametrize("places", [1, 8, 64])
def test_a_fixed_step_is_rounding_of_a_multiple(places):
    quantizer = FakeQuantizer(8, scale=tfc.Fixed(1 / places))
    expected = np.clip(np.round(W * places) / places, -127 / places, 127 / places)
    np.testing.assert_array_equal(quantizer(tf.constant(W)), expected)


def test_the_steps_of_blocks_are_what_a_file_holds():
    steps = np.float32([1.0, 1.003, 0.7, 3e-4, 61.37])
    np.testing.assert_array_equal(block_step(tf.constant(steps)), held_in_blocks(steps))
    smallest = 2.0**-24
    np.testing.assert_array_equal(block_step(tf.constant([0.0, 1e-9])), [smallest, smallest])
    with tf.GradientTape() as tape:
        step = tf.constant([0.3])
        tape.watch(step)
        result = block_step(step) * 2.0
    np.testing.assert_array_equal(tape.gradient(result, step), [2.0])


def test_a_block_of_zeros_stays_zero_and_tiny_blocks_stay_on_their_grid():
    weights = np.zeros((2, 64), np.float32)
    weights[1] = RNG.normal(size=64) * 1e-6
    found = FakeQuantizer(8, 0, block=32)(tf.constant(weights)).numpy()
    np.testing.assert_array_equal(found[0], 0)
    assert np.abs(found[1] / 2.0**-24).max() <= 127
    assert np.isfinite(found).all()


# --- float16 ------------------------------------------------------------------------------------


def test_float16_rounds_as_numpy_does_and_its_gradient_passes():
    weights = tf.constant([[1e-9, 0.1, -3.14159, 1e6, 7e4]])
    clipped = np.clip(weights.numpy(), -65504, 65504)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        half = HalfPrecision()(weights)
        result = tf.reduce_sum(half * [[1.0, 2.0, 3.0, 4.0, 5.0]])
    np.testing.assert_array_equal(half, clipped.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(tape.gradient(result, weights), [[1, 2, 3, 4, 5]])
    assert HalfPrecision((0, 1)).codes(weights) is None


# --- mean square --------------------------------------------------------------------------------

DRAWN = {
    "normal": lambda n: RNG.normal(size=n),
    "laplace": lambda n: RNG.laplace(size=n),
    "uniform": lambda n: RNG.uniform(-1, 1, size=n),
    "pruned": lambda n: RNG.normal(size=n) * (RNG.uniform(size=n) < 0.3),
}


def error(weights: Any, step: Any, top: int) -> float:
    return float(((rounded(weights, step, top) - weights) ** 2).mean())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("name", DRAWN)
def test_the_mean_square_step_is_nearly_the_best_of_all_clips(name, bits):
    weights = DRAWN[name]((6, 2000)).astype(np.float32)
    found = mean_square_scale(tf.constant(weights), [1], bits).numpy()
    assert found.shape == (6, 1)
    top = levels(bits)
    for row, step in zip(weights, found[:, 0], strict=True):
        clips = np.linspace(0.02, 1.0, 200) * np.abs(row).max()
        best = min(error(row, clip / top, top) for clip in clips)
        assert error(row, step, top) < 1.06 * best


def test_the_mean_square_of_a_whole_tensor_is_told_from_a_part_of_it():
    weights = RNG.normal(size=(9000, 30)).astype(np.float32) * np.arange(1, 31)
    step = mean_square_scale(tf.constant(weights), [0, 1], 4).numpy()
    assert step.shape == (1, 1)
    whole = mean_square_scale(tf.constant(weights.reshape(1, -1)), [1], 4).numpy()
    np.testing.assert_allclose(step, whole, rtol=0.02)


def test_the_mean_square_of_zeros_is_a_step_and_no_nan():
    for axes in ([1], [0, 1]):
        step = mean_square_scale(tf.zeros((3, 4)), axes, 4).numpy()
        assert (step > 0).all()
    one = mean_square_scale(tf.constant([[0.0, 0.0, 3.0]]), [1], 2).numpy()
    np.testing.assert_allclose(one, [[3.0]], rtol=1e-5)


# --- learned ------------------------------------------------------------------------------------


def gradients_by_definition(w: Any, s: Any, bits: int, upstream: Any) -> tuple[Any, Any]:
    """Esser et al. (2020), equations 1 to 3 and section 2.2, for one scale a column."""
    top = 2 ** (bits - 1) - 1
    to_weights, to_step = np.zeros_like(w), np.zeros_like(s)
    for column in range(w.shape[1]):
        total = 0.0
        for row in range(w.shape[0]):
            v = w[row, column] / s[0, column]
            if -top < v < top:
                to_weights[row, column] = upstream[row, column]
                slope = np.round(v) - v
            else:
                slope = top if v > 0 else -top
            total += upstream[row, column] * slope
        to_step[0, column] = total / np.sqrt(w.shape[0] * top)
    return to_weights, to_step


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_gradients_of_a_learned_step_are_those_of_lsq(bits):
    steps = (np.abs(W).max(axis=0, keepdims=True) * RNG.uniform(0.3, 0.8, 8) / levels(bits)).astype(
        np.float32
    )
    upstream = RNG.normal(size=W.shape).astype(np.float32)
    w, s = tf.constant(W), tf.constant(steps)
    with tf.GradientTape() as tape:
        tape.watch([w, s])
        result = learned_quantize(w, s, bits, sharing=12)
    np.testing.assert_allclose(result, rounded(W, steps, levels(bits)), atol=1e-6)
    found = tape.gradient(result, [w, s], output_gradients=tf.constant(upstream))
    expected = gradients_by_definition(W, steps, bits, upstream)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("where", "shape", "axis"),
    [
        ({"channel_axis": None}, (1, 1), None),
        ({"channel_axis": 1}, (1, 8), 0),
        ({"channel_axis": 1, "block": 4}, (8, 3, 1), None),
    ],
    ids=str,
)
def test_a_learned_step_starts_from_the_mean_magnitude(where, shape, axis):
    layer = dense(LearnedQuantizer(4, scale=tfc.Learned(), **where))
    (log_step,) = [w for w in layer.trainable_weights if "log_step" in w.name]
    assert tuple(log_step.shape) == shape
    if "block" in where:
        mean = np.abs(W.T.reshape(8, 3, 4)).mean(axis=2, keepdims=True)
    else:
        mean = np.abs(W).mean(axis=axis, keepdims=True)
    np.testing.assert_allclose(np.exp(log_step), 2 * mean / np.sqrt(7), rtol=1e-5)
    steps = 2 * np.abs(W).mean() / np.sqrt(7)
    if axis is None and "block" not in where:
        np.testing.assert_allclose(layer.kernel, rounded(W, steps, 7), atol=1e-6)


def test_a_learned_step_trains_towards_the_better_grid():
    layer = dense(LearnedQuantizer(4, scale=tfc.Learned()))
    (log_step,) = [w for w in layer.trainable_weights if "log_step" in w.name]
    layer.layer.trainable = False
    optimizer = keras.optimizers.Adam(0.01)
    errors = []
    for _ in range(200):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((layer.kernel - W) ** 2)
        errors.append(float(loss))
        optimizer.apply_gradients([(tape.gradient(loss, log_step), log_step)])
    best = min(error(W, end / 7, 7) for end in np.linspace(0.1, 1, 200) * np.abs(W).max())
    assert errors[-1] < 0.5 * errors[0]
    assert errors[-1] < 1.4 * best


def test_a_step_that_was_not_trained_starts_anew_from_pruned_weights():
    together = dense(LearnedQuantizer(4, 1, scale=tfc.Learned()))
    together.add_transform("kernel", Mask(0.5))
    canonical = dense(Mask(0.5))
    canonical.add_transform("kernel", LearnedQuantizer(4, 1, scale=tfc.Learned()))
    np.testing.assert_array_equal(together.kernel, canonical.kernel)
    trained = dense(LearnedQuantizer(4, 1, scale=tfc.Learned()))
    (log_step,) = [w for w in trained.trainable_weights if "log_step" in w.name]
    log_step.assign_add(tf.ones_like(log_step))
    before = log_step.numpy()
    trained.add_transform("kernel", Mask(0.5))
    np.testing.assert_array_equal(log_step, before)


def test_the_rows_of_a_table_train_only_their_own_steps():
    layer = Compressed(keras.layers.Embedding(40, 8), {})
    layer.build((None,))
    layer.add_transform("embeddings", LearnedQuantizer(4, 0, scale=tfc.Learned()))
    log_step = layer.trainable_weights[0]
    with tf.GradientTape() as tape:
        result = tf.reduce_sum(layer(tf.constant([3, 3, 17])) * tf.range(8.0))
    sparse = tape.gradient(result, log_step)
    assert isinstance(sparse, tf.IndexedSlices)
    assert sorted(sparse.indices.numpy().tolist()) == [3, 3, 17]


@pytest.mark.parametrize("technique", [tfc.Quantize(3, scale=tfc.Learned())], ids=repr)
def test_the_steps_are_trained_by_fit(technique):
    family = small_models.FAMILIES["tfrs"]
    rule = tfc.rule(tfc.by_type("Dense") | tfc.by_type("Embedding"), technique)
    student = family.compiled(tfc.apply(family.build(), tfc.Spec([rule])))
    steps = [w for w in student.trainable_weights if "log_step" in w.name]
    assert len(steps) == 3
    before = [w.numpy() for w in steps]
    student.fit(family.data(), epochs=2, verbose=0)
    assert all((w.numpy() != b).any() for w, b in zip(steps, before, strict=True))


@pytest.mark.parametrize("scale", [tfc.Learned(), tfc.MeanSquare(), tfc.Fixed(1 / 16)], ids=repr)
def test_mixed_precision_trains_the_same_steps_in_float32(scale):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = small_models.sequential()
        rule = tfc.rule(tfc.by_size(1), tfc.Quantize(4, scale=scale))
        student = tfc.apply(model, tfc.Spec([rule]))
        student.compile(keras.optimizers.Adam(0.001), "mse")
        losses = student.fit(small_models.ids(), small_models.targets(), epochs=2, verbose=0)
        assert np.isfinite(losses.history["loss"]).all()
        steps = [w for w in student.trainable_weights if "log_step" in w.name]
        assert len(steps) == (3 if scale == tfc.Learned() else 0)
        assert all(w.dtype == tf.float32 for w in steps)
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize(
    "quantizer",
    [
        FakeQuantizer(3, (2, 3), scale=tfc.MeanSquare()),
        FakeQuantizer(4, 1, 32, tfc.Deviations(2.0)),
        LearnedQuantizer(4, 0, 32, tfc.Learned()),
        HeldQuantizer(8, None, scale=tfc.Fixed(0.25)),
        HalfPrecision((1, 2)),
    ],
    ids=lambda quantizer: type(quantizer).__name__ + str(quantizer.bits),
)
def test_a_quantizer_survives_its_config(quantizer):
    config = json.loads(json.dumps(keras.utils.serialize_keras_object(quantizer)))
    again = keras.utils.deserialize_keras_object(config)
    assert type(again) is type(quantizer)
    assert vars(again) == vars(quantizer)


def test_a_quantizer_of_an_older_config_is_read():
    config = {"bits": 4, "channel_axis": None, "block": 0, "deviations": 2.0}
    assert FakeQuantizer.from_config(config).scale == tfc.Deviations(2.0)
    assert FakeQuantizer.from_config({**config, "deviations": None}).scale == tfc.AbsMax()


def test_three_bits_are_planned_as_the_four_that_a_file_holds():
    assert [stored_bits(bits) for bits in (2, 3, 4, 8)] == [2, 4, 4, 8]
    model = small_models.sequential()
    by_bits = {
        bits: tfc.plan(
            model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(bits))])
        ).bytes_after
        for bits in (2, 3, 4, 8, 16)
    }
    assert by_bits[3] == by_bits[4]
    weights = 12 * 16 + 16 * 4
    assert by_bits[8] - by_bits[4] == weights // 2
    rest = 4 * (40 * 12 + 16 + 4)
    assert by_bits[16] == 2 * weights + rest


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.Fixed(0), "Fixed received 0; expected a step above 0"),
        (lambda: tfc.Fixed(float("nan")), "Fixed received nan; expected a step above 0"),
        (lambda: tfc.Fixed(float("inf")), "Fixed received inf; expected a step above 0"),
        (
            lambda: tfc.Quantize(16, tfc.PerTensor()),
            r"bits=16 with PerTensor\(\), AbsMax\(\) and Nearest\(\); expected none of them",
        ),
        (lambda: tfc.Quantize(16, scale=tfc.Learned()), "bits=16 with .*Learned.*no grid"),
        (lambda: tfc.Quantize(16, rounding=tfc.ErrorCorrecting()), "bits=16 with .*no grid"),
        (lambda: tfc.Quantize(3.5), r"bits=3.5; expected one of \(2, 3, 4"),
        (lambda: tfc.Quantize(4, rounding="up"), r"rounding='up'; expected Nearest\(\) or"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()


def test_a_spec_that_was_written_before_there_was_rounding_is_read():
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(4, scale=tfc.Deviations(2.0)))])
    data = json.loads(spec.to_json())
    del data["rules"][0]["techniques"][0]["rounding"]
    assert tfc.Spec.from_json(json.dumps(data)) == spec
