"""Importance, amount, pattern and scope of Prune, against NumPy and TF-MOT."""

import re

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl

import tfcompress as tfc
from tfcompress.layers import Compressed, Mask
from tfcompress.layers.pruning import Target, n_of_m
from tfcompress.layers.zeroing import zeros
from tfcompress.surgery import walk

RNG = np.random.default_rng(5)
W = RNG.normal(size=(24, 20)).astype(np.float32)
THEIRS = tfmot.sparsity.keras


def mask_of(weight, *args, factors=None, **kwargs):
    mask = Mask(*args, **kwargs)
    mask.factors = factors
    return np.asarray(mask.mask_of(tf.constant(weight)))


def rule(technique, kind="Dense"):
    return tfc.Spec([tfc.rule(tfc.by_type(kind), technique)])


# --- amounts and scopes -------------------------------------------------------------------------

LIMITS = [
    (tfc.Absolute(0.7), lambda w, axis: np.full_like(w.max(axis, keepdims=True), 0.7)),
    (tfc.OfMax(0.3), lambda w, axis: np.float32(0.3) * w.max(axis, keepdims=True)),
    (tfc.OfMean(0.9), lambda w, axis: np.float32(0.9) * w.mean(axis, keepdims=True)),
]


@pytest.mark.parametrize(("amount", "limit"), LIMITS, ids=lambda x: repr(x)[:12])
@pytest.mark.parametrize(
    ("scope", "axis"), [(tfc.PerLayer(), None), (tfc.PerOutput(), 0)], ids=repr
)
def test_thresholds_are_those_of_numpy(amount, limit, scope, axis):
    expected = np.abs(W) >= limit(np.abs(W), axis)
    np.testing.assert_array_equal(mask_of(W, amount, scope=scope), expected)


def test_each_output_keeps_as_many_weights():
    mask = mask_of(W, 0.75, scope=tfc.PerOutput())
    assert set(mask.sum(0)) == {6}
    order = np.argsort(-np.abs(W), 0)[:6]
    assert all(mask[order[:, j], j].all() for j in range(20))
    table = mask_of(W, 0.75, scope=tfc.PerOutput(), channel_axis=0)  # a row is an output
    assert set(table.sum(1)) == {5}


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 13), st.data())
def test_n_of_m_keeps_the_largest_of_every_group(channels, inputs, data):
    m = data.draw(st.integers(1, 6))
    n = data.draw(st.integers(1, m))
    values = np.random.default_rng(inputs).integers(0, 4, (channels, inputs)).astype(np.float32)
    found = n_of_m(tf.constant(values), n, m).numpy()
    for row, kept in zip(values, found, strict=True):
        for start in range(0, inputs, m):
            group, chosen = row[start : start + m], kept[start : start + m]
            assert chosen.sum() == min(n, len(group))
            assert sorted(group[chosen]) == sorted(group)[len(group) - chosen.sum() :]


def test_n_of_m_lies_along_the_inputs_and_a_higher_sparsity_takes_more():
    mask = mask_of(W, 0.0, tfc.NofM(2, 4))
    assert (mask.reshape(6, 4, 20).sum(1) == 2).all()
    table = mask_of(W, 0.0, tfc.NofM(2, 4), channel_axis=0)
    assert (table.reshape(24, 5, 4).sum(2) == 2).all()
    more = mask_of(W, 0.75, tfc.NofM(2, 4))
    assert (more <= mask).all() and zeros(more) == 0.75
    kernel = RNG.normal(size=(3, 3, 8, 5)).astype(np.float32)
    filters = mask_of(kernel, 0.0, tfc.NofM(1, 4), channel_axis=3)
    assert (filters.reshape(3, 3, 2, 4, 5).sum(3) == 1).all()


def test_one_limit_for_all_layers_of_a_rule():
    model = small_models.sequential()
    student = tfc.apply(model, rule(tfc.Prune(0.7, scope=tfc.Global())))
    before = [model.get_layer(n).kernel.numpy() for n in ("hidden", "head")]
    after = [np.array(student.get_layer(n).kernel) for n in ("hidden", "head")]
    whole = np.concatenate([w.ravel() for w in before])
    kept = round(whole.size * 0.3)
    limit = np.sort(np.abs(whole))[::-1][kept - 1]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new, old * (np.abs(old) >= limit))
    assert zeros(after[0]) != zeros(after[1])


def test_a_limit_of_the_largest_weight_of_all_layers():
    model = small_models.sequential()
    student = tfc.apply(model, rule(tfc.Prune(tfc.OfMax(0.4), scope=tfc.Global())))
    names = ("hidden", "head")
    largest = max(np.abs(model.get_layer(n).kernel.numpy()).max() for n in names)
    for name in names:
        old = model.get_layer(name).kernel.numpy()
        expected = np.abs(old) >= np.float32(0.4) * largest
        np.testing.assert_array_equal(np.array(student.get_layer(name).kernel) != 0, expected)


