"""Tier: a table in 4 bits along its axes and second codes, against NumPy, and what is in a file."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.export.done import spec_of
from tfcompress.layers import TieredEmbedding
from tfcompress.layers.best import block_size, largest
from tfcompress.layers.tiers import GROUP, unpacked
from tfcompress.techniques import principal
from tfcompress.techniques.tier import packed, pairs, places, with_others

IDS, WIDTH, K = 2_000, 16, 10
RNG = np.random.default_rng(0)
SPREAD = np.linspace(2.0, 0.2, WIDTH).astype(np.float32)


@pytest.fixture(scope="module")
def table():
    """Rows [IDS, WIDTH] that vary along some axes more than along others, around a mean."""
    rows = RNG.standard_normal((IDS, WIDTH), np.float32) * SPREAD
    return rows @ np.linalg.qr(RNG.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32) + 0.3


@pytest.fixture(scope="module")
def asking(table, tmp_path_factory):
    """Vectors like rows, in a file."""
    path = tmp_path_factory.mktemp("asking") / "vectors.npy"
    vectors = table[RNG.integers(0, IDS, 300)] + 0.3 * RNG.standard_normal((300, WIDTH), np.float32)
    np.save(path, vectors.astype(np.float32))
    return path


class Asked(keras.Model):
    """A table, its rows, and its best ones."""

    def __init__(self, rows):
        super().__init__()
        self.items = keras.layers.Embedding(*rows.shape, name="items")
        self.items.build((None,))
        self.items.set_weights([rows])
        self.built = True

    def call(self, ids):
        return tf.reduce_mean(self.items(ids), axis=1)

    def recommend(self, vector):
        items, best = tfc.top_k(vector, self.items, K)
        return {"items": items, "scores": best, "all": tfc.scores(vector, self.items)}


def spec(technique):
    return tfc.Spec([tfc.rule(tfc.by_name("items"), technique)])


@pytest.fixture(scope="module")
def student(table, asking):
    return tfc.apply(Asked(table), spec(tfc.Tier(str(asking), wide=3, found=40)))


# --- arithmetic ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 700), st.integers(1, 6), st.integers(1, 3), st.booleans(), st.integers(0, 9))
def test_the_largest_are_those_of_a_sort(ids, k, rows, ties, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (rows, ids)) if ties else rng.permutation(rows * ids)
    scores = np.asarray(scores, np.float32).reshape(rows, ids)
    k = min(k, ids)
    found = largest(tf.constant(scores), k).numpy()
    assert all(len(set(row)) == k for row in found.tolist())
    best = np.take_along_axis(scores, found, 1)
    np.testing.assert_array_equal(best, -np.sort(-scores, axis=1)[:, :k])


@pytest.mark.parametrize(("ids", "size"), [(1_000_000, 32), (3_706, 34), (10_007, 32), (700, 35)])
def test_blocks_divide_all_numbers_where_a_size_near_32_does(ids, size):
    assert block_size(ids) == size


def test_codes_survive_their_bytes():
    codes = RNG.integers(-7, 8, (9, 6)).astype(np.int8)
    np.testing.assert_array_equal(unpacked(tf.constant(packed(codes))), codes)


def test_places_count_the_second_codes_before_an_id():
    often = np.sort(RNG.permutation(3 * GROUP + 5)[:200])
    local, before = places(often, 3 * GROUP + 5)
    slots = before[often // GROUP] + local[often] - 1
    np.testing.assert_array_equal(slots, np.arange(200))
    assert (np.delete(local, often) == 0).all()
    assert places(np.arange(2 * GROUP), 2 * GROUP)[0].max() == GROUP


def test_the_best_rows_are_those_of_a_sort(table, asking):
    vectors = np.load(asking)[:7]
    found = principal.best_rows(table, vectors, 50)
    expected = np.argsort(-(vectors @ table.T), 1)[:, :50]
    np.testing.assert_array_equal(np.sort(found, 1), np.sort(expected, 1))
    whole = principal.best_rows(table[:9], vectors, 9)
    np.testing.assert_array_equal(np.sort(whole, 1), np.tile(np.arange(9), (7, 1)))


def test_axes_keep_inner_products_and_make_the_vectors_alike(table, asking):
    vectors = np.load(asking)
    axes = principal.principal_axes(vectors, table[:300])
    turned, coordinates = vectors @ axes.back.T, (table - axes.center) @ axes.to
    expected = vectors @ (table - axes.center).T
    np.testing.assert_allclose(turned @ coordinates.T, expected, atol=1e-3)
    np.testing.assert_allclose(turned.T @ turned / len(turned), np.eye(WIDTH), atol=1e-2)
    covariance = np.cov(coordinates[:300], rowvar=False)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-6)
    assert (np.diff(np.diag(covariance)) <= 1e-9).all()


def test_mixed_axes_vary_alike_and_are_the_same_space(table, asking):
    axes = principal.principal_axes(np.load(asking), table[:300])
    mixed = principal.mixed(axes, [4, 10])
    np.testing.assert_allclose(mixed.to @ mixed.back, np.eye(WIDTH), atol=1e-9)
    np.testing.assert_allclose(mixed.to[:, 14:], axes.to[:, 14:])
    before, after = ((table[:300] @ a.to[:, 4:14]).var(0) for a in (axes, mixed))
    assert after.max() / after.min() < before.max() / before.min()


@pytest.mark.parametrize("wide", [0, 3, 8])
def test_codes_are_the_nearest_levels(table, asking, wide):
    vectors = np.load(asking)
    columns = principal.fitted_columns(vectors, table[:300], wide)
    codes, used = columns.codes(table), WIDTH - wide
    assert codes.dtype == np.int8
    assert np.abs(codes).max() == 7
    coordinates = (table - columns.axes.center) @ columns.axes.to[:, :used] / columns.steps
    first, narrow, last = np.split(codes.astype(int), [wide, used], axis=1)
    np.testing.assert_allclose(narrow, np.clip(coordinates[:, wide:], -7, 7), atol=0.501)
    np.testing.assert_allclose(
        15 * first + last, np.clip(coordinates[:, :wide], -112, 112), atol=0.501
    )
    left = coordinates @ (columns.axes.back[:used] * columns.steps[:, None])
    short = np.abs(coordinates[:, wide:]).max(1, initial=0.0) < 7
    scores, error = vectors @ left[short].T, vectors @ (codes @ columns.matrix - left)[short].T
    assert error.std() < 0.25 * scores.std()


def test_pairs_are_of_rows_without_second_codes_and_of_all(table, asking):
    found = principal.best_rows(table, np.load(asking), 40)
    often = principal.most_found(found, table, 200)
    vectors, rows = pairs(found, often, IDS, np.random.default_rng(0))
    half = len(rows) // 2
    assert not np.isin(rows[:half], often).any()
    assert all(row in found[vector] for vector, row in zip(vectors[:50], rows[:50], strict=True))


def test_some_rows_ask_for_rows_and_are_as_large_as_the_vectors(table, asking):
    vectors, rng = 5.0 * np.load(asking)[:200], np.random.default_rng(0)
    both, rows = with_others(vectors, table[:200], table, rng)
    assert len(both) == len(rows) == 260
    np.testing.assert_array_equal(both[:200], vectors)
    np.testing.assert_allclose(np.mean(both[200:] ** 2), np.mean(vectors**2), rtol=0.3)


# --- the technique ------------------------------------------------------------------------------


def test_rows_found_often_are_nearly_exact_and_all_are_near(table, student):
    layer = student.items
    assert isinstance(layer, TieredEmbedding)
    error = np.abs(layer.embeddings.numpy() - table)
    fine = layer.fine_ids().numpy()
    assert len(fine) == 400
    assert error[fine].mean() < 0.15 * np.delete(error, fine, 0).mean()
    assert error.mean() < 0.25 * np.abs(table).mean()


def test_the_best_are_found_as_in_float32(table, asking, student):
    vectors = np.load(asking)[:100]
    found = student.recommend(vectors)["items"].numpy()
    exact = np.argsort(-(vectors @ table.T), 1)[:, :K]
    recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(found, exact, strict=True)])
    assert recall > 0.9
    plain = tfc.apply(Asked(table), spec(tfc.Tier(wide=3, fine=0.0005)))  # one second code
    found = plain.recommend(vectors)["items"].numpy()
    coarse = np.mean([len(set(a) & set(b)) / K for a, b in zip(found, exact, strict=True)])
    assert coarse < recall - 0.02


def test_scores_and_best_are_those_of_its_rows(student, asking):
    vectors = np.load(asking)[:5]
    answer = student.recommend(vectors)
    expected = vectors @ student.items.embeddings.numpy().T
    np.testing.assert_allclose(answer["all"], expected, atol=1e-4)
    best = np.take_along_axis(expected, answer["items"].numpy(), 1)
    np.testing.assert_allclose(answer["scores"], best, atol=1e-4)
    np.testing.assert_array_equal(np.sort(best)[:, ::-1], best)


def test_its_plan_is_its_bytes(table, asking, student):
    row = tfc.plan(Asked(table), spec(tfc.Tier(str(asking), wide=3))).layers[0]
    assert row.after.bytes == sum(w.numpy().nbytes for w in student.items.weights)


def test_a_model_of_tiers_is_saved_and_says_what_was_done(student, tmp_path):
    config = keras.layers.serialize(student.items)
    again = keras.layers.deserialize(config)
    again.build(None)
    again.set_weights(student.items.get_weights())
    np.testing.assert_array_equal(again.embeddings, student.items.embeddings)
    assert spec_of(student) == spec(tfc.Tier(wide=3))


@pytest.mark.parametrize("batch", [1, 3])
def test_a_file_finds_the_same_in_few_bytes(table, asking, student, tmp_path, batch):
    vectors = np.load(asking)[: 2 * batch].reshape(2, batch, WIDTH)
    ids = RNG.integers(0, IDS, (2, batch, 5)).astype(np.int32)
    made = tfc.export(
        student,
        tmp_path / "made",
        {
            "recommend": tfc.Signature(
                Asked.recommend, {"vector": tf.TensorSpec([batch, WIDTH], tf.float32)}
            ),
            "rows": tfc.Signature(
                lambda model, ids: {"vectors": model(ids)},
                {"ids": tf.TensorSpec([batch, 5], tf.int32)},
            ),
        },
        {"recommend": [{"vector": v} for v in vectors], "rows": [{"ids": i} for i in ids]},
    )
    deviation = {
        f"{a['signature']}.{a['output']}": a["deviation"] for a in made.report["verification"]
    }
    assert deviation["recommend.items"] <= 0.05
    assert deviation["recommend.scores"] < 1e-3
    assert deviation["rows.vectors"] < 1e-5
    codes = IDS * (WIDTH // 2 + 1) + 400 * WIDTH // 2
    assert made.report["sizes"]["weights"] < codes + 400 * 4 + 6_000  # `all` names the fine ids


def test_a_table_of_odd_width_or_of_few_axes_is_skipped(table):
    for width, wide, match in ((15, 2, "even width"), (16, 9, "at most half")):
        (row,) = tfc.plan(Asked(table[:, :width]), spec(tfc.Tier(wide=wide))).layers
        assert match in row.skipped[0]


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"fine": 0.0}, "fine=0.0; expected a share above 0"),
        ({"fine": True}, "fine=True"),
        ({"wide": -1}, "wide=-1; expected a whole number from 0"),
        ({"found": 0}, "found=0; expected a whole number from 1"),
        ({"seed": 0.5}, "seed=0.5"),
    ],
)
def test_fields_are_checked(fields, match):
    with pytest.raises(tfc.SpecError, match=match):
        tfc.Tier(**fields)


def test_vectors_that_do_not_fit_fail_in_plan(table, tmp_path):
    with pytest.raises(tfc.SpecError, match="could not read"):
        tfc.plan(Asked(table), spec(tfc.Tier(str(tmp_path / "none.npy"), wide=2)))
    np.save(tmp_path / "other.npy", np.zeros((4, 7), np.float32))
    with pytest.raises(tfc.SpecError, match=r"holds float32 \(4, 7\); expected floats \[n, 16\]"):
        tfc.plan(Asked(table), spec(tfc.Tier(str(tmp_path / "other.npy"), wide=2)))


def test_a_layer_of_odd_width_or_without_fine_rows_is_an_error():
    for width, fine in ((7, 1), (8, 0), (8, 11)):
        with pytest.raises(tfc.SpecError, match="TieredEmbedding received a width"):
            TieredEmbedding(10, width, fine=fine)


def test_in_mixed_precision_rows_are_halves_and_choices_are_not(student, asking):
    layer = TieredEmbedding(IDS, WIDTH, fine=400, dtype="mixed_float16")
    layer.build(None)
    layer.set_weights(student.items.get_weights())
    rows = layer(tf.constant([3, 4]))
    assert rows.dtype == tf.float16
    np.testing.assert_allclose(rows, student.items(tf.constant([3, 4])), rtol=1e-2, atol=1e-2)
    vectors = tf.cast(np.load(asking)[:2], tf.float16)
    assert tfc.scores(vectors, layer).dtype == tfc.top_k(vectors, layer, 3)[1].dtype == tf.float16


def test_more_rows_than_there_are_cannot_be_asked_for(student, asking):
    with pytest.raises(tfc.SpecError, match="expected 1 <= k <= among"):
        tfc.top_k(np.load(asking)[:1], student.items, IDS + 1)
