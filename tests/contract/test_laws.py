"""The laws of docs/design.md, held against every technique, layer and kind of model.

Law 7 (what training saw is what ships) is in test_shipping.py.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tf_keras as keras
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.layers import Compressed
from tfcompress.surgery import walk
from tfcompress.techniques import TECHNIQUES

# Every technique with settings that change a layer. A new technique must be added here.
SETTINGS: dict[type, list[Any]] = {
    tfc.Factorize: [
        tfc.Factorize(rank=3),
        tfc.Factorize(rank=tfc.Fraction(0.4)),
        tfc.Factorize(rank=tfc.KeptEnergy(0.6)),
        tfc.Factorize(rank=tfc.BudgetShare(0.6)),
    ],
    tfc.Code: [tfc.Code(codes=4, centroids=8), tfc.Code(codes=3, centroids=16)],
    tfc.Share: [
        tfc.Share(tfc.QuotientRemainder(8)),
        tfc.Share(tfc.QuotientRemainder(6, tfc.Sum()), keep=5),
        tfc.Share(tfc.DoubleHash(7), keep=3, by_frequency=(9, 4, 30)),
    ],
    tfc.Tier: [tfc.Tier(wide=2), tfc.Tier(fine=0.3, wide=0, found=5, seed=1)],
    tfc.Shrink: [
        tfc.Shrink(keep=0.5),
        tfc.Shrink(keep=0.6, multiple=4, importance=tfc.ByNorm(order=1)),
        tfc.Shrink(keep=0.25, minimum=5),
    ],
    tfc.Prune: [
        tfc.Prune(sparsity=0.5),
        tfc.Prune(sparsity=0.75, block=(4, 1)),
        tfc.Prune(0.5, schedule=tfc.ConstantSparsity(begin_step=1, frequency=2)),
        tfc.Prune(0.5, schedule=tfc.PolynomialDecay(end_step=4, frequency=2)),
        tfc.Prune(0.5, tfc.NofM(2, 4)),
        tfc.Prune(tfc.OfMean(0.8), scope=tfc.PerOutput()),
        tfc.Prune(tfc.OfMax(0.5), block=(2, 1), scope=tfc.Global()),
        tfc.Prune(0.6, schedule=tfc.ConstantSparsity(frequency=1), scope=tfc.Global()),
    ],
    tfc.Sparsify: [
        tfc.Sparsify(tfc.OfMean(0.9)),
        tfc.Sparsify(tfc.ByProbability(0.5, seed=3)),
        tfc.Sparsify(tfc.ByProbability(0.5, rescale=True)),
    ],
    tfc.Quantize: [
        tfc.Quantize(bits=8),
        tfc.Quantize(bits=4, granularity=tfc.PerTensor(), scale=tfc.Deviations(2.0)),
        tfc.Quantize(bits=2, scale=tfc.Deviations(1.5)),
        tfc.Quantize(bits=3, scale=tfc.Learned()),
        tfc.Quantize(bits=4, granularity=tfc.PerTensor(), scale=tfc.Learned()),
        tfc.Quantize(bits=4, scale=tfc.MeanSquare()),
        tfc.Quantize(bits=8, scale=tfc.Fixed(1 / 64)),
        tfc.Quantize(bits=16),
    ],
    tfc.QuantizeActivations: [
        tfc.QuantizeActivations(),
        tfc.QuantizeActivations(observer=tfc.Percentile(99.0)),
    ],
    tfc.AdaptiveBits: [
        tfc.AdaptiveBits(tfc.BudgetShare(0.4), granularity=tfc.PerTensor()),
        tfc.AdaptiveBits(tfc.ByteBudget(10**6), bits=(2, 3, 4, 8), scale=tfc.Deviations(3.0)),
        tfc.AdaptiveBits(tfc.BudgetShare(0.9), bits=(4, 16), scale=tfc.Learned()),
    ],
}
# The neutral setting of each technique, and of distillation.
NEUTRAL: dict[type, list[Any]] = {
    tfc.Factorize: [
        tfc.Factorize(rank=tfc.Fraction(1.0)),
        tfc.Factorize(rank=10_000),
        tfc.Factorize(rank=tfc.ByteBudget(10**9)),
        tfc.Factorize(rank=tfc.BudgetShare(1.0)),
    ],
    tfc.Code: [tfc.Code(codes=4, centroids=256)],
    tfc.Share: [tfc.Share(keep=40), tfc.Share(tfc.DoubleHash(5), keep=10_000)],
    tfc.Tier: [tfc.Tier(fine=1.0)],
    tfc.Shrink: [tfc.Shrink(keep=1.0), tfc.Shrink(keep=1.0, multiple=8)],
    tfc.Prune: [
        tfc.Prune(sparsity=0.0),
        tfc.Prune(0.0, schedule=tfc.ConstantSparsity(begin_step=0, frequency=1)),
        tfc.Prune(0.0, schedule=tfc.Followed()),
        tfc.Prune(0.0, tfc.NofM(4, 4), scope=tfc.Global()),
        tfc.Prune(tfc.Absolute(0.0)),
        tfc.Prune(tfc.OfMax(0.0), scope=tfc.PerOutput()),
        tfc.Prune(tfc.OfMean(0.0), scope=tfc.Global()),
    ],
    tfc.Sparsify: [
        tfc.Sparsify(tfc.OfMax(0.0)),
        tfc.Sparsify(tfc.ByProbability(0.0, rescale=True)),
    ],
    tfc.Quantize: [tfc.Quantize(bits=32), tfc.Quantize(bits=32, granularity=tfc.PerTensor())],
    tfc.QuantizeActivations: [tfc.QuantizeActivations(bits=32)],
    tfc.AdaptiveBits: [
        tfc.AdaptiveBits(tfc.ByteBudget(10**9)),
        tfc.AdaptiveBits(tfc.BudgetShare(1.0), bits=(32,)),
    ],
}
LAYERS = ("Dense", "Embedding")
# Shrink follows graphs. Where code that is none uses the layers, it skips them, and says so; the
# models that it can follow are in test_shrink_laws.py.
UNFOLLOWED = {("functional", "Dense")} | {(n, la) for n in ("subclassed", "tfrs") for la in LAYERS}
CASES = [technique for several in SETTINGS.values() for technique in several]
NEUTRAL_CASES = [technique for several in NEUTRAL.values() for technique in several]
COMBINED = tfc.Spec(
    [
        tfc.rule(tfc.by_type("Embedding"), tfc.Factorize(rank=3), tfc.Quantize(bits=4)),
        tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.5), tfc.Quantize(bits=8)),
    ]
)

every_technique = pytest.mark.parametrize("technique", CASES, ids=repr)
every_layer = pytest.mark.parametrize("layer", LAYERS)
# Some skip every layer but tables; ids have no range.
SKIPS = {"Dense": (tfc.Code, tfc.Share, tfc.Tier), "Embedding": (tfc.QuantizeActivations,)}
every_technique_and_layer = pytest.mark.parametrize(
    ("technique", "layer"),
    [(t, k) for t in CASES for k in LAYERS if not isinstance(t, SKIPS[k])],
    ids=repr,
)


def spec_for(layer: str, *techniques: Any) -> tfc.Spec:
    return tfc.Spec([tfc.rule(tfc.by_type(layer), *with_what_it_needs(techniques))])


def with_what_it_needs(techniques: Any) -> list[Any]:
    """The techniques, and weights in 8 bits where activations are to be: integers need both."""
    kinds = {type(technique) for technique in techniques}
    alone = tfc.QuantizeActivations in kinds and tfc.Quantize not in kinds
    neutral = tfc.QuantizeActivations(bits=32) in techniques
    return [*techniques, tfc.Quantize(8)] if alone and not neutral else list(techniques)


def does(technique: Any, family: Any, layer: str) -> bool:
    """Whether the technique changes such a layer in that family."""
    return not isinstance(technique, tfc.Shrink) or (family.name, layer) not in UNFOLLOWED


@functools.cache
def built_once(name: str) -> Any:
    """The model of a family for tests that leave it as it is, as `apply` has to (law 1)."""
    return small_models.FAMILIES[name].build()


def weights_of(model: Any) -> list[Any]:
    return [np.array(w) for w in model.get_weights()]


def same(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def train(family: Any, model: Any, eagerly: bool = False) -> Any:
    """The model after four steps; eagerly they take less than to make a graph of one."""
    family.compiled(model).run_eagerly = eagerly
    model.fit(family.data(), epochs=1, verbose=0)
    return model


def test_every_technique_is_under_contract():
    assert set(SETTINGS) == set(NEUTRAL) == set(TECHNIQUES)


@every_technique_and_layer
def test_law_1_apply_leaves_the_old_model_as_it_was(family, layer, technique):
    model = built_once(family.name)
    weights, outputs = weights_of(model), family.outputs(model)
    layers = [(held.path, held.layer) for held in walk(model)]
    student = tfc.apply(model, spec_for(layer, technique))
    for variable in student.variables:
        variable.assign(tf.zeros_like(variable))
    assert student is not model
    assert same(weights_of(model), weights)
    np.testing.assert_array_equal(family.outputs(model), outputs)
    assert [(held.path, held.layer) for held in walk(model)] == layers


def test_law_1_holds_while_the_new_model_trains(family):
    model = family.build()
    weights, outputs = weights_of(model), family.outputs(model)
    train(family, tfc.apply(model, COMBINED))
    assert same(weights_of(model), weights)
    np.testing.assert_array_equal(family.outputs(model), outputs)


@every_technique_and_layer
def test_law_2_every_layer_is_done_or_skipped_with_a_reason(family, layer, technique):
    model = built_once(family.name)
    planned = {row.path: row for row in tfc.plan(model, spec_for(layer, technique)).layers}
    for held in walk(model):
        if not held.layer.weights or held.path not in planned:
            # Only what has no weights of its own goes unmentioned.
            own = held.layer._trainable_weights + held.layer._non_trainable_weights
            assert not own or any(held.layer is row.before.layer for row in planned.values())
            continue
        row = planned[held.path]
        assert bool(row.steps) != bool(row.skipped)
        assert all(reason.strip() for reason in row.skipped)
        assert bool(row.steps) <= (layer in held.info.types)
    assert any(row.steps for row in planned.values()) == does(technique, family, layer)


def test_law_2_a_rule_that_matches_nothing_is_an_error(family):
    spec = tfc.Spec([*COMBINED.rules, tfc.rule(tfc.by_name("nowhere"), tfc.Quantize(bits=8))])
    with pytest.raises(tfc.SpecError, match="nowhere.*matches no layer"):
        tfc.apply(family.build(), spec)


def test_law_3_a_spec_that_cannot_be_carried_out_fails_before_the_first_change(family):
    model = family.build()
    weights, layers = weights_of(model), [held.layer for held in walk(model)]
    contradictory = tfc.Spec(
        [
            tfc.rule(tfc.by_type("Dense"), tfc.Quantize(bits=8)),
            tfc.rule(tfc.by_name(family.dense), tfc.Quantize(bits=4)),
        ]
    )
    for act in (tfc.plan, tfc.apply, lambda m, s: tfc.apply(m, s, in_place=True)):
        with pytest.raises(tfc.SpecError, match="Contradictory"):
            act(model, contradictory)
    assert same(weights_of(model), weights)
    assert all(a is held.layer for a, held in zip(layers, walk(model), strict=True))


@every_technique
def test_law_4_a_spec_survives_json(technique):
    spec = spec_for("Dense", technique)
    assert tfc.Spec.from_json(spec.to_json()) == spec


@every_technique_and_layer
def test_law_4_a_layer_survives_its_config(family, layer, technique):
    model, spec = built_once(family.name), spec_for(layer, technique)
    done = {row.path for row in tfc.plan(model, spec).layers if row.steps}
    changed = [held.layer for held in walk(tfc.apply(model, spec)) if held.path in done]
    assert bool(changed) == does(technique, family, layer)
    for one in changed:
        config = keras.layers.serialize(one)
        again = keras.layers.deserialize(config)
        again.build(getattr(one, "layer", one)._build_input_shape)
        assert [w.shape for w in again.weights] == [w.shape for w in one.weights]
        again.set_weights(one.get_weights())
        assert again.get_config() == one.get_config()
        name = "embeddings" if layer == "Embedding" else "kernel"
        np.testing.assert_array_equal(getattr(again, name), getattr(one, name))


@every_technique
def test_law_4_a_compressed_model_survives_saving(family, technique, tmp_path):
    spec = spec_for("Dense", technique)
    spec = tfc.Spec([*spec.rules, *spec_for("Embedding", technique).rules])
    student = moved(tfc.apply(built_once(family.name), spec))
    student.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(family.outputs(loaded), family.outputs(student))
    assert same(weights_of(loaded), weights_of(student))
    # test_training.py lets it train on; here the steps of one schedule are taken by hand.
    for model in (student, loaded):
        model(small_models.ids(), training=True)
    assert [w.shape for w in loaded.weights] == [w.shape for w in student.weights]


def moved(model: Any) -> Any:
    """The model with weights that no constructor would give it."""
    rng = np.random.default_rng(7)
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(0, 0.1, variable.shape))
    return model


@every_layer
@pytest.mark.parametrize("technique", NEUTRAL_CASES, ids=repr)
def test_law_5_a_neutral_setting_leaves_the_outputs_as_they_are(family, layer, technique):
    model = built_once(family.name)
    student = tfc.apply(model, spec_for(layer, technique))
    np.testing.assert_array_equal(family.outputs(student), family.outputs(model))


def test_law_5_distillation_of_weight_0_trains_like_plain_fit(family):
    if family.name == "subclassed":  # its Dropout draws other numbers when it is called elsewhere
        pytest.skip("random dropout")
    plain = train(family, family.build())
    student, teacher = family.build(), family.build()
    distiller = train(family, tfc.distill(student, teacher, temperature=2.0, weight=0.0))
    np.testing.assert_allclose(
        family.outputs(distiller.student), family.outputs(plain), rtol=1e-5, atol=1e-6
    )


@st.composite
def combinations(draw: Any) -> tuple[list[Any], list[Any]]:
    """Some techniques in their canonical order, and in another."""
    kinds = draw(st.lists(st.sampled_from(TECHNIQUES), min_size=1, unique=True))
    chosen = [draw(st.sampled_from(SETTINGS[kind])) for kind in TECHNIQUES if kind in kinds]
    return chosen, draw(st.permutations(chosen))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    combinations(), st.sampled_from(LAYERS), st.sampled_from(["sequential", "tfrs"]), st.booleans()
)
def test_law_6_any_order_gives_the_result_of_the_canonical_order(both, layer, name, in_rules):
    family, model = small_models.FAMILIES[name], built_once(name)
    canonical, shuffled = both
    first = tfc.apply(model, spec_for(layer, *canonical))
    if in_rules:
        rules = [
            tfc.rule(tfc.by_type(layer), technique) for technique in with_what_it_needs(shuffled)
        ]
        second = tfc.apply(model, tfc.Spec(rules))
    else:
        second = tfc.apply(model, spec_for(layer, *shuffled))
    np.testing.assert_array_equal(family.outputs(first), family.outputs(second))
    assert same(weights_of(first), weights_of(second))


@every_layer
@pytest.mark.parametrize("quantize", SETTINGS[tfc.Quantize], ids=repr)
def test_law_6_one_technique_after_another_gives_the_same_too(family, layer, quantize):
    model, prune = built_once(family.name), tfc.Prune(sparsity=0.5)
    once = tfc.apply(model, spec_for(layer, prune, quantize))
    twice = tfc.apply(tfc.apply(model, spec_for(layer, quantize)), spec_for(layer, prune))
    np.testing.assert_array_equal(family.outputs(twice), family.outputs(once))


def test_law_6_distillation_wraps_last(family):
    model = family.build()
    distiller = tfc.distill(tfc.apply(model, COMBINED), model)
    np.testing.assert_array_equal(
        family.outputs(distiller), family.outputs(tfc.apply(model, COMBINED))
    )
    with pytest.raises(tfc.SpecError, match="Distill"):
        tfc.rule(tfc.by_type("Dense"), tfc.techniques.Distill())


class ReadsOutside(keras.Model):
    """Uses its layers' weights without calling the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = keras.layers.Embedding(40, 12)
        self.dense = keras.layers.Dense(16)
        self.table.build((None,)), self.dense.build((None, 12))

    def call(self, ids: Any) -> Any:
        rows = tf.gather(self.table.embeddings, ids)
        return tf.tensordot(rows, self.dense.kernel, 1)


