"""Share: hashed tables against NumPy's least squares, and what of them is in a file."""

import re

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.export import flatbuffer
from tfcompress.export.lowering import count_below
from tfcompress.layers.two_way import fit_product, fit_sum, means_by_place, sums_by_place
from tfcompress.techniques.share import fitted

RNG = np.random.default_rng(0)
HASHINGS = [
    tfc.QuotientRemainder(7),
    tfc.QuotientRemainder(7, tfc.Sum()),
    tfc.QuotientRemainder(50),
    tfc.DoubleHash(9),
    tfc.DoubleHash(50),
]
NONE = np.zeros(0, np.int64)
every_hashing = pytest.mark.parametrize("hashing", HASHINGS, ids=repr)


def spec(*techniques):
    return tfc.Spec([tfc.rule(tfc.by_type("Embedding"), *techniques)])


# --- arithmetic ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 2**31))
def test_sums_and_means_by_place(count, places, seed):
    rng = np.random.default_rng(seed)
    rows, at = rng.normal(size=(count, 3)), rng.integers(0, places, count)
    expected = np.zeros((places, 3))
    np.add.at(expected, at, rows)
    np.testing.assert_allclose(sums_by_place(rows, at, places), expected, atol=1e-12)
    for place in range(places):
        own = rows[at == place]
        mean = own.mean(0) if len(own) else np.zeros(3)
        np.testing.assert_allclose(means_by_place(rows, at, places)[place], mean, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 60), st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**31))
def test_sums_are_fitted_by_least_squares(count, a, b, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 2))
    first, second = rng.integers(0, a, count), rng.integers(0, b, count)
    table, other = fit_sum(rows, first, second, (a, b))
    chosen = np.hstack([np.eye(a)[first], np.eye(b)[second]])
    best = chosen @ np.linalg.lstsq(chosen, rows, rcond=None)[0]
    found = np.square(rows - table[first] - other[second]).sum()
    least = np.square(rows - best).sum()
    assert least - 1e-9 <= found <= least + 1e-4 * max(least, np.square(rows).sum())


def test_products_of_every_pair_are_fitted_by_the_best_matrices_of_rank_one():
    rows = RNG.normal(size=(6 * 5, 4)) + 2 * np.outer(RNG.normal(size=30), np.ones(4))
    first, second = np.arange(30) // 5, np.arange(30) % 5
    table, other = fit_product(rows, first, second, (6, 5))
    for column in range(4):
        u, s, vt = np.linalg.svd(rows[:, column].reshape(6, 5))
        expected = s[0] * np.outer(u[:, 0], vt[0])
        found = np.outer(table[:, column], other[:, column])
        assert np.linalg.norm(found - expected) < 1e-2 * s[0]
    np.testing.assert_allclose(np.linalg.norm(table, axis=0), np.linalg.norm(other, axis=0))


def test_products_that_fit_are_found():
    table, other = RNG.normal(size=(8, 3)), RNG.normal(size=(6, 3))
    first, second = np.arange(48) // 6, np.arange(48) % 6
    known = RNG.random(48) < 0.9
    first, second = first[known], second[known]
    rows = table[first] * other[second]
    a, b = fit_product(rows, first, second, (8, 6))
    np.testing.assert_allclose(a[first] * b[second], rows, atol=1e-3)


@every_hashing
@pytest.mark.parametrize("ids", [40, 41, 49, 72, 100])
def test_rows_and_scores_are_those_of_the_definition(hashing, ids):
    sizes = hashing.sizes(ids)
    first, second = (RNG.normal(size=(n, 4)).astype(np.float32) for n in sizes)
    numbers = np.arange(ids)
    a, b = hashing.places(numbers)
    assert a.max() < sizes[0] and b.max() < sizes[1]
    for tensor, array in zip(hashing.places(tf.range(ids)), (a, b), strict=True):
        np.testing.assert_array_equal(tensor, array)
    table = hashing.combined.rows(first[a], second[b])
    vectors = RNG.normal(size=(3, 4)).astype(np.float32)
    for scores in (hashing.scores, hashing.scores_in_file):
        found = scores(tf.constant(vectors), tf.constant(first), tf.constant(second), ids)
        np.testing.assert_allclose(found, vectors @ table.T, rtol=1e-4, atol=1e-5)