def test_targets_shared_by_matrices_keep_their_share_of_all():
    parts = [np.abs(W[:4]), np.abs(W[4:]) * 2]
    shares = Target(0.6).shared(parts)
    kept = sum(
        round((1 - one.sparsity) * part.size) for one, part in zip(shares, parts, strict=True)
    )
    assert kept == round(W.size * 0.4)


# --- importances --------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("schedule", [tfc.Once(), tfc.ConstantSparsity(0, frequency=1)], ids=repr)
def test_weights_count_by_what_enters_them(power, schedule):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Dense(6, input_shape=(8,), name="head")])
    x = RNG.normal(size=(50, 8)).astype(np.float32) * np.geomspace(0.1, 10, 8, dtype=np.float32)
    seen = tfc.calibrate(model, [x[:20], x[20:]])
    technique = tfc.Prune(
        0.5, schedule=schedule, importance=tfc.Activation(power, 0.0), scope=tfc.PerOutput()
    )
    student = tfc.apply(model, rule(technique), calibration=seen)
    if schedule != tfc.Once():
        student.compile("sgd", "mse")
        student.optimizer.learning_rate.assign(0.0)
        student.fit(x, np.zeros((50, 6)), verbose=0)
    kernel = model.get_layer("head").kernel.numpy()
    worth = np.abs(kernel) * np.sqrt((x**2).mean(0))[:, None] ** power
    expected = worth >= np.sort(worth, 0)[4]
    np.testing.assert_array_equal(np.array(student.get_layer("head").kernel) != 0, expected)


def test_rows_of_a_table_count_by_how_often_they_are_looked_up():
    model = small_models.sequential()
    ids = np.array([[0, 0, 0, 1, 2]], np.int32)
    technique = tfc.Prune(0.5, importance=tfc.Activation())
    student = tfc.apply(
        model, rule(technique, "Embedding"), calibration=tfc.calibrate(model, [ids])
    )
    table = np.array(student.get_layer("table").embeddings)
    assert (table[:3] != 0).mean() > 0.9
    assert zeros(table) == 0.5  # rows never seen are ranked by what they hold


def test_what_was_seen_survives_saving(tmp_path):
    model = small_models.sequential()
    seen = tfc.calibrate(model, [small_models.ids()])
    schedule = tfc.ConstantSparsity(begin_step=2, frequency=2)
    technique = tfc.Prune(0.5, schedule=schedule, importance=tfc.Activation())
    student = tfc.apply(model, rule(technique), calibration=seen)
    student.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert all(map(np.array_equal, loaded.get_weights(), student.get_weights()))
    for one in (student, loaded):
        for _ in range(3):
            tf.function(lambda m=one: m(small_models.ids(), training=True))()
    for name in ("hidden", "head"):
        kernel = np.array(loaded.get_layer(name).kernel)
        assert zeros(kernel) == 0.5
        np.testing.assert_array_equal(kernel, student.get_layer(name).kernel)


# --- what plan says -----------------------------------------------------------------------------

TECHNIQUES = [
    tfc.Prune(0.3),
    tfc.Prune(0.3, (3, 4)),
    tfc.Prune(0.0, tfc.NofM(3, 5)),
    tfc.Prune(0.9, tfc.NofM(3, 5)),
    tfc.Prune(tfc.Absolute(0.03)),
    tfc.Prune(tfc.OfMax(0.6), (2, 2)),
    tfc.Prune(tfc.OfMean(1.1), scope=tfc.PerOutput()),
    tfc.Prune(0.45, scope=tfc.PerOutput()),
    tfc.Prune(0.45, (2, 1), scope=tfc.Global()),
    tfc.Prune(tfc.OfMean(1.1), scope=tfc.Global()),
]


@pytest.mark.parametrize("kind", ["Dense", "Embedding"])
@pytest.mark.parametrize("technique", TECHNIQUES, ids=repr)
def test_plan_says_the_sparsity_that_apply_makes(technique, kind):
    model = small_models.sequential()
    rows = {row.path: row for row in tfc.plan(model, rule(technique, kind)).layers if row.steps}
    assert rows
    student = tfc.apply(model, rule(technique, kind))
    for held in walk(student):
        if held.path in rows:
            (weight,) = rows[held.path].after.weights
            assert weight.sparsity == zeros(getattr(held.layer, weight.name))
            assert rows[held.path].to_data()["sparsity"] == [weight.sparsity]


