"""Sparsify: what survives, by a limit or by chance, and that the zeros stay."""

import re

import numpy as np
import pytest
import small_models
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.layers.pruning import survival
from tfcompress.layers.zeroing import zeros
from tfcompress.surgery import walk

RNG = np.random.default_rng(8)


def rule(*techniques, kind="Dense"):
    return tfc.Spec([tfc.rule(tfc.by_type(kind), *techniques)])


def kernels(model):
    return [np.array(h.layer.kernel) for h in walk(model) if "Dense" in h.info.types]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1e3, width=32), min_size=1, max_size=30), st.integers(0, 100))
def test_probabilities_grow_with_the_magnitude_and_add_up(values, share):
    magnitudes = np.array(values)
    expected = share / 100 * len(values)
    found = survival(magnitudes, expected)
    assert ((found >= 0) & (found <= 1)).all()
    assert found.sum() == pytest.approx(min(expected, np.count_nonzero(magnitudes)), abs=1e-6)
    order = np.argsort(magnitudes)
    assert (np.diff(found[order]) >= -1e-12).all()
    certain = found >= 1
    if (~certain & (magnitudes > 0)).any() and expected > 0:  # one constant for all that may go
        ratio = found[~certain & (magnitudes > 0)] / magnitudes[~certain & (magnitudes > 0)]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_the_share_that_survives_is_the_one_expected():
    weight = RNG.normal(size=(300, 200)).astype(np.float32)
    factors = tfc.ByProbability(0.8, seed=1).factors(weight)
    assert zeros(factors) == pytest.approx(0.8, abs=0.01)
    kept = np.abs(weight)[factors != 0].mean()
    assert kept > 1.5 * np.abs(weight).mean()


def test_with_rescaling_the_mean_over_many_draws_is_the_matrix():
    weight = RNG.normal(size=(20, 10)).astype(np.float32)
    draws = [
        weight * tfc.ByProbability(0.5, seed=seed, rescale=True).factors(weight)
        for seed in range(3000)
    ]
    deviation = np.linalg.norm(np.mean(draws, 0) - weight) / np.linalg.norm(weight)
    assert deviation < 0.03
    plain = np.mean(
        [weight * tfc.ByProbability(0.5, seed=seed).factors(weight) for seed in range(300)], 0
    )
    assert np.linalg.norm(plain - weight) / np.linalg.norm(weight) > 0.1


def test_the_draw_follows_from_the_seed_and_the_weights():
    weight = RNG.normal(size=(20, 10)).astype(np.float32)
    first, other = tfc.ByProbability(0.5, seed=4), tfc.ByProbability(0.5, seed=5)
    np.testing.assert_array_equal(first.factors(weight), first.factors(weight.copy()))
    assert (first.factors(weight) != other.factors(weight)).any()
    assert (first.factors(weight) != first.factors(weight + 1e-3)).any()


@pytest.mark.parametrize(
    ("how", "limit"),
    [
        (tfc.Absolute(0.2), lambda w: 0.2),
        (tfc.OfMax(0.5), lambda w: np.float32(0.5) * np.abs(w).max()),
        (tfc.OfMean(1.0), lambda w: np.abs(w).mean()),
    ],
    ids=["of one size", "of the largest", "of the mean"],
)
def test_thresholds_cut_each_matrix_at_its_limit(how, limit):
    model = small_models.sequential()
    student = tfc.apply(model, rule(tfc.Sparsify(how)))
    for old, new in zip(kernels(model), kernels(student), strict=True):
        np.testing.assert_array_equal(new, old * (np.abs(old) >= limit(old)))


HOWS = [tfc.OfMean(1.0), tfc.ByProbability(0.6, 2), tfc.ByProbability(0.6, rescale=True)]


@pytest.mark.parametrize("how", HOWS, ids=repr)
def test_zeros_stay_zero_and_plan_counted_them(family, how, tmp_path):
    model = family.build()
    rows = {r.path: r for r in tfc.plan(model, rule(tfc.Sparsify(how))).layers if r.steps}
    student = tfc.apply(model, rule(tfc.Sparsify(how)))
    first = [kernel == 0 for kernel in kernels(student)]
    for held in walk(student):
        if held.path in rows:
            assert rows[held.path].after.weights[0].sparsity == zeros(held.layer.kernel)
    assert len(rows) == len(first)
    student.compile(keras.optimizers.AdamW(0.05, weight_decay=0.1), loss=family.loss)
    student.fit(family.data(), epochs=1, verbose=0)
    student.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.fit(family.data(), epochs=1, verbose=0)
    for one in (student, loaded, tfc.finalize(loaded)):
        assert all(np.array_equal(k == 0, f) for k, f in zip(kernels(one), first, strict=True))


def test_rescaled_weights_are_divided_by_their_probability():
    model = small_models.sequential()
    student = tfc.apply(model, rule(tfc.Sparsify(tfc.ByProbability(0.6, rescale=True))))
    for old, new in zip(kernels(model), kernels(student), strict=True):
        chances = survival(np.abs(old).ravel(), old.size * 0.4).reshape(old.shape)
        kept = new != 0
        np.testing.assert_allclose(new[kept], (old / chances)[kept], rtol=1e-5)


def reasons(model, *techniques, kind="Dense"):
    return " ".join(
        s for r in tfc.plan(model, rule(*techniques, kind=kind)).layers for s in r.skipped
    )


def test_what_it_leaves_alone_has_a_reason():
    model = small_models.sequential()
    sparse, prune = tfc.Sparsify(tfc.OfMean(1.0)), tfc.Prune(0.5)
    assert "Prune decides which of its weights are zero" in reasons(model, sparse, prune)
    assert "it is pruned already" in reasons(tfc.apply(model, rule(prune)), sparse)
    assert "it is pruned already" in reasons(tfc.apply(model, rule(sparse)), prune)
    assert "apply that first, then Sparsify" in reasons(
        model, tfc.Factorize(2), sparse, kind="Embedding"
    )
    assert "no weight of its kernel would be left" in reasons(
        model, tfc.Sparsify(tfc.Absolute(100.0))
    )


def test_a_convolution_and_a_recurrent_layer(tmp_path):
    model = keras.Sequential(
        [
            keras.layers.Conv1D(6, 3, input_shape=(8, 4), name="first"),
            keras.layers.GRU(5, name="second"),
        ]
    )
    kinds = tfc.by_type("Conv1D") | tfc.by_type("GRU")
    student = tfc.apply(model, tfc.Spec([tfc.rule(kinds, tfc.Sparsify(tfc.ByProbability(0.5)))]))
    assert 0.2 < zeros(student.layers[0].kernel) < 0.8
    assert 0.2 < zeros(student.layers[1].cell.recurrent_kernel) < 0.8
    made = tfc.export(student, tmp_path / "m")
    (first, second) = tfc.Spec.from_json((made.folder / "spec.json").read_text()).rules[:1] * 2
    assert first.techniques == second.techniques == (tfc.Sparsify(tfc.ByProbability(0.5)),)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.Sparsify(0.5), "Sparsify received how=0.5; expected ByProbability(sparsity)"),
        (lambda: tfc.ByProbability(1.0), "ByProbability received sparsity=1.0; expected 0 <="),
        (lambda: tfc.ByProbability(0.5, seed=-1), "seed=-1; expected a whole number from 0"),
        (lambda: tfc.ByProbability(0.5, rescale=1), "rescale=1; expected True or False"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=re.escape(message)):
        make()
