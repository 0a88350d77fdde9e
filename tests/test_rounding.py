"""Rounding without training: error correction against its definition, and in a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import small_models
import tf_keras as keras
from grids import rounded

import tfcompress as tfc
from tfcompress.layers import HeldQuantizer
from tfcompress.techniques.correct import corrected_rounding

RNG = np.random.default_rng(1)


def inputs(count: int, width: int) -> Any:
    """Vectors whose numbers depend on each other, as those between layers do."""
    return RNG.normal(size=(count, width)) @ (np.eye(width) + RNG.normal(size=(width, width)) * 0.4)


def by_definition(weights: Any, moment: Any, step: float, top: int, damping: float) -> Any:
    """After each rounding the columns that are still open are solved for anew."""
    moment = moment + damping * np.trace(moment) / len(moment) * np.eye(len(moment))
    order = list(np.argsort(-np.diag(moment), kind="stable"))
    done = np.zeros_like(weights)
    current = weights.copy()
    for place, column in enumerate(order):
        done[:, column] = rounded(current[:, column], step, top)
        fixed, open_ones = order[: place + 1], order[place + 1 :]
        if open_ones:
            wrong = (weights - done)[:, fixed] @ moment[np.ix_(fixed, open_ones)]
            change = np.linalg.solve(moment[np.ix_(open_ones, open_ones)], wrong.T).T
            current[:, open_ones] = weights[:, open_ones] + change
    return done


@pytest.mark.parametrize(("step", "top"), [(0.5, 3), (0.3, 7), (1.2, 1)])
def test_error_correction_is_the_one_of_its_definition(step, top):
    weights, x = RNG.normal(size=(5, 9)), inputs(200, 9)
    moment = x.T @ x / len(x)
    expected = by_definition(weights, moment, step, top, 0.01)
    found = corrected_rounding(weights, moment, step, top)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_many_columns_are_handed_on_as_few_are():
    weights, x = RNG.normal(size=(3, 150)), inputs(400, 150)
    moment = x.T @ x / len(x)
    expected = by_definition(weights, moment, 0.4, 7, 0.01)
    np.testing.assert_allclose(corrected_rounding(weights, moment, 0.4, 7), expected, atol=1e-5)


@pytest.mark.parametrize("top", [1, 3, 7, 127])
def test_outputs_suffer_less_than_from_rounding_to_the_nearest(top):
    weights, x = RNG.normal(size=(16, 40)), inputs(500, 40)
    steps = np.abs(weights).max(axis=1, keepdims=True) / top
    found = corrected_rounding(weights, x.T @ x / len(x), steps, top)
    levels = found / steps
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    assert np.abs(levels).max() <= top + 1e-4
    errors = [((x @ (weights - w).T) ** 2).sum() for w in (found, rounded(weights, steps, top))]
    assert errors[0] < 0.7 * errors[1]


def test_independent_inputs_leave_nothing_to_make_good():
    weights = RNG.normal(size=(4, 6))
    for moment in (np.eye(6), np.zeros((6, 6))):
        found = corrected_rounding(weights, moment, 0.5, 7)
        np.testing.assert_allclose(found, rounded(weights, 0.5, 7), atol=1e-6)


def test_zeros_stay_zeros():
    weights, x = RNG.normal(size=(4, 30)), inputs(100, 30)
    weights[RNG.uniform(size=weights.shape) < 0.5] = 0.0
    found = corrected_rounding(weights, x.T @ x / len(x), 0.3, 7)
    assert (found[weights == 0] == 0).all()
    errors = [((x @ (weights - w).T) ** 2).sum() for w in (found, rounded(weights, 0.3, 7))]
    assert errors[0] < errors[1]


# --- in a model ---------------------------------------------------------------------------------


def tower() -> Any:
    keras.utils.set_random_seed(4)
    layers = [
        keras.layers.Dense(32, activation="relu", input_shape=(64,), name="first"),
        keras.layers.Dense(16, name="second"),
    ]
    return keras.Sequential(layers)


SEEN = inputs(300, 64).astype(np.float32)
GRANULARITIES = [tfc.PerChannel(), tfc.PerTensor(), tfc.PerBlock(32)]
SCALES = [tfc.AbsMax(), tfc.MeanSquare(), tfc.Learned(), tfc.Deviations(2.5), tfc.Fixed(1 / 16)]


def quantized(model: Any, technique: Any, where: Any = None) -> Any:
    spec = tfc.Spec([tfc.rule(where or tfc.by_type("Dense"), technique)])
    return tfc.apply(model, spec, calibration=tfc.calibrate(model, [SEEN]))


def output_error(model: Any, student: Any) -> float:
    return float(np.mean((model(SEEN) - student(SEEN)) ** 2))


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=repr)
@pytest.mark.parametrize("scale", SCALES, ids=repr)
def test_a_models_outputs_suffer_less_and_its_weights_stand_on_the_grid(scale, granularity):
    model = tower()
    correcting = tfc.Quantize(4, granularity, scale, tfc.ErrorCorrecting())
    student = quantized(model, correcting)
    nearest = quantized(model, tfc.Quantize(4, granularity, scale))
    assert output_error(model, student) < 0.9 * output_error(model, nearest)
    for layer in student.layers:
        np.testing.assert_allclose(layer.layer.kernel, layer.kernel, atol=1e-6)
        grid = layer.transforms["kernel"][0]
        assert isinstance(grid, HeldQuantizer)
        codes = np.asarray(layer.kernel) / grid.steps(layer.layer.kernel)
        np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)


def test_the_weights_may_be_trained_on_and_the_grid_stays():
    student = quantized(tower(), tfc.Quantize(4, rounding=tfc.ErrorCorrecting()))
    grid = student.layers[0].transforms["kernel"][0]
    steps = grid.steps(student.layers[0].layer.kernel).numpy()
    before = student.layers[0].kernel.numpy()
    student.compile(keras.optimizers.Adam(0.01), "mse")
    student.fit(SEEN, np.zeros((300, 16)), epochs=2, verbose=0)
    np.testing.assert_array_equal(grid.steps(student.layers[0].layer.kernel), steps)
    assert (student.layers[0].kernel.numpy() != before).any()


def test_pruned_weights_stay_pruned_in_one_turn_or_two():
    model = tower()
    prune, quantize = tfc.Prune(0.5), tfc.Quantize(4, rounding=tfc.ErrorCorrecting())
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), prune, quantize)])
    once = tfc.apply(model, spec, calibration=tfc.calibrate(model, [SEEN]))
    pruned = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), prune)]))
    twice = quantized(pruned, quantize)
    for student in (once, twice):
        kernel = student.layers[0].kernel.numpy()
        assert (kernel == 0).mean() >= 0.5
        assert (kernel[pruned.layers[0].kernel.numpy() == 0] == 0).all()
    np.testing.assert_allclose(twice.layers[0].kernel, once.layers[0].kernel, atol=1e-6)


def test_convolutions_and_attention_are_rounded_too():
    keras.utils.set_random_seed(5)
    image, history = keras.Input((6, 6, 4)), keras.Input((5, 12))
    convolved = keras.layers.Conv2D(8, 3, name="conv")(image)
    attended = keras.layers.MultiHeadAttention(2, 6, name="attention")(history, history)
    model = keras.Model([image, history], [convolved, attended])
    x = [RNG.normal(size=s).astype(np.float32) for s in ((40, 6, 6, 4), (40, 5, 12))]
    x[0] = np.cumsum(x[0], axis=1)
    x[1] = np.cumsum(x[1], axis=2)
    seen = tfc.calibrate(model, [x])
    errors: dict[str, list[float]] = {}
    for rounding in (tfc.ErrorCorrecting(), tfc.Nearest()):
        technique = tfc.Quantize(4, rounding=rounding)
        rules = [tfc.rule(tfc.by_type(kind), technique) for kind in ("Conv2D", "EinsumDense")]
        student = tfc.apply(model, tfc.Spec(rules), calibration=seen)
        for a, b, name in zip(student(x), model(x), ("conv", "attention"), strict=True):
            errors.setdefault(name, []).append(float(np.mean((a - b) ** 2)))
    assert all(corrected < nearest for corrected, nearest in errors.values())


def test_tables_need_no_calibration_and_are_rounded_to_the_nearest():
    model = small_models.sequential()
    tables = []
    for rounding in (tfc.ErrorCorrecting(), tfc.Nearest()):
        rule = tfc.rule(tfc.by_type("Embedding"), tfc.Quantize(4, rounding=rounding))
        tables.append(tfc.apply(model, tfc.Spec([rule])).layers[0].embeddings)
    np.testing.assert_allclose(tables[0], tables[1], atol=1e-6)


def skipped(model: Any, spec: Any, calibration: Any) -> str:
    (row,) = [r for r in tfc.plan(model, spec, calibration).layers if r.skipped[:1] and r.before]
    return row.skipped[0]


def test_layers_of_which_nothing_is_known_are_skipped_and_the_plan_says_so():
    correcting = tfc.Quantize(4, rounding=tfc.ErrorCorrecting())
    keras.utils.set_random_seed(6)
    recurrent = keras.Sequential([keras.Input((5, 8)), keras.layers.SimpleRNN(8, name="rnn")])
    spec = tfc.Spec([tfc.rule(tfc.by_type("SimpleRNN"), correcting)])
    assert "SimpleRNN is no layer whose inputs calibrate records" in skipped(recurrent, spec, None)
    model = tower()
    unseen = tfc.calibrate(model, [SEEN], call=lambda m, x: m.layers[0](x))
    spec = tfc.Spec([tfc.rule(tfc.by_name("second"), correcting)])
    reasons = [r.skipped for r in tfc.plan(model, spec, unseen).layers if r.path == "second"]
    assert "not called in the calibration" in reasons[0][0]
    both = tfc.Spec([tfc.rule(tfc.by_name("first"), tfc.Factorize(4), correcting)])
    reasons = [r.skipped for r in tfc.plan(model, both, unseen).layers if r.path == "first"]
    assert "FactorizedDense is no layer" in reasons[0][0]
    heads = keras.Sequential(
        [keras.Input((3, 8)), keras.layers.EinsumDense("abc,bcd->abd", (3, 4), name="heads")]
    )
    seen = tfc.calibrate(heads, [RNG.normal(size=(4, 3, 8)).astype(np.float32)])
    spec = tfc.Spec([tfc.rule(tfc.by_name("heads"), tfc.Quantize(8, rounding=correcting.rounding))])
    assert "no single matrix of its inputs" in skipped(heads, spec, seen)


def test_without_a_calibration_the_plan_fails():
    spec = tfc.Spec(
        [tfc.rule(tfc.by_name("first"), tfc.Quantize(4, rounding=tfc.ErrorCorrecting()))]
    )
    for act in (tfc.plan, tfc.apply):
        with pytest.raises(tfc.SpecError, match="no calibration of it; expected what the layer"):
            act(tower(), spec)
    with pytest.raises(tfc.SpecError, match="received None for the inputs of 'first'"):
        spec.rules[0].techniques[0].apply(tower().layers[0])


@pytest.mark.parametrize("damping", [0, -1, float("nan")])
def test_a_damping_that_cannot_be_is_refused(damping):
    with pytest.raises(tfc.SpecError, match="ErrorCorrecting received damping"):
        tfc.ErrorCorrecting(damping)