@pytest.mark.parametrize(
    ("technique", "kind", "sparsities"),
    [
        (tfc.Prune(0.5), "Dense", {}),
        (tfc.Prune(0.33, (3, 5)), "Dense", {}),
        (tfc.Prune(0.1, tfc.NofM(2, 5)), "Dense", {"hidden": 1 - 6 / 12, "head": 1 - 7 / 16}),
        (tfc.Prune(0.4, scope=tfc.PerOutput()), "Dense", {}),
    ],
    ids=repr,
)
def test_what_a_schedule_ends_with_is_planned_without_the_weights(technique, kind, sparsities):
    scheduled = tfc.Prune(
        technique.sparsity, technique.block, tfc.ConstantSparsity(0, frequency=1),
        technique.importance, technique.scope,
    )  # fmt: skip
    model = small_models.sequential()
    at_once = tfc.plan(model, rule(technique, kind)).layers
    in_time = tfc.plan(model, rule(scheduled, kind)).layers
    for one, other in zip(at_once, in_time, strict=True):
        for first, second in zip(one.after.weights, other.after.weights, strict=True):
            blocks = technique.block == (3, 5)  # those at the edges hold fewer weights
            assert first.sparsity == pytest.approx(second.sparsity, abs=0.15 if blocks else 0)
        if one.path in sparsities:
            assert other.after.weights[0].sparsity == pytest.approx(sparsities[one.path])


def reasons(model, *techniques, kind="Dense", calibration=None):
    spec = tfc.Spec([tfc.rule(tfc.by_type(kind), *techniques)])
    return " ".join(s for row in tfc.plan(model, spec, calibration).layers for s in row.skipped)


@pytest.mark.parametrize(
    "technique",
    [tfc.Prune(tfc.OfMax(0.1)), tfc.Prune(0.5, scope=tfc.Global())],
    ids=repr,
)
def test_what_looks_at_weights_that_are_not_made_yet_is_skipped(technique):
    model = small_models.sequential()
    assert "another technique of the spec is yet to make; apply that first" in reasons(
        model, tfc.Factorize(2), technique, kind="Embedding"
    )
    factorized = tfc.apply(model, rule(tfc.Factorize(2), "Embedding"))
    student = tfc.apply(factorized, tfc.Spec([tfc.rule(tfc.by_name("table"), technique)]))
    assert zeros(student.get_layer("table").left) > 0


def test_layers_that_would_be_left_without_weights_are_skipped():
    model = small_models.sequential()
    model.get_layer("hidden").kernel.assign(model.get_layer("hidden").kernel * 1e-3)
    for schedule in (tfc.Once(), tfc.PolynomialDecay(end_step=10, frequency=1)):
        said = reasons(model, tfc.Prune(0.9, schedule=schedule, scope=tfc.Global()))
        assert "no weight of its kernel would be left" in said
    assert "no weight of its kernel would be left" in reasons(model, tfc.Prune(tfc.Absolute(9.0)))
    lonely = rule(tfc.Prune(0.9, scope=tfc.Global()))
    assert zeros(tfc.apply(model, lonely).get_layer("hidden").kernel) == 0


def test_a_pattern_larger_than_the_matrix_is_skipped():
    said = reasons(small_models.sequential(), tfc.Prune(0.5, tfc.NofM(2, 32)))
    assert "2 of 32 is more than the 12 inputs of its matrix" in said


def test_activations_that_nobody_recorded():
    technique = tfc.Prune(0.5, importance=tfc.Activation())
    model = small_models.sequential()
    with pytest.raises(tfc.SpecError, match="'hidden', and no calibration.*calibrate"):
        tfc.plan(model, rule(technique))
    ids = small_models.ids()
    seen = tfc.calibrate(model, [ids])
    recurrent = keras.Sequential([keras.layers.GRU(4, input_shape=(3, 2))])
    said = reasons(recurrent, technique, kind="GRU", calibration=seen)
    assert "what enters the weights of GRU is not recorded" in said
    idle = tfc.Calibration(
        {k: type(v)(12 if k == "hidden" else 16) for k, v in seen.inputs.items()}
    )
    assert "not called in the calibration" in reasons(model, technique, calibration=idle)
    other = tfc.Calibration({"hidden": seen.inputs["head"], "head": seen.inputs["hidden"]})
    assert "its 12 rows are not the 16 inputs" in reasons(model, technique, calibration=other)


