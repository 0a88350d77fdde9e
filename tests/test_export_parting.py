"""Where a file parts from the Keras model, the error names the first layer that does."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import small_models
from layer_kinds import moved
from patched_files import broken, in_constants, turned

import tfcompress as tfc
from tfcompress.export.deviation import deviation
from tfcompress.export.exposed import Made, operator_outputs
from tfcompress.export.parting import explained
from tfcompress.export.placing import layer_answers, paired
from tfcompress.export.signature import default_signatures
from tfcompress.keras import keras, tf

DENSE = (16, 12)  # in the file: outputs first
ALL = tfc.by_type("Embedding") | tfc.by_type("Dense")


def fails(model, folder, match, **kwargs):
    with pytest.raises(tfc.ExportError, match=match):
        tfc.export(model, folder / "m", **kwargs)
    assert list(folder.iterdir()) == []


def test_the_layer_is_named_in_every_kind_of_model(family, tmp_path):
    # The subclassed model adds up what its first Dense gives of x and of -x: any kernel is right.
    # Of two linear layers the converter gives the second one the bias of both.
    shape, named = DENSE, rf"'{family.dense}' \(Dense\)"
    if family.name == "subclassed":
        shape, named = (16, 16), r"'blocks.0.steps.1' \(Dense, within it 'blocks.0.steps.0'\)"
    named = rf"The first layer that deviates is {named}: its output deviates by "
    with broken(in_constants(shape, turned)):
        fails(moved(family.build()), tmp_path, named + r"\d.* at operator \d+, FULLY_CONNECTED")


def test_it_is_named_where_weights_are_in_few_bits(tmp_path):
    spec = tfc.Spec([tfc.rule(ALL, tfc.Quantize(8))])
    with broken(in_constants(DENSE, turned)):
        student = tfc.apply(small_models.sequential(), spec)
        fails(student, tmp_path, r"is 'hidden' \(Dense\).*Layers before it that agree: 2")


def test_a_broken_table_is_named_and_where_nothing_stands_by_itself_it_is_passed_by(tmp_path):
    # BatchNormalization is folded into the kernel before it: that layer has no output in the file.
    layers = [keras.layers.Dense(12, use_bias=False, name="folded")]
    layers += [keras.layers.BatchNormalization(name="norm"), keras.layers.Dense(16, name="next")]
    model = keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(2)])
    model.get_layer("norm").moving_variance.assign([4.0] * 12)
    with broken(in_constants((16, 12), turned)):
        fails(model, tmp_path, r"is 'next' \(Dense\).*Layers before it that agree: 1")
    with broken(in_constants((12, 6), turned)):
        fails(model, tmp_path, r"is 'norm' \(BatchNormalization, within it 'folded'\)")


def test_layers_that_all_keep_to_the_tolerance_are_told_too(tmp_path):
    spec = tfc.Spec([tfc.rule(tfc.by_name("hidden"), tfc.Quantize(2))])
    model = tfc.apply(small_models.sequential(), spec)
    ends = keras.layers.Lambda(lambda x: 1000.0 * (x - tf.round(x)))
    model = keras.Sequential([model, ends])
    match = r"No layer by itself deviates|The first layer that deviates is"
    fails(model, tmp_path, match, tolerance=1e-5)


def test_a_table_that_stays_in_its_file_is_said_not_to_be_looked_into(tmp_path):
    path = tmp_path / "table.npy"
    np.save(path, np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32))
    model = keras.Sequential([keras.Input((3,), dtype="int32"), tfc.MappedEmbedding(path)])
    with pytest.raises(tfc.ExportError, match="was not looked for, because a table stays in its"):
        tfc.export(model, tmp_path / "m", tolerance=-1.0)


def test_what_fails_while_looking_does_not_hide_what_failed_first(tmp_path, monkeypatch):
    def refuses(*_):
        raise RuntimeError("no memory")

    monkeypatch.setattr(sys.modules[explained.__module__], "layer_answers", refuses)
    with broken(in_constants(DENSE, turned)):
        match = "deviates from the Keras model's by .* could not be found: RuntimeError: no memory"
        fails(small_models.sequential(), tmp_path, match)


def test_every_operator_is_heard_and_integers_are_told_as_floats(tmp_path):
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8), tfc.QuantizeActivations())])
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Dense(8, "relu", input_shape=(4,)), keras.layers.Dense(3)]
    )
    student = tfc.apply(model, spec)
    x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    tfc.observe(student, [x])
    made = tfc.export(student, tmp_path / "m")
    signatures = default_signatures(student)
    (name,) = signatures["serve"].inputs
    heard = operator_outputs(made.model.read_bytes(), "serve", {name: x[:1]})
    assert {one.operator for one in heard} == {"QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"}
    hidden, last = (one.value for one in heard if one.operator == "FULLY_CONNECTED")
    answers = layer_answers(student, signatures["serve"], {name: x[:1]})
    assert [one.kind for one in answers] == ["Dense", "Dense"]
    assert deviation(hidden, answers[0].values[0]) < 0.02
    assert deviation(last, answers[1].values[0]) < 0.02
    with pytest.raises(tfc.ExportError, match=r"no signature 'other'; expected one of \['serve'\]"):
        operator_outputs(made.model.read_bytes(), "other", {})


def test_operators_pair_off_past_those_between_floats_and_integers():
    def made(*names):
        return [Made(i, name, np.zeros((1, 2)), ()) for i, name in enumerate(names)]

    ours = made("GATHER", "ADD", "FULLY_CONNECTED")
    theirs = made("GATHER", "QUANTIZE", "ADD", "DEQUANTIZE", "FULLY_CONNECTED")
    assert paired(ours, theirs) == {0: 0, 1: 2, 2: 4}


@pytest.mark.parametrize(
    ("received", "expected", "far"),
    [([1.0, np.nan], [1.0, 2.0], np.inf), ([1.0], [1.0, 2.0], np.inf), ([0.0], [0.0], 0.0)],
)
def test_a_deviation_is_infinite_where_nothing_can_be_compared(received, expected, far):
    assert deviation(np.array(received), np.array(expected)) == far


def test_what_is_small_is_measured_by_the_size_it_has_elsewhere():
    assert deviation(np.array([1e-3]), np.array([0.0]), size=1.0) == pytest.approx(1e-3)
