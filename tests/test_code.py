"""Code: product quantization against NumPy, and what of it is in a file."""

import re

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.vq import kmeans2

import tfcompress as tfc
from tfcompress.export import flatbuffer
from tfcompress.layers import CodedEmbedding
from tfcompress.layers.coded import decode, partial_scores, scores_in_file, sum_by_codes
from tfcompress.techniques import clusters

RNG = np.random.default_rng(0)
TABLE = tfc.by_type("Embedding")


def spec(*techniques):
    return tfc.Spec([tfc.rule(TABLE, *techniques)])


def random_codes(ids, codes, centroids, part, seed=0):
    rng = np.random.default_rng(seed)
    books = rng.normal(size=(codes * centroids, part)).astype(np.float32)
    return rng.integers(0, centroids, (ids, codes)).astype(np.uint8), books


def dense(assignments, books):
    """The definition: each part of a row is the centroid that its code names."""
    codes = assignments.shape[1]
    parts = books.reshape(codes, -1, books.shape[1])
    return np.concatenate([parts[c][assignments[:, c]] for c in range(codes)], 1)


# --- arithmetic ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(
    st.integers(1, 9), st.integers(1, 5), st.integers(1, 7), st.integers(1, 4), st.integers(1, 3)
)
def test_rows_and_scores_are_those_of_the_table_that_codes_stand_for(
    ids, codes, centroids, part, count
):
    assignments, books = random_codes(ids, codes, centroids, part)
    table = dense(assignments, books)
    np.testing.assert_array_equal(decode(tf.constant(assignments), books), table)
    vectors = RNG.normal(size=(count, codes * part)).astype(np.float32)
    partial = partial_scores(vectors, books, codes)
    assert partial.shape == (count, codes, centroids)
    expected = vectors @ table.T
    np.testing.assert_allclose(sum_by_codes(partial, assignments), expected, rtol=1e-4, atol=1e-4)
    in_file = scores_in_file(tf.constant(vectors), tf.constant(books), tf.constant(assignments))
    np.testing.assert_allclose(in_file, expected, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_a_score_is_that_of_the_dense_table():
    assignments, books = random_codes(30, 3, 4, 2)
    vectors = RNG.normal(size=(5, 6)).astype(np.float32)
    weights = RNG.normal(size=(5, 30)).astype(np.float32)
    variable = tf.Variable(books)
    with tf.GradientTape() as tape:
        found = sum_by_codes(partial_scores(vectors, variable, 3), assignments)
        loss = tf.reduce_sum(found * weights)
    by_row = (weights.T @ vectors).reshape(30, 3, 2)
    expected = np.zeros((3, 4, 2))
    for code in range(3):
        np.add.at(expected[code], assignments[:, code], by_row[:, code])
    np.testing.assert_allclose(tape.gradient(loss, variable), expected.reshape(12, 2), atol=1e-4)


def test_centroids_are_the_least_squares_of_given_codes():
    assignments, _ = random_codes(50, 2, 5, 3)
    table = RNG.normal(size=(50, 6))
    found = clusters.centroids_of(table, assignments, 5).reshape(2, 5, 3)
    for code in range(2):
        chosen = np.eye(5)[assignments[:, code]]
        expected = np.linalg.lstsq(chosen, table[:, code * 3 : code * 3 + 3], rcond=None)[0]
        np.testing.assert_allclose(found[code], expected, atol=1e-5)


def test_nearest_is_nearest_and_says_how_near():
    points, centroids = RNG.normal(size=(40, 3)), RNG.normal(size=(7, 3))
    squared = np.square(points[:, None] - centroids).sum(2)
    places, distances = clusters.nearest(points, centroids)
    np.testing.assert_array_equal(places, squared.argmin(1))
    np.testing.assert_allclose(distances, squared.min(1), atol=1e-9)


def error_of(points, centroids):
    return float(clusters.nearest(points, centroids)[1].sum())


def test_kmeans_is_as_close_as_scipys():
    points = (RNG.normal(size=(600, 3)) + RNG.integers(0, 4, (600, 1)) * 3).astype(np.float32)
    ours = clusters.kmeans(points, 16, 25, np.random.default_rng(0))
    theirs, _ = kmeans2(points, 16, iter=25, minit="++", rng=np.random.default_rng(0))
    assert error_of(points, ours) < 1.1 * error_of(points, theirs)


def test_kmeans_ends_where_every_centroid_is_the_mean_of_its_points():
    points = RNG.normal(size=(300, 2)).astype(np.float32)
    centroids = clusters.kmeans(points, 8, 500, np.random.default_rng(0))
    places, _ = clusters.nearest(points, centroids)
    means = np.stack([points[places == k].mean(0) for k in range(8)])
    np.testing.assert_allclose(centroids, means, atol=1e-5)


@pytest.mark.parametrize("distinct", [1, 3, 8])
def test_no_more_distinct_points_than_centroids_are_met_exactly(distinct):
    points = RNG.normal(size=(distinct, 4)).astype(np.float32)[np.arange(40) % distinct]
    centroids = clusters.kmeans(points, 8, 25, np.random.default_rng(0))
    assert centroids.shape == (8, 4)
    assert error_of(points, centroids) < 1e-4


def test_kmeans_looks_at_a_sample_of_a_tall_table():
    points = RNG.normal(size=(40_000, 2)).astype(np.float32)
    sampled = clusters.kmeans(points, 4, 25, np.random.default_rng(0))
    theirs, _ = kmeans2(points, 4, iter=25, minit="++", rng=np.random.default_rng(0))
    assert error_of(points, sampled) < 1.1 * error_of(points, theirs)


@pytest.mark.parametrize(("count", "centroids"), [(100, 8), (5, 8), (8, 8), (1, 2)])
def test_quantiles_are_of_equal_size_and_in_order(count, centroids):
    values = RNG.integers(0, 4, count).astype(float)
    codes = clusters.quantile_codes(values, centroids, np.random.default_rng(0))
    sizes = np.bincount(codes)
    assert sizes.max() - sizes.min() <= 1 and len(sizes) == min(centroids, count)
    for low in range(len(sizes) - 1):
        assert values[codes == low].max() <= values[codes == low + 1].min()


def test_item_factors_span_the_leading_singular_vectors():
    groups = RNG.integers(0, 4, 60)
    liked = RNG.random((80, 60)) < np.where(np.arange(80)[:, None] % 4 == groups, 0.6, 0.05)
    users, items = np.nonzero(liked)
    again = RNG.integers(0, len(users), 500)  # repeated pairs count once
    users, items = np.append(users, users[again]), np.append(items, items[again])
    found = clusters.item_factors(users, items, 60, 3)
    _, _, vt = np.linalg.svd(liked.astype(float), full_matrices=False)
    np.testing.assert_allclose(found @ found.T, vt[:3].T @ vt[:3], atol=1e-3)


def test_more_factors_than_there_are_users_are_zero():
    found = clusters.item_factors(np.array([0, 1]), np.array([0, 4]), 6, 4)
    assert found.shape == (6, 4)
    assert np.linalg.matrix_rank(found) == 2


# --- the technique ------------------------------------------------------------------------------


def trained_table(ids=300, width=16):
    """Rows around a few common ones, as training makes them."""
    common = RNG.normal(size=(12, width))
    return common[RNG.integers(0, 12, ids)] + 0.2 * RNG.normal(size=(ids, width))


def embedding(ids=300, width=16, **kwargs):
    model = keras.Sequential([keras.layers.Embedding(ids, width, name="table", **kwargs)])
    model.build((None, 3))
    model.layers[0].embeddings.assign(trained_table(ids, width))
    return model


def far_off(model, student):
    table = model.layers[0].embeddings.numpy()
    return np.linalg.norm(student.layers[0].embeddings - table) / np.linalg.norm(table)


def test_more_codes_and_more_centroids_come_closer():
    model = embedding()
    errors = [
        far_off(model, tfc.apply(model, spec(tfc.Code(*n)))) for n in [(2, 8), (4, 8), (4, 32)]
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.2


def test_what_is_stored_is_codes_and_codebooks_and_only_these_train():
    student = tfc.apply(embedding(), spec(tfc.Code(4, 32)))
    layer = student.layers[0]
    assert (layer.assignments.shape, layer.assignments.dtype) == ((300, 4), tf.uint8)
    assert layer.codebooks.shape == (4 * 32, 4)
    assert [v is layer.codebooks for v in student.trainable_variables] == [True]
    (row,) = tfc.plan(embedding(), spec(tfc.Code(4, 32))).layers
    assert row.after.bytes == 300 * 4 + 4 * 32 * 4 * 4
    (now,) = tfc.plan(student, tfc.Spec([tfc.rule(tfc.by_name("table"), tfc.Quantize(32))])).layers
    assert now.before.bytes == row.after.bytes
    (quantized,) = tfc.plan(embedding(), spec(tfc.Code(4, 32), tfc.Quantize(8))).layers
    assert quantized.after.bytes == 300 * 4 + 4 * 32 * (4 + 12)  # a scale for each centroid


def test_a_table_keeps_its_mask_its_name_and_whether_it_trains():
    model = embedding(mask_zero=True)
    model.layers[0].trainable = False
    new = tfc.apply(model, spec(tfc.Code(4, 32))).layers[0]
    assert (new.name, new.trainable, new.mask_zero) == ("table", False, True)
    np.testing.assert_array_equal(new.compute_mask(tf.constant([0, 3])), [False, True])
    assert new(tf.zeros((2, 3, 4))).shape == new.compute_output_shape((2, 3, 4))


def test_centroids_train_through_look_ups_and_scores():
    student = tfc.apply(small_models.tied(factor_by_factor=True), spec(tfc.Code(4, 8)))
    before = student.table.codebooks.numpy()
    history = small_models.ids()
    student.compile(keras.optimizers.Adam(0.05))
    losses = student.fit(history, history[:, 0], epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.95 * losses[0]
    assert (student.table.codebooks.numpy() != before).mean() > 0.9


def test_a_table_in_float16_computes_with_codes():
    table = CodedEmbedding(10, 8, codes=2, centroids=4, dtype="mixed_float16")
    assert table(tf.constant([1, 2])).dtype == tf.float16


@pytest.mark.parametrize(
    ("technique", "reason"),
    [
        (tfc.Code(5, 8), "5 codes do not divide a width of 12"),
        (tfc.Code(4, 40), "a 40x12 table of 1920 bytes would not be smaller: 2080"),
    ],
)
def test_what_is_skipped_says_why(technique, reason):
    rows = tfc.plan(small_models.sequential(), spec(technique)).layers
    assert rows[0].skipped == (f"Code: {reason}",)


def test_one_table_is_made_of_one_technique():
    planned = tfc.plan(small_models.sequential(), spec(tfc.Share(), tfc.Code(4, 8)))
    assert planned.layers[0].steps == (tfc.Code(4, 8),)
    assert "another technique makes it a CodedEmbedding" in planned.layers[0].skipped[0]
    planned = tfc.plan(small_models.sequential(), spec(tfc.Code(4, 8), tfc.Factorize(2)))
    assert planned.layers[0].steps == (tfc.Factorize(2),)
    assert "another technique makes it a FactorizedEmbedding" in planned.layers[0].skipped[0]
    student = tfc.apply(small_models.sequential(), spec(tfc.Code(4, 8)))
    for other in (tfc.Share(), tfc.Code(3, 4), tfc.Factorize(2)):
        reasons = tfc.plan(student, tfc.Spec([tfc.rule(tfc.by_name("table"), other)])).layers[0]
        assert "not CodedEmbedding" in reasons.skipped[0]


def test_a_wrapped_or_penalized_table_and_another_layer_are_skipped():
    wrapped = tfc.apply(small_models.sequential(), spec(tfc.Quantize(8)))
    assert (
        "use Code on the layer before that"
        in tfc.plan(wrapped, spec(tfc.Code(4, 8))).layers[0].skipped[0]
    )
    penalized = embedding(embeddings_regularizer="l2")
    assert (
        "it has a embeddings_regularizer"
        in tfc.plan(penalized, spec(tfc.Code(4, 8))).layers[0].skipped[0]
    )
    dense = tfc.Spec([tfc.rule(tfc.by_name("hidden"), tfc.Code(4, 8))])
    assert (
        "Code knows Embedding, not Dense"
        in tfc.plan(small_models.sequential(), dense).layers[1].skipped[0]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.Code(0), "Code received codes=0; expected a whole number from 1"),
        (lambda: tfc.Code(2.5), "codes=2.5"),
        (lambda: tfc.Code(8, 257), "centroids=257; expected a whole number from 2 to 256"),
        (lambda: tfc.Code(8, 1), "centroids=1"),
        (lambda: tfc.Code(8, start="svd"), "start='svd'; expected KMeans"),
        (lambda: tfc.KMeans(rounds=0), "KMeans received rounds=0"),
        (lambda: tfc.KMeans(seed=-1), "seed=-1; expected a whole number from 0"),
        (lambda: tfc.Interactions("x.npz", seed=True), "Interactions received seed=True"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=re.escape(message)):
        make()


# --- codes from interactions --------------------------------------------------------------------


def saved(folder, users, items, name="seen.npz"):
    np.savez(folder / name, users=np.asarray(users), items=np.asarray(items))
    return tfc.Interactions(str(folder / name))


def test_codes_from_interactions_are_alike_for_ids_that_the_same_users_met(tmp_path):
    users = np.repeat(np.arange(40), 12)
    items = np.concatenate([RNG.permutation(20)[:12] + 20 * (u % 2) for u in range(40)])
    start = saved(tmp_path, users, items)
    technique = tfc.Code(2, 4, start=start)
    student = tfc.apply(small_models.sequential(), spec(technique))
    codes = student.layers[0].assignments.numpy()
    second = codes[
        :, 1
    ]  # the first vector is how popular an id is, the second which group it is in
    assert set(second[:20]).isdisjoint(second[20:])
    table = small_models.sequential().layers[0].embeddings.numpy()
    expected = clusters.centroids_of(table, codes, 4)
    np.testing.assert_allclose(student.layers[0].codebooks, expected, atol=1e-6)
    assert tfc.Spec.from_json(spec(technique).to_json()) == spec(technique)


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        (
            [0, 1],
            [0, 40],
            r"items from 0 to 40 .* expected .* 0 to 39, the ids of the table 'table'",
        ),
        ([0, -1], [0, 1], "users from -1"),
        ([0, 1], [0], "as many of the one as of the other"),
        ([0.5, 1], [0, 1], "holds users float64"),
        (np.zeros(0, int), np.zeros(0, int), "as many of the one"),
    ],
)
def test_interactions_that_do_not_fit_fail_in_plan(tmp_path, users, items, message):
    start = saved(tmp_path, users, items)
    with pytest.raises(tfc.SpecError, match=message):
        tfc.plan(small_models.sequential(), spec(tfc.Code(2, 4, start=start)))


def test_a_file_without_interactions_fails_in_plan(tmp_path):
    np.savez(tmp_path / "other.npz", rows=[1])
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("missing.npz", "other.npz", "text.npz"):
        technique = tfc.Code(2, 4, start=tfc.Interactions(str(tmp_path / name)))
        with pytest.raises(tfc.SpecError, match=rf"could not read '.*{name}'.*numpy.savez"):
            tfc.plan(small_models.sequential(), spec(technique))


# --- in a file ----------------------------------------------------------------------------------

CALL = {"serve": tfc.Signature(lambda m, ids: m(ids), {"ids": tf.TensorSpec([1, 5], tf.int32)})}


def exported(folder, *techniques, signature=None):
    student = tfc.apply(small_models.tied(factor_by_factor=True), spec(*techniques))
    return student, tfc.export(student, folder / "m", signature or CALL, tolerance=0.05)


def tensors_of(made):
    model = flatbuffer.read(made.model.read_bytes())
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            yield tensor, np.asarray(data, np.uint8)


@pytest.mark.parametrize(
    ("more", "kind", "bits"),
    [((), 0, 32), ((tfc.Quantize(8),), 9, 8), ((tfc.Quantize(4, tfc.PerTensor()),), 17, 4)],
    ids=repr,
)
def test_a_file_holds_codes_as_bytes_and_codebooks_once(more, kind, bits, tmp_path):
    student, made = exported(tmp_path, tfc.Code(3, 8), *more)
    codes = [d for t, d in tensors_of(made) if t.type == flatbuffer.schema.TensorType.UINT8]
    stored = student.table.layer.assignments if more else student.table.assignments
    for data in codes:  # tensors of one buffer
        np.testing.assert_array_equal(data.reshape(3, 40).T, stored)
    books = {t.buffer for t, _ in tensors_of(made) if list(t.shape) == [24, 4] and t.type == kind}
    assert len(books) == 1
    assert made.report["operators"]["FULLY_CONNECTED"] == 3
    assert made.report["operators"]["EMBEDDING_LOOKUP"] == 1
    # codes, codebooks, the trunk in float, and less than 150 bytes of indices and shapes
    weights = 120 + 24 * 4 * bits // 8 + 4 * (12 * 16 + 16 + 16 * 12 + 12)
    assert 0 <= made.report["sizes"]["weights"] - weights < 150
    planned = tfc.plan(small_models.tied(), spec(tfc.Code(3, 8), *more)).bytes_after
    found = made.report["sizes"]
    assert abs(found["weights"] + found["scales"] - planned) < 150 + 8 * 24  # and zero points
    assert made.report["verification"][0]["deviation"] < 0.02


def test_a_file_scores_several_vectors_at_once(tmp_path):
    call = {"serve": tfc.Signature(lambda m, ids: m(ids), {"ids": tf.TensorSpec([3, 5], tf.int32)})}
    student, made = exported(tmp_path, tfc.Code(4, 8), signature=call)
    history = small_models.ids(3, seed=5)
    np.testing.assert_allclose(
        tfc.LiteModel(made.model).run("serve", {"ids": history})["output"],
        student(history),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_spec_of_a_file_says_what_its_table_is(tmp_path):
    code = tfc.Code(3, 8, tfc.KMeans(rounds=7))
    _, made = exported(tmp_path, code, tfc.Quantize(8))
    (rule,) = tfc.Spec.from_json((made.folder / "spec.json").read_text()).rules
    assert rule.techniques == (code, tfc.Quantize(8))


def test_a_table_that_is_read_whole_is_refused_in_a_file(tmp_path):
    student = tfc.apply(small_models.tied(factor_by_factor=False), spec(tfc.Code(3, 8)))
    with pytest.raises(tfc.ExportError, match=r"table is read as a whole table.*tfcompress.scores"):
        tfc.export(student, tmp_path / "m", CALL)
