"""AdaptiveBits: the best choice within a budget, by what was measured or by the weights alone."""

from itertools import product

import numpy as np
import pytest
import small_models
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.surgery import walk
from tfcompress.techniques.adaptive_bits import allocate_bits
from tfcompress.techniques.adaptive_bits.harm import weight_harm

choices = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 40)), min_size=1, max_size=4)
ONE_SCALE = tfc.PerTensor()


def spec(technique, where=None):
    return tfc.Spec([tfc.rule(where or tfc.by_type("Dense") | tfc.by_type("Embedding"), technique)])


def bits_of(planned):
    """Bits by path of what has steps; 32 for what the budget leaves whole."""
    asked = [row for row in planned.layers if row.skipped != ("no rule is for it",)]
    return {row.path: row.steps[0].bits if row.steps else 32 for row in asked}


def stored(planned):
    """Bytes of the matrices of a plan."""
    return sum(w.bytes for row in planned.layers for w in row.after.weights)


# --- the choice ---------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.lists(choices, min_size=1, max_size=5), st.integers(5, 120), st.sampled_from([1.0, 0.1]))
def test_no_choice_within_the_budget_harms_less(items, budget, unit):
    costs = [np.array([cost for cost, _ in one]) for one in items]
    harms = [np.array([unit * harm for _, harm in one]) for one in items]
    every = [
        (sum(h[i] for h, i in zip(harms, places, strict=True)), places)
        for places in product(*(range(len(one)) for one in items))
        if sum(c[i] for c, i in zip(costs, places, strict=True)) <= budget
    ]
    if not every:
        with pytest.raises(ValueError, match="expected at least"):
            allocate_bits(costs, harms, budget)
        return
    places = allocate_bits(costs, harms, budget)
    assert sum(c[i] for c, i in zip(costs, places, strict=True)) <= budget
    harm = sum(h[i] for h, i in zip(harms, places, strict=True))
    assert harm == pytest.approx(min(every)[0], abs=1e-9)


@pytest.mark.parametrize("unit", [0.0, 1e-17, 1e17])
def test_harms_of_any_size_are_told_apart(unit):
    costs = [np.array([1, 2, 4])] * 3
    harms = [np.array([3.0, 1.0, 0.0]) * unit, np.array([30.0, 2.0, 0.1]), np.array([7, 0.3, 0.1])]
    assert allocate_bits(costs, harms, 9)[1:] == [2, 2] if unit < 1 else [1, 1]
    assert allocate_bits([costs[0]] * 2, [harms[0] * 0] * 2, 8) == [0, 0]


