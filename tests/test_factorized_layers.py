"""Factorized EinsumDense and Conv2D layers compute what Keras's do with the product's kernel."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from tfcompress.layers import FactorizedConv2D, FactorizedEinsumDense
from tfcompress.layers.einsum import Equation

RNG = np.random.default_rng(0)
NAMED = tfc.by_name("layer")


def factorized(layer, x, *techniques):
    """A model of one layer, the layer that Factorize puts in its place, and its row of the plan."""
    layer._name = "layer"
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    for variable in model.variables:
        variable.assign(RNG.normal(size=variable.shape) / np.sqrt(np.prod(variable.shape[:-1])))
    spec = tfc.Spec([tfc.rule(NAMED, *techniques)])
    (row,) = tfc.plan(model, spec).layers
    return model, tfc.apply(model, spec), row


def with_kernel(layer, new):
    """Keras's layer of the same settings, with the kernel that the factors stand for."""
    again = type(layer).from_config(layer.get_config())
    again.build(layer._build_input_shape if hasattr(layer, "_build_input_shape") else None)
    again.kernel.assign(new.kernel)
    if again.bias is not None:
        again.bias.assign(layer.bias)
    return again


# --- einsum -------------------------------------------------------------------------------------

EQUATIONS = [
    ("abc,cde->abde", (None, 3, 4), "de", (5, 8)),  # a query
    ("abcd,cde->abe", (None, 8), "e", (5, 3, 6)),  # an output projection
    ("abcd,cde->abe", (None, 8), None, (5, 3, 6)),
    ("...x,xy->...y", 8, "y", (2, 3, 9)),
    ("ab...,bc->ac...", (8, 6), None, (9, 6)),
    ("abc,dec->adeb", (4, 3, 5), "de", (5, 8)),  # kernel and outputs in orders of their own
]


@pytest.mark.parametrize(("equation", "shape", "bias", "inputs"), EQUATIONS)
@pytest.mark.parametrize("rank", [1, 3])
def test_einsum_computes_with_the_kernel_of_its_factors(equation, shape, bias, inputs, rank):
    x = RNG.normal(size=(2, *inputs)).astype(np.float32)
    layer = keras.layers.EinsumDense(equation, shape, bias_axes=bias, activation="tanh")
    model, student, row = factorized(layer, x, tfc.Factorize(rank))
    new = student.layers[-1]
    assert isinstance(new, FactorizedEinsumDense)
    assert new.kernel.shape == layer.kernel.shape
    np.testing.assert_allclose(student(x), with_kernel(layer, new)(x), rtol=1e-4, atol=1e-5)
    # The kernel as a matrix is the best of its rank.
    one = Equation.of(equation)
    u, s, v = np.linalg.svd(one.matrix(layer.kernel.numpy()), full_matrices=False)
    best = (u[:, :rank] * s[:rank]) @ v[:rank]
    np.testing.assert_allclose(one.matrix(new.kernel.numpy()), best, atol=1e-5)
    assert row.after.parameters == student.count_params() < model.count_params()
    assert row.after.bytes < row.before.bytes


def test_an_einsum_with_a_matrix_for_each_of_many_places_is_skipped():
    x = RNG.normal(size=(2, 3, 8)).astype(np.float32)
    layer = keras.layers.EinsumDense("abc,bcd->abd", (3, 8))
    _, _, row = factorized(layer, x, tfc.Factorize(2))
    assert row.skipped == (
        "Factorize: its equation abc,bcd->abd has a matrix of its own for each b, and not one for all",
    )


def test_einsum_needs_another_letter_where_capitals_are_taken():
    assert Equation.of("Abc,cB->AbB").steps == ("Abc,cC->AbC", "AbC,CB->AbB")


def test_the_projections_of_an_attention_are_factorized():
    inputs = keras.Input((5, 16))
    attention = keras.layers.MultiHeadAttention(2, 8, name="attention")
    model = keras.Model(inputs, attention(inputs, inputs))
    x = RNG.normal(size=(2, 5, 16)).astype(np.float32)
    spec = tfc.Spec([tfc.rule(tfc.by_type("EinsumDense"), tfc.Factorize(3))])
    planned = tfc.plan(model, spec)
    done = [row.path for row in planned.layers if row.steps]
    assert len(done) == 4
    student = tfc.apply(model, spec)
    assert student.count_params() == 4 * (3 * 32 + 16)
    student.compile("adam", "mse")
    student.fit(x, x, verbose=0)
    assert np.isfinite(student(x)).all()


# --- convolutions -------------------------------------------------------------------------------

SETTINGS = [
    {"strides": strides, "padding": padding, "dilation_rate": dilation}
    for strides, padding, dilation in itertools.product(
        [1, 2, (2, 1)], ["same", "valid"], [1, 2, (1, 2)]
    )
    if strides == 1 or dilation == 1  # Keras has no strides together with dilation
]