@every_technique_and_layer
def test_law_8_weights_read_from_outside_are_the_compressed_ones(layer, technique):
    model = ReadsOutside()
    model(tf.zeros((2, 5), tf.int32))
    student = tfc.apply(model, spec_for(layer, technique))
    held, name = (student.dense, "kernel") if layer == "Dense" else (student.table, "embeddings")
    inputs = tf.eye(12) if layer == "Dense" else tf.range(40)
    called = held(inputs)  # as the layer computes it when it is called
    np.testing.assert_allclose(getattr(held, name), called, atol=1e-6)
    table, kernel = np.array(student.table.embeddings), np.array(student.dense.kernel)
    ids = small_models.ids()
    np.testing.assert_allclose(student(ids), table[ids] @ kernel, atol=1e-6)
    now = not (isinstance(technique, tfc.Prune) and technique.schedule != tfc.Once())
    now = now and not isinstance(technique, tfc.Shrink)  # it leaves alone what is read elsewhere
    original = np.array(getattr(model.dense if layer == "Dense" else model.table, name))
    assert now != np.allclose(getattr(held, name), original, atol=1e-6)


@every_technique
def test_law_8_holds_for_a_tied_table_in_training(technique):
    family = small_models.FAMILIES["tfrs"]
    for factor_by_factor in (False, True):
        model = small_models.tied(factor_by_factor)
        student = train(family, tfc.apply(model, spec_for("Embedding", technique)), eagerly=True)
        history = small_models.ids()
        table = np.array(student.table.embeddings)
        vectors = student.out(student.hidden(table[history].mean(axis=1)))
        np.testing.assert_allclose(
            family.outputs(student), vectors.numpy() @ table.T, rtol=1e-4, atol=1e-5
        )


def test_techniques_are_frozen_values():
    for technique in CASES:
        field = dataclasses.fields(technique)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(technique, field, 1)


def test_finalize_gives_plain_layers_of_the_same_outputs(family):
    student = train(family, tfc.apply(family.build(), COMBINED))
    final = tfc.finalize(student)
    assert not any(isinstance(held.layer, Compressed) for held in walk(final))
    np.testing.assert_allclose(family.outputs(final), family.outputs(student), rtol=1e-5, atol=1e-6)