@every_hashing
@pytest.mark.parametrize("ids", [40, 56, 72])
def test_no_two_ids_share_both_rows_within_reach(hashing, ids):
    pairs = set(zip(*hashing.places(np.arange(ids)), strict=True))
    assert len(pairs) == ids


def test_double_hashes_repeat_behind_their_product():
    assert tfc.DoubleHash(4).places(5) == tfc.DoubleHash(4).places(5 + 4 * 3)


def test_count_below_is_numpys_bisection():
    ascending = np.unique(RNG.integers(0, 50, 9)).astype(np.int32)
    numbers = np.arange(55, dtype=np.int32)
    expected = np.searchsorted(ascending, numbers)
    np.testing.assert_array_equal(count_below(tf.constant(ascending), numbers), expected)


# --- the technique ------------------------------------------------------------------------------

SHARES = [
    tfc.Share(tfc.QuotientRemainder(8)),
    tfc.Share(tfc.QuotientRemainder(8, tfc.Sum()), keep=6),
    tfc.Share(tfc.DoubleHash(7), keep=6),
    tfc.Share(tfc.DoubleHash(7), keep=3, by_frequency=(30, 4, 9, 8)),
    tfc.Share(tfc.QuotientRemainder(8), keep=1, by_frequency=(39,)),
]
every_share = pytest.mark.parametrize("technique", SHARES, ids=repr)


def kept_by(technique):
    return list(technique.by_frequency or range(technique.keep))


@every_share
def test_kept_rows_are_kept_and_the_others_fitted(technique):
    model = small_models.sequential()
    table = model.layers[0].embeddings.numpy()
    layer = tfc.apply(model, spec(technique)).layers[0]
    kept = kept_by(technique)
    np.testing.assert_array_equal(layer.embeddings.numpy()[kept], table[kept])
    first, second = fitted(table, technique.hashing, np.array(kept, np.int64))
    a, b = technique.hashing.places(np.arange(40))
    expected = technique.hashing.combined.rows(first[a], second[b])
    others = np.setdiff1d(np.arange(40), kept)
    np.testing.assert_allclose(layer.embeddings.numpy()[others], expected[others], atol=1e-5)
    assert np.linalg.norm(expected[others] - table[others]) < np.linalg.norm(table[others])


@every_share
def test_look_ups_and_scores_are_those_of_the_same_table(technique):
    layer = tfc.apply(small_models.sequential(), spec(technique)).layers[0]
    table = layer.embeddings.numpy()
    ids = small_models.ids()
    np.testing.assert_allclose(layer(ids), table[ids], atol=1e-6)
    vectors = RNG.normal(size=(5, 12)).astype(np.float32)
    np.testing.assert_allclose(tfc.scores(vectors, layer), vectors @ table.T, atol=1e-5)
    np.testing.assert_allclose(layer.scores_in_file(vectors), vectors @ table.T, atol=1e-5)


@every_share
def test_every_table_trains(technique):
    student = tfc.apply(small_models.tied(factor_by_factor=True), spec(technique))
    before = [w.numpy() for w in student.table.trainable_weights]
    student.compile(keras.optimizers.Adam(0.01))
    history = small_models.ids()
    student.fit(history, history[:, 0], verbose=0)
    after = [w.numpy() for w in student.table.trainable_weights]
    assert len(before) == (3 if technique.keep else 2)
    assert all((a != b).any() for a, b in zip(after, before, strict=True))


@every_share
def test_the_bytes_of_a_plan_are_those_of_the_layer(technique):
    (row, *_) = tfc.plan(small_models.sequential(), spec(technique)).layers
    a, b = technique.hashing.sizes(40)
    assert row.after.bytes == 4 * 12 * (a + b + technique.keep) + 4 * len(technique.by_frequency)
    student = tfc.apply(small_models.sequential(), spec(technique))
    nothing = tfc.Spec([tfc.rule(tfc.by_name("table"), tfc.Quantize(32))])
    assert tfc.plan(student, nothing).layers[0].before.bytes == row.after.bytes


