"""The laws of docs/design.md, held against every kind of layer whose weights are declared."""

from __future__ import annotations

import functools
from typing import Any

import layer_kinds
import numpy as np
import pytest
import tf_keras as keras
from layer_kinds import KINDS, inputs_of

import tfcompress as tfc
from tfcompress.export.find import stored_weights
from tfcompress.layers import Compressed, weights
from tfcompress.surgery import walk

PRUNE, QUANTIZE = tfc.Prune(0.5, (2, 1)), tfc.Quantize(8)
INSIDE_OTHERS = {"SimpleRNNCell", "GRUCell", "LSTMCell", "RNN"}  # reached through their layers

# Dense and Embedding are held to the laws in every kind of model, in test_laws.py.
every_kind = pytest.mark.parametrize("name", [n for n in KINDS if n not in ("Dense", "Embedding")])


@functools.cache
def built(name: str) -> Any:
    return KINDS[name].build()


def spec_for(name: str, *techniques: Any) -> tfc.Spec:
    return tfc.Spec([tfc.rule(tfc.by_type(KINDS[name].where), *techniques)])


def compressed_layers(model: Any) -> list[Any]:
    return [held.layer for held in walk(model) if isinstance(held.layer, Compressed)]


def read(layer: Any, path: str) -> Any:
    return np.asarray(functools.reduce(getattr, path.split("."), layer))


def trained(name: str, *techniques: Any) -> Any:
    student = tfc.apply(built(name), spec_for(name, *techniques))
    x = inputs_of(student)
    student.compile(keras.optimizers.SGD(0.01), "mse")
    student.fit(x, np.asarray(built(name)(x)) * 0.5, verbose=0)
    return student


def test_every_declared_layer_is_under_contract():
    known = {cls.__name__ for cls in weights._ROLES if cls.__module__.startswith("tf_keras")}
    assert known - INSIDE_OTHERS <= set(KINDS)


@every_kind
def test_laws_1_and_5_a_copy_is_changed_and_a_neutral_setting_changes_nothing(name):
    model = built(name)
    x, before = inputs_of(model), [np.array(w) for w in model.get_weights()]
    outputs = np.asarray(model(x))
    neutral = tfc.apply(model, spec_for(name, tfc.Prune(0.0), tfc.Quantize(32)))
    np.testing.assert_array_equal(neutral(x), outputs)
    student = tfc.apply(model, spec_for(name, PRUNE))
    for variable in student.variables:
        variable.assign(variable * 0)
    assert all(map(np.array_equal, model.get_weights(), before))
    np.testing.assert_array_equal(model(x), outputs)


@every_kind
def test_law_2_every_layer_is_done_or_skipped_with_a_reason(name):
    planned = tfc.plan(built(name), spec_for(name, PRUNE, QUANTIZE)).layers
    matched = [row for row in planned if row.steps]
    assert matched and all(row.steps or row.skipped for row in planned)
    for row in matched:
        assert [step for step in row.steps if isinstance(step, tfc.Prune)]
        stored = any(isinstance(step, tfc.Quantize) for step in row.steps)
        assert stored == (not any("Quantize: " in reason for reason in row.skipped))
        assert {weight.name for weight in row.before.weights} == set(KINDS[name].weights)


@every_kind
def test_laws_4_and_8_a_trained_model_survives_saving_and_its_weights_are_the_compressed(
    name, tmp_path
):
    student = trained(name, PRUNE, QUANTIZE)
    x = inputs_of(student, seed=2)
    student.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), student(x))
    assert all(map(np.array_equal, loaded.get_weights(), student.get_weights()))
    final = tfc.finalize(student)
    assert not compressed_layers(final)
    np.testing.assert_allclose(final(x), student(x), rtol=1e-4, atol=1e-5)
    assert compressed_layers(student)
    for layer in compressed_layers(student):
        for weight in KINDS[name].weights:
            value = read(layer, weight)
            np.testing.assert_array_equal(value, layer.effective(weight))
            assert (value == 0).mean() >= 0.4


@every_kind
def test_law_6_the_order_makes_no_difference(name):
    x = inputs_of(built(name))
    once = tfc.apply(built(name), spec_for(name, PRUNE, QUANTIZE))
    quantized = tfc.apply(built(name), spec_for(name, QUANTIZE))
    twice = tfc.apply(quantized, spec_for(name, PRUNE))
    np.testing.assert_array_equal(twice(x), once(x))


@every_kind
def test_law_7_what_training_saw_is_what_ships(name, tmp_path):
    kind, student = KINDS[name], trained(name, PRUNE, QUANTIZE)
    made = tfc.export(student, tmp_path / "m", tolerance=0.03)
    assert bool(stored_weights(student)) == kind.stored
    planned = tfc.plan(student, spec_for(name, tfc.Prune(0.0))).layers
    if stored_weights(student):
        assert made.report["sizes"]["weights"] < sum(row.before.bytes for row in planned) + 400
    if kind.counted:
        counted = sum(row.before.multiply_adds for row in planned)
        assert made.report["multiply_adds"] == {"serve": counted}


@every_kind
def test_law_7_float16_ships_to_the_last_bit_but_sums(name, tmp_path):
    student = trained(name, tfc.Quantize(16))
    made = tfc.export(student, tmp_path / "m", tolerance=1e-4)
    asked = [w for held in compressed_layers(student) for w in held.transforms]
    assert bool(asked) == ("DEQUANTIZE" in made.report["operators"])
    assert len(stored_weights(student)) == len(asked)


class Late(keras.Model):
    """Layers that make their own layers when they are built, in a model that Keras calls anew."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = keras.layers.MultiHeadAttention(2, 4)
        self.recurrent = keras.layers.LSTM(8)
        self.cross = layer_kinds.tfrs.layers.dcn.Cross()

    def call(self, inputs: Any) -> Any:
        return self.cross(self.recurrent(self.attention(inputs, inputs)))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


layer_kinds.register(Late)


def test_law_4_layers_that_are_made_late_survive_saving(tmp_path):
    model, x = Late(), np.random.default_rng(0).normal(size=(2, 3, 8)).astype(np.float32)
    model(x)
    rule = tfc.rule(tfc.by_size(1) & ~tfc.by_name("attention._key_dense"), PRUNE, QUANTIZE)
    student = tfc.apply(model, tfc.Spec([rule]))
    assert len(compressed_layers(student)) == 5
    student.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), student(x))


@pytest.mark.parametrize("name", ["Cross", "MultiHeadAttention"])
def test_law_4_a_loaded_model_of_such_layers_is_compressed_and_saved_twice(name, tmp_path):
    built(name).save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    student, x = tfc.apply(model, spec_for(name, PRUNE, QUANTIZE)), inputs_of(model)
    loaded = student
    for _ in range(2):
        loaded.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), student(x))