def test_many_layers_are_no_more_than_a_moment():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1_000, 10_000_000, 300)
    costs = [np.array([size // 4, size // 2, size, 4 * size]) for size in sizes]
    harms = [rng.lognormal() * np.array([1.0, 0.06, 0.0003, 0.0]) for _ in sizes]
    places = allocate_bits(costs, harms, 0.17 * 4 * sizes.sum())
    assert sum(int(c[i]) for c, i in zip(costs, places, strict=True)) <= 0.17 * 4 * sizes.sum()


# --- plans --------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.12, 0.2, 0.3, 0.6])
def test_a_plan_keeps_to_its_budget(family, share):
    model = family.build()
    planned = tfc.plan(model, spec(tfc.AdaptiveBits(tfc.BudgetShare(share), granularity=ONE_SCALE)))
    rows = [row for row in planned.layers if row.skipped != ("no rule is for it",)]
    whole = sum(4 * w.parameters for row in rows for w in row.before.weights)
    assert sum(w.bytes for row in rows for w in row.after.weights) <= share * whole


def test_layers_get_other_bits_where_their_weights_are_of_another_kind():
    model = small_models.sequential()
    kernel = np.ones((12, 16), np.float32)  # all on the last level of any grid
    model.get_layer("hidden").kernel.assign(kernel)
    wanted = tfc.AdaptiveBits(tfc.BudgetShare(0.27), bits=(2, 8), granularity=ONE_SCALE)
    planned = tfc.plan(model, spec(wanted))
    assert bits_of(planned) == {"table": 8, "hidden": 2, "head": 8}
    student = tfc.apply(model, spec(wanted))
    np.testing.assert_array_equal(student.get_layer("hidden").kernel, kernel)


def test_a_budget_out_of_reach_is_an_error_that_says_what_can_be_reached():
    model = small_models.sequential()
    wanted = spec(tfc.AdaptiveBits(tfc.ByteBudget(50), granularity=ONE_SCALE))
    with pytest.raises(tfc.SpecError, match="too little for 3 layers; expected at least ") as error:
        tfc.plan(model, wanted)
    least = int(str(error.value).split("at least ")[1].split(" bytes")[0].replace(",", ""))
    for bytes_, fits in ((least, True), (least - 1, False)):
        wanted = spec(tfc.AdaptiveBits(tfc.ByteBudget(bytes_), granularity=ONE_SCALE))
        if fits:
            assert stored(tfc.plan(model, wanted)) == least
        else:
            with pytest.raises(tfc.SpecError, match=f"at least {least:,} bytes"):
                tfc.plan(model, wanted)


def test_a_layer_only_gets_bits_that_its_operator_can_hold():
    model = keras.Sequential([keras.layers.Conv2D(4, 3, input_shape=(8, 8, 3), name="conv")])
    model.add(keras.layers.DepthwiseConv2D(3, name="depth"))
    model.add(keras.layers.Conv2DTranspose(4, 3, name="back"))
    where = tfc.by_name("conv") | tfc.by_name("depth") | tfc.by_name("back")
    planned = tfc.plan(model, spec(tfc.AdaptiveBits(tfc.ByteBudget(300), bits=(2, 4)), where))
    rows = {row.path: row for row in planned.layers}
    assert rows["conv"].steps[0].bits == 4
    assert rows["back"].skipped == (
        "AdaptiveBits: LiteRT holds the kernel of TRANSPOSE_CONV in 8 or 16 bits, not 4",
    )
    wider = tfc.AdaptiveBits(tfc.ByteBudget(600), bits=(2, 4, 8, 16))
    rows = {row.path: row for row in tfc.plan(model, spec(wider, where)).layers}
    assert rows["conv"].steps[0].bits in (4, 8, 16)
    assert {rows["depth"].steps[0].bits, rows["back"].steps[0].bits} <= {8, 16}


def test_grids_that_are_trained_are_seen_as_they_start_and_halves_have_none():
    model = small_models.sequential()
    learned = tfc.AdaptiveBits(tfc.BudgetShare(0.3), (2, 3, 4, 16), ONE_SCALE, tfc.Learned())
    assert learned.candidates[-1] == tfc.Quantize(16)
    form = tfc.plan(model, spec(learned)).layers[0].before
    for one in learned.candidates:
        student = tfc.apply(model, spec(one, tfc.by_name("table")))
        rounded = one.rounded(form.value("embeddings"), form.weights[0])
        np.testing.assert_allclose(rounded, student.get_layer("table").embeddings, atol=1e-6)
    assert set(bits_of(tfc.plan(model, spec(learned))).values()) <= {2, 4, 16}


def test_without_a_calibration_harm_is_a_share_of_the_squares_of_the_weights():
    model = small_models.sequential()
    form = next(row.before for row in tfc.plan(model, spec(tfc.Quantize(8))).layers)
    value = form.value("embeddings").astype(np.float64)
    step = np.abs(value).max()  # of the levels -1, 0 and 1
    error = np.square(np.round(value / step) * step - value).sum() / np.square(value).sum()
    assert weight_harm(form, tfc.Quantize(2, ONE_SCALE)) == pytest.approx(error, rel=1e-5)


def test_a_layer_with_a_quantize_of_its_own_keeps_to_it():
    model = small_models.sequential()
    rules = spec(tfc.AdaptiveBits(tfc.BudgetShare(0.3), granularity=ONE_SCALE)).rules
    both = tfc.Spec([*rules, tfc.rule(tfc.by_name("hidden"), tfc.Quantize(2))])
    row = next(row for row in tfc.plan(model, both).layers if row.path == "hidden")
    assert row.steps == (tfc.Quantize(2),)
    assert row.skipped == ("AdaptiveBits: it is quantized already",)


def test_weights_that_are_not_made_yet_are_left_with_the_reason():
    model = small_models.sequential()
    wanted = tfc.AdaptiveBits(tfc.BudgetShare(0.4), granularity=ONE_SCALE)
    both = tfc.Spec([tfc.rule(tfc.by_name("table"), tfc.Factorize(4), wanted)])
    (row,) = [row for row in tfc.plan(model, both).layers if row.path == "table"]
    assert "makes its weights anew" in row.skipped[0]
    first = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("table"), tfc.Factorize(4))]))
    assert bits_of(tfc.plan(first, spec(wanted, tfc.by_name("table")))) == {"table": 8}


# --- harm ---------------------------------------------------------------------------------------


