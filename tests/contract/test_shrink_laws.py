"""The laws of docs/design.md on models whose graphs Shrink can follow; see also test_laws.py."""

import numpy as np
import pytest
import shrinkable
import small_models
import tensorflow as tf
import tf_keras as keras
from shrinkable import CASES

import tfcompress as tfc
from tfcompress.surgery import walk

every_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
KINDS = ("Dense", "Conv2D", "Conv1D", "SeparableConv2D", "Embedding", "GRU", "LSTM")


def spec_for(model, *techniques):
    """A rule for every kind of layer that is there, and heads."""
    types = {name for held in walk(model) for name in held.info.types}
    there = [kind for kind in (*KINDS, "MultiHeadAttention") if kind in types]
    return tfc.Spec([tfc.rule(tfc.by_type(kind), *techniques) for kind in there])


def same(first, second):
    return len(first) == len(second) and all(map(np.array_equal, first, second))


@every_case
def test_law_1_the_old_model_stays_as_it_was(case):
    model, x = shrinkable.built(case.name), case.inputs()
    weights, outputs, layers = model.get_weights(), model(x).numpy(), model.layers
    student = tfc.apply(model, spec_for(model, tfc.Shrink(0.5)))
    for variable in student.variables:
        variable.assign(tf.zeros_like(variable))
    assert same(model.get_weights(), weights)
    assert model.layers == layers
    np.testing.assert_array_equal(model(x), outputs)


@every_case
def test_law_2_every_layer_is_done_or_skipped_with_a_reason(case):
    model = shrinkable.built(case.name)
    rows = {row.path: row for row in tfc.plan(model, spec_for(model, tfc.Shrink(0.5))).layers}
    makers = {layer for group in case.makes for layer, *_ in group}
    assert {path for path, row in rows.items() if row.steps} == makers
    for row in rows.values():
        assert bool(row.steps) != bool(row.skipped)
        assert (row.after != row.before) <= bool(row.notes)
    assert "they are the outputs" in rows["head"].skipped[0] or case.name == "attention"


@every_case
def test_law_4_the_result_survives_saving(case, tmp_path):
    model = shrinkable.built(case.name)
    student = tfc.apply(model, spec_for(model, tfc.Shrink(0.5), tfc.Quantize(8)))
    student.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(case.inputs()), student(case.inputs()))


@every_case
def test_law_5_keeping_everything_changes_nothing(case):
    model, x = shrinkable.built(case.name), case.inputs()
    student = tfc.apply(model, spec_for(model, tfc.Shrink(1.0, multiple=8)))
    np.testing.assert_array_equal(student(x), model(x))
    assert same(student.get_weights(), model.get_weights())


@every_case
def test_law_6_any_order_gives_the_same(case):
    model, x = shrinkable.built(case.name), case.inputs()
    techniques = [tfc.Factorize(2), tfc.Shrink(0.5), tfc.Prune(0.5), tfc.Quantize(8)]
    first = tfc.apply(model, spec_for(model, *techniques))
    second = tfc.apply(model, spec_for(model, *reversed(techniques)))
    np.testing.assert_array_equal(first(x), second(x))
    assert same(first.get_weights(), second.get_weights())


@every_case
def test_law_6_one_after_another_gives_the_same_too(case):
    model, x = shrinkable.built(case.name), case.inputs()
    once = tfc.apply(model, spec_for(model, tfc.Shrink(0.5), tfc.Quantize(4)))
    shrunk = tfc.apply(model, spec_for(model, tfc.Shrink(0.5)))
    twice = tfc.apply(shrunk, spec_for(model, tfc.Quantize(4)))
    np.testing.assert_array_equal(once(x), twice(x))


# LiteRT's LSTM keeps its state from one call to the next, shrunk or not, and deviates by that.
EXPORTED = {name: case for name, case in CASES.items() if name != "recurrent"}


@pytest.mark.parametrize("case", EXPORTED.values(), ids=list(EXPORTED))
def test_law_7_what_was_trained_is_what_ships(case, tmp_path):
    ships_exactly(shrinkable.built(case.name), case.inputs(), tmp_path)


def test_law_7_holds_for_a_gru(tmp_path):
    layers = [keras.Input((5, 4)), keras.layers.GRU(8), keras.layers.Dense(3, name="head")]
    model = shrinkable.moved(keras.Sequential(layers))
    ships_exactly(model, shrinkable.floats(5, 4)(), tmp_path)


def ships_exactly(model, x, tmp_path):
    student = tfc.apply(model, spec_for(model, tfc.Shrink(0.5)))
    assert student.count_params() < model.count_params()
    spec = tf.TensorSpec([1, *x.shape[1:]], tf.as_dtype(x.dtype))
    serve = tfc.Signature(lambda m, x: m(x), {"x": spec})
    calls = [{"x": row[None]} for row in x]
    made = tfc.export(student, tmp_path / "m", {"serve": serve}, {"serve": calls}, tolerance=1e-4)
    lite = tfc.LiteModel(made.model)
    shipped = np.concatenate([lite.run("serve", one)["output"] for one in calls])
    np.testing.assert_allclose(shipped, student(x), rtol=1e-4, atol=1e-5)


def test_towers_in_a_recommender_are_followed_and_train(tmp_path):
    model = small_models.two_tower()
    names = tf.constant(small_models.NAMES)
    before = model.item_tower(names).numpy()
    spec = tfc.Spec([tfc.rule(tfc.by_type("Embedding"), tfc.Shrink(0.5), tfc.Quantize(8))])
    student = tfc.apply(model, spec)
    assert student.item_tower.get_layer("table").embeddings.shape == (41, 6)
    assert student.item_tower.get_layer("out").kernel.shape == (6, 16)
    student.compile(keras.optimizers.Adam(0.02))
    losses = student.fit(small_models.interactions(), epochs=3, verbose=0).history["total_loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(model.item_tower(names), before)


@keras.saving.register_keras_serializable("tests")
class HoldsATower(keras.Model):
    """A subclassed model around a network, whose output it goes on with."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tower = shrinkable.mlp({"first": 16, "second": 10})
        self.out = keras.layers.Dense(2)

    def call(self, inputs):
        return self.out(self.tower(inputs))

    def get_config(self):
        return {"name": self.name}


def test_a_tower_in_a_subclassed_model_is_followed_and_saved(tmp_path):
    model, x = HoldsATower(name="outer"), shrinkable.floats(7)()
    model(x)
    student = tfc.apply(model, spec_for(model, tfc.Shrink(0.5)))
    rows = {r.path: r for r in tfc.plan(model, spec_for(model, tfc.Shrink(0.5))).layers}
    assert student.tower.get_layer("second").kernel.shape == (8, 5)
    assert "used by the code of HoldsATower 'outer'" in rows["out"].skipped[0]
    student.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), student(x))
    assert loaded.tower.get_layer("second").kernel.shape == (8, 5)