@pytest.mark.parametrize("conv", [tfc.Channelwise(), tfc.Spatial()], ids=repr)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_two_convolutions_are_one_with_the_kernel_of_their_factors(conv, settings):
    x = RNG.normal(size=(2, 9, 10, 4)).astype(np.float32)
    layer = keras.layers.Conv2D(12, (3, 5), activation="relu", **settings)
    model, student, row = factorized(layer, x, tfc.Factorize(3, conv))
    new = student.layers[-1]
    assert isinstance(new, FactorizedConv2D)
    expected = with_kernel(layer, new)(x)
    np.testing.assert_allclose(student(x), expected, rtol=1e-4, atol=1e-5)
    assert new.compute_output_shape(x.shape) == expected.shape
    assert row.after.parameters == student.count_params() < model.count_params()


@pytest.mark.parametrize("size", [(3, 3), (1, 3), (3, 1), (1, 1)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("conv", [tfc.Channelwise(), tfc.Spatial()], ids=repr)
def test_the_kernel_of_the_factors_is_the_best_of_its_rank(size, bias, conv):
    x = RNG.normal(size=(2, 6, 6, 16)).astype(np.float32)
    layer = keras.layers.Conv2D(18, size, use_bias=bias)
    _, student, _ = factorized(layer, x, tfc.Factorize(4, conv))
    new = student.layers[-1]
    u, s, v = np.linalg.svd(conv.matrix(layer.kernel.numpy()), full_matrices=False)
    best = (u[:, :4] * s[:4]) @ v[:4]
    np.testing.assert_allclose(conv.matrix(new.kernel.numpy()), best, atol=1e-5)
    assert new.use_bias == bias
    np.testing.assert_allclose(student(x), with_kernel(layer, new)(x), rtol=1e-4, atol=1e-5)


SKIPPED = [
    ({"groups": 2}, "its 2 groups have kernels of their own"),
    ({"data_format": "channels_first"}, "data format is channels_first"),
    ({"kernel_regularizer": "l2"}, "it has a kernel_regularizer"),
]


@pytest.mark.parametrize(("settings", "reason"), SKIPPED, ids=str)
def test_a_convolution_that_factors_cannot_stand_for_is_skipped(settings, reason):
    layer = keras.layers.Conv2D(4, 3, padding="same", **settings)
    model = keras.Sequential([keras.Input((4, 4, 4)), layer])
    spec = tfc.Spec([tfc.rule(tfc.by_type("Conv2D"), tfc.Factorize(1))])
    assert reason in tfc.plan(model, spec).layers[0].skipped[0]
    try:
        model(np.zeros((2, 4, 4, 4), np.float32))
    except tf.errors.UnimplementedError:
        pytest.skip("TensorFlow has no convolution of channels that come first on this CPU")
    assert tfc.apply(model, spec).count_params() == model.count_params()


def test_a_convolution_that_would_not_be_smaller_is_skipped():
    x = RNG.normal(size=(2, 4, 4, 4)).astype(np.float32)
    _, _, row = factorized(keras.layers.Conv2D(8, 3), x, tfc.Factorize(7))
    assert row.skipped == ("Factorize: rank 7 of a 36x8 matrix would not be smaller",)


CASES = [
    (lambda: keras.layers.Conv2D(12, 3, strides=2), (8, 8, 6), tfc.Factorize(3, tfc.Spatial())),
    (lambda: keras.layers.Conv2D(12, 3, padding="same"), (8, 8, 6), tfc.Factorize(3)),
    (
        lambda: keras.layers.EinsumDense("abc,cde->abde", (None, 3, 4), bias_axes="de"),
        (5, 8),
        tfc.Factorize(2),
    ),
]


@pytest.mark.parametrize(("make", "shape", "technique"), CASES)
@pytest.mark.parametrize("more", [(), (tfc.Prune(0.5),), (tfc.Quantize(8),)], ids=str)
def test_factorized_layers_train_are_compressed_further_and_survive_saving(
    make, shape, technique, more, tmp_path
):
    x = RNG.normal(size=(4, *shape)).astype(np.float32)
    _, student, row = factorized(make(), x, technique, *more)
    assert len(row.steps) == 1 + len(more)
    y = np.zeros_like(student(x))
    student.compile("adam", "mse")
    student.fit(x, y, verbose=0)
    student.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(x), student(x))
    held = student.layers[-1]
    config = keras.layers.serialize(held)
    assert keras.layers.deserialize(config).get_config() == held.get_config()
    assert held.kernel.shape == make()(x[:1]).shape[-1:] or tf.is_tensor(held.kernel)