def test_harm_is_that_of_the_outputs_when_a_layer_alone_is_quantized(family):
    model = family.build()
    weights, outputs = model.get_weights(), family.outputs(model)
    wanted = tfc.AdaptiveBits(tfc.BudgetShare(0.3), granularity=ONE_SCALE)
    ids = small_models.ids()
    seen = tfc.measure_harm(model, [ids[:20], ids[20:]], wanted)
    assert all(map(np.array_equal, model.get_weights(), weights))
    np.testing.assert_array_equal(family.outputs(model), outputs)
    before = model(ids).numpy()
    for bits in (2, 8):
        alone = tfc.Quantize(bits, ONE_SCALE)
        after = tfc.apply(model, spec(alone, tfc.by_name(family.dense)))(ids).numpy()
        expected = np.square(after.astype(float) - before).mean()
        assert seen.harm[family.dense][alone] == pytest.approx(expected, rel=1e-3)


def test_a_layer_that_outputs_do_not_depend_on_gets_the_fewest_bits():
    model = small_models.sequential()
    model.get_layer("head").kernel.assign(np.zeros((16, 4)))  # so nothing before it matters
    wanted = tfc.AdaptiveBits(tfc.ByteBudget(10**6), granularity=ONE_SCALE)
    seen = tfc.measure_harm(model, [small_models.ids()], wanted, harm=tfc.Divergence())
    assert bits_of(tfc.plan(model, spec(wanted), seen)) == {"table": 2, "hidden": 2, "head": 2}
    assert bits_of(tfc.plan(model, spec(wanted))) == {"table": 32, "hidden": 32, "head": 2}
    student = tfc.apply(model, spec(wanted), calibration=seen)
    assert all(row.before.weights[0].bits == 2 for row in tfc.plan(student, spec(wanted)).layers)


def test_what_was_measured_must_be_all_that_is_asked():
    model, wanted = small_models.sequential(), tfc.AdaptiveBits(tfc.BudgetShare(0.5))
    some = tfc.measure_harm(model, [small_models.ids()], wanted, where=tfc.by_name("hidden"))
    with pytest.raises(tfc.SpecError, match="not for 'table'.*expected all of them"):
        tfc.plan(model, spec(wanted), some)
    other = tfc.AdaptiveBits(tfc.ByteBudget(10**6), granularity=ONE_SCALE)
    with pytest.raises(tfc.SpecError, match="was not measured.*measure_harm with this"):
        tfc.plan(model, spec(other, tfc.by_name("hidden")), some)


def test_what_cannot_be_measured_is_refused():
    model, wanted = small_models.sequential(), tfc.AdaptiveBits(tfc.BudgetShare(0.5))
    ids = small_models.ids()
    with pytest.raises(tfc.SpecError, match="received no batches"):
        tfc.measure_harm(model, [], wanted)
    with pytest.raises(tfc.SpecError, match="found no layer to measure"):
        tfc.measure_harm(model, [ids], wanted, where=tfc.by_name("nowhere"))
    with pytest.raises(tfc.SpecError, match="harm='kl'; expected SquaredError"):
        tfc.measure_harm(model, [ids], wanted, harm="kl")
    with pytest.raises(tfc.SpecError, match="received technique=Quantize.*expected AdaptiveBits"):
        tfc.measure_harm(model, [ids], tfc.Quantize(4))
    with pytest.raises(tfc.SpecError, match="outputs that are not finite"):
        tfc.measure_harm(model, [ids], wanted, call=lambda m, x: m(x) * np.nan)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.AdaptiveBits(1000), "budget=1000; expected ByteBudget"),
        (lambda: tfc.AdaptiveBits(tfc.ByteBudget(9), ()), r"bits=\(\); expected a tuple"),
        (lambda: tfc.AdaptiveBits(tfc.ByteBudget(9), 8), "bits=8; expected a tuple"),
        (lambda: tfc.AdaptiveBits(tfc.ByteBudget(9), (4, 4)), r"\(4, 4\); expected each of them"),
        (lambda: tfc.AdaptiveBits(tfc.ByteBudget(9), (5, 4)), "bits=5; expected one of"),
        (lambda: tfc.AdaptiveBits(tfc.ByteBudget(9), scale=3.0), "scale=3.0; expected AbsMax"),
        (
            lambda: tfc.AdaptiveBits(tfc.ByteBudget(9)).apply("a layer"),
            "received the layer 'a layer'; expected the layers of a rule",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()


def test_a_compressed_model_is_walked_as_before():
    model = small_models.sequential()
    student = tfc.apply(model, spec(tfc.AdaptiveBits(tfc.BudgetShare(0.4), granularity=ONE_SCALE)))
    assert [held.path for held in walk(student)] == [held.path for held in walk(model)]