def test_a_layer_by_itself():
    layer = keras.layers.Dense(6)
    layer.build((None, 8))
    assert zeros(tfc.Prune(0.5, scope=tfc.Global()).apply(layer).kernel) == 0.5
    again = Compressed(keras.layers.Dense(6), {})
    again.build((None, 8))
    with pytest.raises(tfc.SpecError, match="Prune cannot prune .*another technique|recorded"):
        tfc.Prune(0.5, importance=tfc.Activation()).apply(again)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: tfc.Absolute(-1.0),
            "Absolute received theta=-1.0; expected a finite theta from 0",
        ),
        (lambda: tfc.Absolute(float("inf")), "theta=inf"),
        (lambda: tfc.OfMax(1.5), "OfMax received alpha=1.5; expected 0 <= alpha <= 1"),
        (lambda: tfc.OfMean(float("nan")), "OfMean received k=nan"),
        (lambda: tfc.NofM(5, 4), "NofM received n=5 and m=4; expected whole numbers with 1 <= n"),
        (lambda: tfc.NofM(0, 4), "n=0 and m=4"),
        (lambda: tfc.NofM(True, 4), "n=True"),
        (lambda: tfc.Activation(power=0.0), "Activation received power=0.0"),
        (lambda: tfc.Activation(smoothing=-1.0), "smoothing=-1.0; expected power > 0"),
        (lambda: tfc.Prune(Target(0.5)), "sparsity=Target(sparsity=0.5); expected 0 <="),
        (lambda: tfc.Prune(0.5, importance="l1"), "importance='l1'; expected Magnitude()"),
        (lambda: tfc.Prune(0.5, scope="all"), "scope='all'; expected PerLayer(), PerOutput()"),
        (
            lambda: tfc.Prune(tfc.OfMax(0.1), schedule=tfc.PolynomialDecay(100)),
            "OfMax(alpha=0.1) with PolynomialDecay(end_step=100",
        ),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=re.escape(message)):
        make()


# --- through training and files -----------------------------------------------------------------


@pytest.mark.parametrize("technique", TECHNIQUES, ids=repr)
def test_zeros_stay_zero_through_fit_save_load_and_fit(technique, tmp_path):
    student = tfc.apply(small_models.sequential(), rule(technique))

    def pattern(model):
        return [np.array(model.get_layer(n).kernel) == 0 for n in ("hidden", "head")]

    first = pattern(student)
    assert all(p.any() for p in first)
    student.compile(keras.optimizers.AdamW(0.05, weight_decay=0.1), "mse")
    student.fit(small_models.ids(), small_models.targets(), verbose=0)
    student.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    loaded.fit(small_models.ids(), small_models.targets(), verbose=0)
    for one in (student, loaded, tfc.finalize(loaded)):
        assert all(map(np.array_equal, pattern(one), first))


SCHEDULES = [
    (tfc.ConstantSparsity(1, 9, 3), THEIRS.ConstantSparsity(0.6, 1, 9, 3)),
    (tfc.PolynomialDecay(8, 2, 0.2, 2.0, 3), THEIRS.PolynomialDecay(0.2, 0.6, 2, 8, 2.0, 3)),
]


@pytest.mark.parametrize("block", [(1, 1), (4, 1), (3, 2)])
@pytest.mark.parametrize(("ours", "theirs"), SCHEDULES, ids=lambda s: type(s).__name__)
def test_masks_are_those_of_tfmot_step_by_step(block, ours, theirs):
    layer = Compressed(keras.layers.Dense(10, use_bias=False), {})
    layer.build((None, 12))
    layer.add_transform("kernel", Mask(0.6, block, ours))
    (mine,) = layer.transforms["kernel"]
    step = tf.Variable(0, dtype=tf.int32)
    kernel, mask = layer.layer.kernel, tf.Variable(tf.ones((12, 10)))
    variables = [(kernel, mask, tf.Variable(0.0))]
    pruning = pruning_impl.Pruning(lambda: step, variables, theirs, block, "AVG")
    shares = set()
    for number in range(12):
        step.assign(number)
        kernel.assign(RNG.normal(size=(12, 10)))
        pruning.conditional_mask_update()
        mine.advance(kernel)
        np.testing.assert_array_equal(mine._mask, mask)
        np.testing.assert_array_equal(layer.kernel, kernel * mask)
        shares.add(round(zeros(mask), 6))
    assert len(shares) >= (3 if isinstance(ours, tfc.PolynomialDecay) else 2)


def test_a_mask_of_an_older_file_is_read():
    old = {"sparsity": 0.5, "block": [4, 1], "schedule": {"type": "Once"}, "channel_axis": None}
    mask = Mask.from_config(old)
    assert (mask.block, mask.scope, mask.importance) == ((4, 1), tfc.PerLayer(), tfc.Magnitude())


def test_the_spec_of_a_folder_says_what_was_asked(tmp_path):
    technique = tfc.Prune(0.6, tfc.NofM(2, 4), scope=tfc.Global())
    student = tfc.apply(small_models.sequential(), rule(technique))
    made = tfc.export(student, tmp_path / "m")
    (found,) = tfc.Spec.from_json((made.folder / "spec.json").read_text()).rules
    assert found.techniques == (technique,)
