"""The arithmetic of grids and masks, and the layers that use it, against NumPy and TF-MOT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from grids import held_in_blocks
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl

import tfcompress as tfc
from tfcompress.layers import (
    Compressed,
    Deviations,
    FactorizedDense,
    FactorizedEmbedding,
    FakeQuantizer,
    HalfPrecision,
    HeldQuantizer,
    Learned,
    LearnedQuantizer,
    Mask,
    MeanSquare,
)
from tfcompress.layers.grid import absmax_scale, deviation_scale, fake_quantize, levels
from tfcompress.layers.mask import block_magnitudes, kth_largest, magnitude_mask

RNG = np.random.default_rng(0)
W = RNG.normal(size=(12, 8)).astype(np.float32)
IDS = tf.constant([[1, 5, 5], [0, 11, 2]])


def on_grid(w: Any, bits: int, axis: Any, deviations: float | None = None) -> Any:
    """The definition, in NumPy: round(w / s) * s, clipped."""
    top = 2 ** (bits - 1) - 1
    end = np.abs(w).max(axis=axis, keepdims=True)
    if deviations is not None:
        end = np.minimum(end, deviations * np.sqrt((w**2).mean(axis=axis, keepdims=True)))
    scale = end / top
    return np.clip(np.round(w / scale), -top, top) * scale


# --- grid ---------------------------------------------------------------------------------------


def test_levels():
    assert [levels(bits) for bits in (2, 3, 4, 8)] == [1, 3, 7, 127]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize(("channel_axis", "axis"), [(None, None), (0, 1), (1, 0)])
@pytest.mark.parametrize("deviations", [None, 1.5])
def test_a_quantizer_rounds_as_numpy_does(bits, channel_axis, axis, deviations):
    scale = None if deviations is None else Deviations(deviations)
    quantizer = FakeQuantizer(bits, channel_axis, scale=scale)
    expected = on_grid(W, bits, axis, deviations)
    np.testing.assert_allclose(quantizer(tf.constant(W)), expected, atol=1e-6)


@pytest.mark.parametrize("channel_axis", [0, 1])
def test_blocks_have_scales_of_their_own(channel_axis):
    weights = RNG.normal(size=(64, 96)).astype(np.float32)
    rows = weights if channel_axis == 0 else weights.T
    parts = rows.reshape(len(rows), -1, 32)
    step = held_in_blocks(np.abs(parts).max(axis=2, keepdims=True) / 7)
    expected = (np.clip(np.round(parts / step), -7, 7) * step).reshape(rows.shape)
    found = FakeQuantizer(4, channel_axis, block=32)(tf.constant(weights)).numpy()
    np.testing.assert_allclose(found if channel_axis == 0 else found.T, expected, atol=1e-6)


@pytest.mark.parametrize("bits", [4, 8])
def test_where_the_grids_coincide_tensorflow_rounds_the_same(bits):
    largest = float(np.abs(W).max())
    theirs = tf.quantization.fake_quant_with_min_max_vars(
        W, -largest, largest, num_bits=bits, narrow_range=True
    )
    ours = FakeQuantizer(bits)(tf.constant(W))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@settings(deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([2, 4, 8]), st.sampled_from([None, 1.0, 3.0]))
def test_rounding_twice_is_rounding_once(seed, bits, deviations):
    weights = np.random.default_rng(seed).normal(size=(5, 7)).astype(np.float32)
    once = fake_quantize(tf.constant(weights), absmax_scale(tf.constant(weights), [1], bits), bits)
    twice = fake_quantize(once, absmax_scale(once, [1], bits), bits)
    np.testing.assert_allclose(twice, once, atol=1e-5)


def test_a_group_of_zeros_stays_zero():
    zeros = tf.zeros((3, 4))
    for scale in (absmax_scale(zeros, [1], 8), deviation_scale(zeros, [1], 8, 3.0)):
        np.testing.assert_array_equal(fake_quantize(zeros, scale, 8), zeros)


def test_the_gradient_passes_straight_through_inside_the_grid_only():
    weights = tf.Variable([[0.1, -0.4, 3.0, -9.0]])
    with tf.GradientTape() as tape:
        result = tf.reduce_sum(fake_quantize(weights, tf.constant(0.5), 4) * [[1.0, 2.0, 3.0, 4.0]])
    # the grid ends at 3.5
    np.testing.assert_array_equal(tape.gradient(result, weights), [[1.0, 2.0, 3.0, 0.0]])


# --- mask ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=40), st.data())
def test_the_kth_largest(values, data):
    k = data.draw(st.integers(1, len(values)))
    found = float(kth_largest(tf.constant(values, tf.float32), k))
    assert found == np.sort(np.array(values, np.float32))[::-1][k - 1]


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("block", [(1, 1), (4, 1), (2, 4)])
def test_a_mask_is_the_one_that_tfmot_makes(sparsity, block):
    weights = tf.Variable(W)
    theirs = pruning_impl.Pruning(
        lambda: tf.constant(0), [], lambda step: (True, tf.constant(sparsity)), block, "AVG"
    )
    _, expected = theirs._maybe_update_block_mask(weights)
    found = magnitude_mask(weights, sparsity, block)
    np.testing.assert_array_equal(found, expected)


def test_blocks_at_the_edge_count_only_the_weights_they_have():
    weights = np.arange(1, 16, dtype=np.float32).reshape(5, 3)
    means = block_magnitudes(tf.constant(weights), (2, 2)).numpy()
    assert means.shape == (3, 2)
    assert means[0, 0] == weights[:2, :2].mean()
    assert means[2, 1] == weights[4, 2]
    mask = magnitude_mask(tf.constant(weights), 0.5, (2, 2)).numpy()
    assert mask.shape == (5, 3)
    assert mask[4, 2] == 1
    assert mask[:2, :2].sum() == 0


def test_masked_weights_get_no_gradient_and_others_all_of_it():
    layer = Compressed(keras.layers.Dense(8, use_bias=False), {})
    layer.build((None, 12))
    layer.add_transform("kernel", Mask(0.5))
    x = tf.constant(RNG.normal(size=(4, 12)), tf.float32)
    with tf.GradientTape() as tape:
        result = tf.reduce_sum(layer(x))
    gradient = tape.gradient(result, layer.layer.kernel).numpy()
    mask = layer.kernel.numpy() != 0
    full = np.repeat(x.numpy().sum(0)[:, None], 8, 1)
    np.testing.assert_allclose(gradient, full * mask, rtol=1e-5)


# --- Compressed ---------------------------------------------------------------------------------

CHAINS = {
    "mask": [Mask(0.5)],
    "int8 rows": [FakeQuantizer(8, 0)],
    "int4 tensor": [FakeQuantizer(4, None)],
    "int4 blocks": [FakeQuantizer(4, 0, block=4)],
    "int4 clipped": [FakeQuantizer(4, None, scale=Deviations(1.0))],
    "int4 mean square": [FakeQuantizer(4, 0, scale=MeanSquare())],
    "int4 mean square, tensor": [FakeQuantizer(4, None, scale=MeanSquare())],
    "int3 learned": [LearnedQuantizer(3, 0, scale=Learned())],
    "int4 learned, tensor": [LearnedQuantizer(4, None, scale=Learned())],
    "int4 learned, blocks": [LearnedQuantizer(4, 0, block=4, scale=Learned())],
    "int4 held": [HeldQuantizer(4, 0, block=4)],
    "float16": [HalfPrecision(0)],
    "both": [Mask(0.75), FakeQuantizer(4, None, scale=Deviations(2.0))],
    "blocks of both": [Mask(0.5, (4, 1)), FakeQuantizer(2, 0, scale=Deviations(1.5))],
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_look_up_is_a_row_of_the_effective_table_and_its_gradient_is_sparse(name):
    layer = Compressed(keras.layers.Embedding(12, 8, embeddings_initializer="normal"), {})
    layer.build((None, 3))
    for transform in CHAINS[name]:
        layer.add_transform("embeddings", type(transform).from_config(transform.get_config()))
    with tf.GradientTape(persistent=True) as tape:
        rows = layer(IDS)
        looked_up = tf.reduce_sum(rows * tf.range(8.0))
        gathered = tf.reduce_sum(tf.gather(layer.embeddings, IDS) * tf.range(8.0))
    np.testing.assert_allclose(rows, tf.gather(layer.embeddings, IDS), atol=1e-7)
    sparse = tape.gradient(looked_up, layer.layer.embeddings)
    dense = tape.gradient(gathered, layer.layer.embeddings)
    assert isinstance(sparse, tf.IndexedSlices)
    np.testing.assert_allclose(tf.convert_to_tensor(sparse), tf.convert_to_tensor(dense), atol=1e-6)


def test_mixed_precision_looks_up_the_ids_that_it_is_given():
    policy = keras.mixed_precision.Policy("mixed_float16")
    inner = keras.layers.Embedding(20_000, 2, dtype=policy)
    layer = Compressed(inner, {"embeddings": [FakeQuantizer(8, 0)]}, dtype=policy)
    rows = layer(tf.constant([19_999.0, 2049.0]))
    assert rows.dtype == tf.float16
    expected = tf.cast(tf.gather(layer.effective("embeddings"), [19_999, 2049]), tf.float16)
    np.testing.assert_array_equal(rows, expected)


def test_masks_come_before_quantizers_in_whatever_order_they_are_added():
    layer = Compressed(keras.layers.Dense(8), {})
    layer.build((None, 12))
    layer.add_transform("kernel", FakeQuantizer(4))
    layer.add_transform("kernel", Mask(0.5))
    assert [type(t) for t in layer.transforms["kernel"]] == [Mask, FakeQuantizer]


def test_attributes_are_those_of_the_layer_inside_and_unknown_ones_are_errors():
    layer = Compressed(keras.layers.Dense(8, activation="relu"), {"kernel": [FakeQuantizer(8)]})
    layer.build((None, 12))
    assert layer.units == 8
    assert layer.bias is layer.layer.bias
    with pytest.raises(AttributeError, match="nothing"):
        _ = layer.nothing
    assert not hasattr(layer, "_nothing")


def test_the_layer_inside_still_holds_its_variables_after_a_failing_call():
    layer = Compressed(keras.layers.Dense(8), {"kernel": [FakeQuantizer(8)]})
    layer(tf.ones((1, 12)))
    with pytest.raises(Exception, match="(?i)incompatible|shape|size"):
        layer(tf.ones((1, 11)))
    assert isinstance(vars(layer.layer)["kernel"], tf.Variable)


@pytest.mark.parametrize("calls", [1, 3])
def test_a_layer_called_several_times_in_a_step_takes_one_step(calls):
    inputs = keras.Input((6,))
    shared = keras.layers.Dense(6)
    outputs = inputs
    for _ in range(calls):
        outputs = shared(outputs)
    schedule = tfc.ConstantSparsity(begin_step=100)
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.5, schedule=schedule))])
    student = tfc.apply(keras.Model(inputs, outputs), spec)
    student.compile("sgd", "mse")
    student.fit(tf.ones((20, 6)), tf.ones((20, 6)), batch_size=4, epochs=2, verbose=0)
    (step,) = [w for w in student.non_trainable_weights if w.dtype == tf.int64]
    assert int(step) == 10


@pytest.mark.parametrize(
    "how",
    [{}, {"steps_per_execution": 4}, {"jit_compile": True}, {"run_eagerly": True}],
    ids=str,
)
def test_steps_are_counted_however_keras_runs_them(how):
    model = keras.Sequential([keras.layers.Dense(6, input_shape=(6,))])
    schedule = tfc.ConstantSparsity(begin_step=100)
    rule = tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.5, schedule=schedule))
    student = tfc.apply(model, tfc.Spec([rule]))
    for _ in range(2):
        student.compile("sgd", "mse", **how)
        student.fit(tf.ones((16, 6)), tf.ones((16, 6)), batch_size=2, verbose=0)
    (step,) = [w for w in student.non_trainable_weights if w.dtype == tf.int64]
    assert int(step) == 16


# --- factorized ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 12), (2, 3, 12)])
def test_a_factorized_dense_layer_computes_with_its_product(shape):
    layer = FactorizedDense(8, rank=3, activation="relu")
    x = RNG.normal(size=shape).astype(np.float32)
    outputs = layer(x)
    layer.bias.assign(tf.range(8.0) - 4)
    outputs = layer(x)
    product = layer.left.numpy() @ layer.right.numpy()
    np.testing.assert_allclose(layer.kernel, product, rtol=1e-5)
    expected = np.maximum(x @ product + np.arange(8) - 4, 0)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    assert layer.compute_output_shape(x.shape) == outputs.shape
    assert FactorizedDense(8, 3, use_bias=False)(x).shape == outputs.shape


def test_a_factorized_table_looks_up_scores_and_masks():
    layer = FactorizedEmbedding(12, 8, rank=3, mask_zero=True)
    rows = layer(IDS)
    table = layer.left.numpy() @ layer.right.numpy()
    np.testing.assert_allclose(rows, table[IDS.numpy()], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer.embeddings, table, rtol=1e-4, atol=1e-6)
    vectors = RNG.normal(size=(5, 8)).astype(np.float32)
    np.testing.assert_allclose(layer.scores(vectors), vectors @ table.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer.compute_mask(IDS), IDS.numpy() != 0)
    assert FactorizedEmbedding(12, 8, 3).compute_mask(IDS) is None
    assert layer(tf.cast(IDS, tf.float32)).shape == layer.compute_output_shape(IDS.shape)


@pytest.mark.parametrize("technique", [tfc.Factorize(3), tfc.Quantize(4), tfc.Prune(0.5), None])
def test_scores_are_those_of_the_table_as_it_is(technique):
    model = keras.Sequential([keras.layers.Embedding(12, 8, input_length=3, name="table")])
    if technique is not None:
        model = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("table"), technique)]))
    if technique == tfc.Factorize(3):
        quantize = tfc.rule(tfc.by_name("table"), tfc.Quantize(8))
        model = tfc.apply(model, tfc.Spec([quantize]))
    table = model.layers[0]
    vectors = RNG.normal(size=(5, 8)).astype(np.float32)
    expected = vectors @ np.array(table.embeddings).T
    np.testing.assert_allclose(tfc.scores(vectors, table), expected, rtol=1e-4, atol=1e-5)


# --- declared weights ---------------------------------------------------------------------------


class TwoKernels(keras.layers.Layer):
    """A layer of the user's own, with weights to declare."""

    def build(self, input_shape: Any) -> None:
        self.into = self.add_weight(name="into", shape=(input_shape[-1], 4))
        self.out = self.add_weight(name="out", shape=(4, 8))

    def call(self, inputs: Any) -> Any:
        return inputs @ self.into @ self.out


def test_a_layer_of_the_users_own_is_compressed_once_it_declares_its_weights():
    tfc.register_weights(TwoKernels, into=1, out=1)
    model = keras.Sequential([keras.Input((12,)), TwoKernels(name="own")])
    rule = tfc.rule(tfc.by_type(TwoKernels), tfc.Prune(0.5), tfc.Quantize(4))
    student = tfc.apply(model, tfc.Spec([rule]))
    own = student.layers[0]
    assert (own.into.numpy() == 0).mean() >= 0.5
    x = RNG.normal(size=(2, 12)).astype(np.float32)
    np.testing.assert_allclose(student(x), x @ own.into.numpy() @ own.out.numpy(), atol=1e-5)


@pytest.mark.parametrize("axes", [{}, {"kernel": -1}, {"kernel": ()}, {"kernel": "out"}])
def test_a_declaration_without_sense_is_refused(axes):
    with pytest.raises(tfc.SpecError, match="register_weights received .* expected"):
        tfc.register_weights(TwoKernels, **axes)
