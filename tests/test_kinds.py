"""What is declared of Keras's layers: channels, operators, how often a weight is used."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras as keras

import tfcompress as tfc
from tfcompress.export.find import Stored, find_owner
from tfcompress.export.folded import with_scales_as_folded
from tfcompress.layers import FakeQuantizer, HalfPrecision, weight_roles
from tfcompress.layers.positions import positions
from tfcompress.measure import WeightForm
from tfcompress.techniques.storable import refusal

layers = keras.layers
RNG = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("equation", "axis", "operator"),
    [
        ("abc,cd->abd", 1, "FULLY_CONNECTED"),
        ("abc,dc->abd", 0, "FULLY_CONNECTED"),
        ("abc,cde->abde", (1, 2), "FULLY_CONNECTED"),
        ("abcd,cde->abe", 2, "FULLY_CONNECTED"),
        ("abc,bcd->abd", 2, "BATCH_MATMUL"),
        ("...x,xy->...y", 1, "FULLY_CONNECTED"),
        ("abc,c->ab", None, "FULLY_CONNECTED"),
    ],
)
def test_channels_of_an_einsum_are_what_only_its_output_shares(equation, axis, operator):
    layer = layers.EinsumDense(equation, output_shape=(1,))
    (role,) = weight_roles(layer)
    assert (role.channel_axis, role.operator, role.lookup) == (axis, operator, False)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (layers.Dense(4), (7, 3), 7),
        (layers.Conv2D(4, 3, padding="same", strides=2), (9, 7, 3), 5 * 4),
        (layers.Conv2D(4, 3), (9, None, 3), 7),
        (layers.Conv1D(4, 3, padding="causal"), (9, 3), 9),
        (layers.DepthwiseConv2D(3), (9, 7, 3), 7 * 5),
        (layers.SeparableConv2D(4, 3), (9, 7, 3), 7 * 5),
        (layers.Conv2DTranspose(4, 3, strides=2), (5, 6, 3), 30),
        (layers.EinsumDense("abc,cde->abde", (None, 2, 4)), (7, 3), 7),
        (layers.EinsumDense("abcd,cde->abe", (None, 4)), (7, 2, 3), 7),
        (layers.GRU(4), (7, 3), 7),
        (layers.Bidirectional(layers.LSTM(4)), (7, 3), 7),
        (layers.LSTM(4), (None, 3), 1),
    ],
)
def test_a_weight_is_used_at_each_place(layer, shape, expected):
    layer(keras.Input(shape))
    assert positions(layer) == expected


def test_a_layer_that_was_never_called_is_used_once():
    layer = layers.Conv2D(4, 3)
    layer.build((None, 9, 9, 3))
    assert positions(layer) == 1


def test_time_distributed_multiplies_what_is_in_it():
    model = keras.Sequential(
        [keras.Input((5, 6, 6, 2)), layers.TimeDistributed(layers.Conv2D(3, 2))]
    )
    rows = tfc.plan(model, tfc.Spec([tfc.rule(tfc.by_type("Conv2D"), tfc.Prune(0.5))])).layers
    (row,) = [row for row in rows if row.steps]
    assert row.before.multiply_adds == 5 * (5 * 5) * (2 * 2 * 2 * 3) == row.after.multiply_adds


@pytest.mark.parametrize(
    ("operator", "grid", "reason"),
    [
        ("TRANSPOSE_CONV", FakeQuantizer(4, 2), "TRANSPOSE_CONV in 8 or 16 bits, not 4"),
        ("CONV_2D", FakeQuantizer(2, 3), "in 4 or 8 or 16 bits, not 2"),
        ("CONV_2D", FakeQuantizer(4, 3, block=32), "without scales for blocks"),
        ("CONV_2D in groups", FakeQuantizer(8), "a scale for each channel only"),
        ("DEPTHWISE_CONV_2D", FakeQuantizer(4, (2, 3)), "in 8 or 16 bits, not 4"),
        ("DEPTHWISE_CONV_2D", FakeQuantizer(3, (2, 3)), "in 8 or 16 bits, not 3"),
        ("BATCH_MATMUL", HalfPrecision(2), "in 8 bits, not 16"),
        ("DEPTHWISE_CONV_2D", FakeQuantizer(8), "a scale for each channel only"),
        ("BATCH_MATMUL", FakeQuantizer(4, 2), "in 8 bits, not 4"),
        ("WHILE that returns sequences", FakeQuantizer(8, 1), "unroll=True"),
    ],
)
def test_what_cannot_be_stored_is_named(operator, grid, reason):
    weight = WeightForm("kernel", (3, 3, 8, 8), 3, operator=operator)
    assert reason in (refusal(weight, grid) or "")
    assert refusal(WeightForm("kernel", (8, 8), 1), grid) is None


@pytest.mark.parametrize("operator", ["FULLY_CONNECTED", "EMBEDDING_LOOKUP"])
def test_blocks_are_stored_in_4_bits_only(operator):
    weight = WeightForm("kernel", (64, 64), 0, operator=operator)
    assert "blocks in 4 bits only, not 8" in (refusal(weight, FakeQuantizer(8, 0, 32)) or "")
    assert refusal(weight, FakeQuantizer(3, 0, 32)) is None


def test_channels_that_a_weight_does_not_have_are_an_error_in_plan():
    class Wrong(layers.Dense):
        pass

    tfc.register_weights(Wrong, kernel=3)
    model = keras.Sequential([Wrong(4, input_shape=(3,), name="wrong")])
    spec = tfc.Spec([tfc.rule(tfc.by_type("Wrong"), tfc.Prune(0.5))])
    with pytest.raises(
        tfc.SpecError, match="'kernel' with the channel axis 3.*shape .3, 4.; expected"
    ):
        tfc.plan(model, spec)


# --- finding a weight in the graph ----------------------------------------------------------------


def stored(shape, axis, quantized=True):
    value = RNG.normal(size=shape).astype(np.float32)
    grid = FakeQuantizer(8, axis if quantized else None)
    return Stored("layer.kernel", value, grid, axis)


def test_the_converters_layouts_are_found():
    conv, depthwise = stored((2, 3, 4, 8), 3), stored((2, 3, 4, 2), (2, 3))
    dense, table = stored((6, 8), 1), stored((9, 4), 0)
    weights = [conv, depthwise, dense, table]
    assert find_owner(conv.value.transpose(3, 0, 1, 2), weights) == 0
    assert find_owner(depthwise.value.reshape(1, 2, 3, 8), weights) == 1
    assert find_owner(dense.value.T, weights) == 2
    assert find_owner(table.value, weights) == 3
    assert find_owner(RNG.normal(size=(8, 6)).astype(np.float32), weights) is None
    assert find_owner(np.zeros((8, 6), np.float32), weights) is None


def test_a_factor_for_each_channel_is_followed_only_where_channels_have_scales():
    factors = RNG.uniform(0.5, 2, (8, 1, 1, 1)).astype(np.float32)
    for quantized, expected in ((True, 0), (False, None)):
        conv = stored((2, 3, 4, 8), 3, quantized)
        assert find_owner(conv.value.transpose(3, 0, 1, 2) * factors, [conv]) == expected
        assert find_owner(conv.value.transpose(3, 0, 1, 2) * np.float32(1.5), [conv]) == 0
    thin = stored((1, 8), 1)  # of one number, any other is a multiple
    assert find_owner(RNG.normal(size=(8, 1)).astype(np.float32), [thin]) is None


def test_one_scale_becomes_one_for_each_channel_where_these_are_multiplied():
    factors = RNG.uniform(0.5, 2, (8, 1, 1, 1)).astype(np.float32)
    weights = [stored((2, 3, 4, 8), 3, quantized=False), stored((6, 8), 1, quantized=False)]
    turned = weights[0].value.transpose(3, 0, 1, 2)
    conv, dense = with_scales_as_folded(weights, [turned * factors, weights[1].value.T * 2])
    assert (conv.quantizer.channel_axis, dense) == (3, weights[1])
    assert find_owner(turned * factors, [conv]) == 0
    assert with_scales_as_folded(weights, [turned, turned * 3]) == weights


# --- a recurrent layer in a file -------------------------------------------------------------------


def test_an_exported_lstm_begins_each_call_with_zeros(tmp_path):
    model = keras.Sequential([keras.Input((3, 8)), layers.LSTM(8)])
    made = tfc.export(model, tmp_path / "m")
    lite = tfc.LiteModel(made.model)
    x = RNG.normal(size=(1, 3, 8)).astype(np.float32)
    signature = model.inputs[0].name.split(":")[0]
    outputs = [lite.run("serve", {signature: x})["output"] for _ in range(3)]
    for output in outputs:
        np.testing.assert_allclose(output, model(x), atol=1e-5)