def test_by_frequency_holds_only_what_is_kept_and_takes_arrays():
    technique = tfc.Share(tfc.DoubleHash(7), keep=2, by_frequency=np.array([5, 3, 1]))
    assert technique.by_frequency == (5, 3)
    assert tfc.Spec.from_json(spec(technique).to_json()) == spec(technique)
    assert tfc.Share(tfc.DoubleHash(7), by_frequency=[5, 3]).by_frequency == ()


@pytest.mark.parametrize(
    ("technique", "reason"),
    [
        (tfc.Share(keep=40), "every one of its 40 ids is kept"),
        (tfc.Share(tfc.DoubleHash(30)), "a 40x12 table of 1920 bytes would not be smaller: 2832"),
        (tfc.Share(tfc.QuotientRemainder(8), keep=30), "would not be smaller"),
    ],
)
def test_what_is_skipped_says_why(technique, reason):
    (row, *_) = tfc.plan(small_models.sequential(), spec(technique)).layers
    assert row.steps == () and reason in row.skipped[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.QuotientRemainder(1), "remainders=1; expected a whole number from 2"),
        (lambda: tfc.QuotientRemainder(2.0), "remainders=2.0"),
        (lambda: tfc.QuotientRemainder(8, "add"), "combine='add'; expected Product() or Sum()"),
        (lambda: tfc.DoubleHash(2), "buckets=2; expected a whole number from 3"),
        (lambda: tfc.Share(8), "hashing=8; expected QuotientRemainder(...) or DoubleHash(...)"),
        (lambda: tfc.Share(keep=-1), "keep=-1; expected a whole number from 0"),
        (lambda: tfc.Share(keep=True), "keep=True"),
        (lambda: tfc.Share(keep=3, by_frequency=(1, 2)), "by_frequency=(1, 2) with keep=3"),
        (lambda: tfc.Share(keep=2, by_frequency=(1, 1)), "none twice"),
        (lambda: tfc.Share(keep=1, by_frequency=(-1,)), "whole numbers from 0"),
        (lambda: tfc.Share(keep=1, by_frequency=(0.5,)), "expected ids, whole numbers"),
        (lambda: tfc.Share(keep=200, by_frequency=range(99)), "by_frequency=range(0, 99)"),
        (lambda: tfc.Share(keep=99, by_frequency=[0] * 99), "0, 0,... with keep=99"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=re.escape(message)):
        make()


def test_ids_that_a_table_does_not_have_fail_in_plan():
    technique = tfc.Share(tfc.DoubleHash(7), keep=2, by_frequency=(3, 40))
    with pytest.raises(
        tfc.SpecError, match=r"id 40 in by_frequency for the table 'table'.*0 to 39"
    ):
        tfc.plan(small_models.sequential(), spec(technique))


# --- in a file ----------------------------------------------------------------------------------

CALL = {"serve": tfc.Signature(lambda m, ids: m(ids), {"ids": tf.TensorSpec([2, 5], tf.int32)})}


@every_share
@pytest.mark.parametrize("more", [(), (tfc.Quantize(4, tfc.PerTensor()),)], ids=repr)
def test_a_file_holds_the_small_tables_once_and_no_large_one(technique, more, tmp_path):
    student = tfc.apply(small_models.tied(factor_by_factor=True), spec(technique, *more))
    made = tfc.export(student, tmp_path / "m", CALL, tolerance=0.05)
    model = flatbuffer.read(made.model.read_bytes())
    shapes = [list(t.shape) for t in model.subgraphs[0].tensors if _has_data(model, t)]
    assert [40, 12] not in shapes and [40] not in shapes
    planned = tfc.plan(small_models.tied(), spec(technique, *more)).bytes_after
    found = made.report["sizes"]
    scales = sum(weight["scales"] for layer in made.report["layers"] for weight in layer["weights"])
    # Zero points lie beside scales; the rest is indices and shapes. Biases of zeros, which nothing
    # was trained for here, are counted in the plan and left out by the converter.
    biases = 4 * (small_models.UNITS + small_models.WIDTH)
    stored = found["weights"] + found["scales"] + biases
    assert -8 <= stored - planned <= 130 + 8 * scales
    (rule,) = tfc.Spec.from_json((made.folder / "spec.json").read_text()).rules
    kept = tuple(sorted(technique.by_frequency))
    assert rule.techniques == (tfc.Share(technique.hashing, technique.keep, kept), *more)


def _has_data(model, tensor):
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0
