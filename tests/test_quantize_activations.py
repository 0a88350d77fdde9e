"""QuantizeActivations: what it refuses, where it rounds, and what its errors say."""

import numpy as np
import pytest

import tfcompress as tfc
from tests.integer_models import MODELS, exported, inputs_of, student_of
from tfcompress.keras import keras, tf
from tfcompress.layers import FakeQuantizer, Integer
from tfcompress.layers.integer import INPUTS

BOTH = (tfc.Quantize(8), tfc.QuantizeActivations())


def skipped(layer, shape, *techniques):
    model = keras.Sequential([keras.Input(shape), layer])
    kind = type(layer).__name__
    planned = tfc.plan(model, tfc.Spec([tfc.rule(tfc.by_type(kind), *techniques)]))
    return "; ".join(next(row for row in planned.layers if row.before.kind == kind).skipped)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.QuantizeActivations(bits=4), "received bits=4; expected 8, or 32"),
        (lambda: tfc.QuantizeActivations(observer="max"), "observer='max'; expected MovingAverage"),
    ],
)
def test_fields_are_checked(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()


def test_what_litert_does_not_compute_in_integers_is_skipped_with_the_reason():
    layers, integers = keras.layers, tfc.QuantizeActivations()
    assert "in float32" in skipped(layers.Dense(4), (8,), integers)
    assert "of 2 bits" in skipped(layers.Dense(4), (8,), tfc.Quantize(2), integers)
    blocks = tfc.Quantize(4, tfc.PerBlock(32))
    assert "a scale for each block" in skipped(layers.Dense(4), (32,), blocks, integers)
    heads = layers.EinsumDense("abc,bcd->abd", (3, 32))
    assert "BATCH_MATMUL does not compute" in skipped(heads, (3, 32), *BOTH)
    assert "activations of GRU stay float" in skipped(layers.GRU(4), (3, 8), *BOTH)


def test_a_subclass_has_a_call_of_its_own_and_is_skipped():
    class Mine(keras.layers.Dense):
        pass

    assert "activations of Mine stay float" in skipped(Mine(4), (8,), *BOTH)


def test_nothing_is_rounded_twice_where_a_graph_says_so():
    places = {
        name: [one.places for one in student_of(MODELS[name]).layers if isinstance(one, Integer)]
        for name in ("mlp", "mlp with gelu", "cnn with batch normalization")
    }
    both, outputs = ("inputs", "outputs"), ("outputs",)
    assert places["mlp"] == [both, outputs, outputs]
    assert places["mlp with gelu"] == [both, both]  # the gelu between them is computed in floats
    folded = [("inputs",), outputs, (), outputs, both]
    assert places["cnn with batch normalization"] == folded


def test_ranges_stand_in_inference_and_move_in_training():
    small = MODELS["mlp"]
    student = tfc.observe(student_of(small), [inputs_of(small)])
    before = student.layers[0].ranges
    student(100 * inputs_of(small))
    assert student.layers[0].ranges == before
    student(100 * inputs_of(small), training=True)
    assert student.layers[0].ranges["inputs"][1] > before["inputs"][1]


def test_observing_needs_batches_and_layers_with_ranges():
    small = MODELS["mlp"]
    with pytest.raises(tfc.SpecError, match="observe received no batches"):
        tfc.observe(student_of(small), [])
    with pytest.raises(tfc.SpecError, match="no layer has ranges"):
        tfc.observe(small.build(), [inputs_of(small)])


def test_a_model_that_saw_nothing_is_no_file(tmp_path):
    small = MODELS["mlp"]
    with pytest.raises(tfc.ExportError, match="no range was found.*tfcompress.observe"):
        exported(small, student_of(small), tmp_path / "m")
    assert not (tmp_path / "m").exists()


def planned(small, *extra):
    kernels = tfc.by_type("Conv2D") | tfc.by_type("DepthwiseConv2D") | tfc.by_type("Dense")
    rules = [tfc.rule(kernels, *BOTH), *(tfc.rule(where, BOTH[1]) for where in extra)]
    model, spec = small.build(), tfc.Spec(rules)
    return model, spec, {row.before.kind: row for row in tfc.plan(model, spec).layers}


def test_a_layer_whose_operator_ends_where_nothing_rounds_is_skipped_in_plan(tmp_path):
    small = MODELS["cnn with batch normalization"]
    model, spec, rows = planned(small)
    # What the convolution's ReLU puts out is an input of the other, which then rounds nothing.
    for kind in ("Conv2D", "DepthwiseConv2D"):
        assert (
            "'re_lu" in rows[kind].skipped[0] and "QuantizeActivations too" in rows[kind].skipped[0]
        )
        assert rows[kind].steps == (BOTH[0],)
    assert rows["Dense"].steps == BOTH
    student = tfc.observe(tfc.apply(model, spec), [inputs_of(small)])
    exported(small, student, tmp_path / "m")
    assert not any(
        row.skipped for row in planned(small, tfc.by_type("ReLU"))[2].values() if row.steps
    )


def test_the_next_layer_that_rounds_its_inputs_is_enough_and_two_readers_fold_nothing():
    image = keras.Input((4, 4, 2))
    first, second = (keras.layers.Conv2D(2, 2, padding="same") for _ in range(2))
    relu, other = keras.layers.ReLU(), keras.layers.ReLU()
    chain = keras.Model(image, second(keras.layers.Dropout(0.1)(relu(first(image)))))
    twice = keras.Model(image, relu(hidden := first(image)) + other(hidden))
    for model in (chain, twice):
        student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Conv2D"), *BOTH)]))
        rounded = [layer for layer in student.layers if isinstance(layer, Integer)]
        assert len(rounded) == sum(isinstance(x, keras.layers.Conv2D) for x in model.layers)
    assert [set(one.ranges) for one in rounded] == [{"inputs", "outputs"}]


def test_an_operator_whose_outputs_have_no_range_is_refused(tmp_path):
    small = MODELS["mlp"]
    model = small.build()
    grids = {"kernel": [FakeQuantizer(8, 1)]}
    layers = [Integer(layer, grids, tfc.MinMax(), (INPUTS,)) for layer in model.layers[-1:]]
    student = keras.Sequential([keras.Input(small.shape), *model.layers[:-1], *layers])
    tfc.observe(student, [inputs_of(small)])
    with pytest.raises(tfc.ExportError, match="outputs of its FULLY_CONNECTED have no range"):
        exported(small, student, tmp_path / "m")


def test_mixed_precision_rounds_in_float32():
    layer = Integer(keras.layers.Dense(2, dtype="mixed_float16"), {}, tfc.MinMax())
    assert layer(tf.ones((1, 3)), training=True).dtype == tf.float16
    assert layer.ranges["inputs"] == (0.0, 1.0)


def test_replicas_of_a_strategy_share_what_is_saved(strategy):
    with strategy.scope():
        small = MODELS["mlp"]
        student = student_of(small)
        student.compile("sgd", "mse")
    student.fit(inputs_of(small), np.zeros((32, 3), np.float32), batch_size=8, verbose=0)
    low, high = student.layers[0].ranges["inputs"]
    assert low < 0.0 < high
