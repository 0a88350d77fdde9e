"""experiments.models.ranking: DCN-v2 over fields, its loss, and its config."""

import numpy as np
import pytest

from experiments.models import tf
from experiments.models.ranking import Ranker, RankingConfig

SIZES = {"user": 20, "item": 12, "genres": 5}


def build(**changes):
    model = Ranker(RankingConfig(SIZES, **{"slots": 2, "dim": 4, "deep": (8,), **changes}))
    model(tf.zeros([1, 4], tf.int32))
    return model


def rows(n=64):
    random = np.random.default_rng(0)
    features = np.stack([random.integers(0, size, n) for size in (20, 12, 5, 5)], axis=1)
    return np.hstack([features, features[:, :1] % 2]).astype(np.int32)


def test_a_row_and_its_named_fields_say_the_same():
    model, features = build(), tf.constant(rows()[:, :-1])
    columns = model.columns(features)
    assert {name: column.shape[1:].as_list() for name, column in columns.items()} == {
        "user": [], "item": [], "genres": [2]}  # fmt: skip
    np.testing.assert_allclose(
        model.click(**columns)["probability"], tf.sigmoid(model(features)), rtol=1e-6
    )


def test_genres_are_the_mean_of_their_rows():
    model = build()
    x = model.rows_of(model.columns(tf.constant([[1, 2, 3, 4]])))
    table = model.tables["genres"].embeddings.numpy()
    np.testing.assert_allclose(x[0, -4:], (table[3] + table[4]) / 2, rtol=1e-6)


def test_the_penalty_is_half_the_squared_length_of_the_tables():
    plain, batch = build(dropout=0.0), tf.constant(rows())
    fined = build(dropout=0.0, penalty=0.5)
    fined.set_weights(plain.get_weights())
    added = float(fined.compute_loss(batch) - plain.compute_loss(batch))
    squares = sum((table.embeddings.numpy() ** 2).sum() for table in plain.tables.values())
    assert added == pytest.approx(0.25 * squares, rel=1e-3)


@pytest.mark.parametrize("projection", [None, 3])
def test_it_learns(projection):
    model, batch = build(projection=projection), tf.constant(rows())
    model.compile(tf.keras.optimizers.Adam(0.02))
    step = tf.function(model.train_step)
    losses = [float(step(batch)["loss"]) for _ in range(60)]
    assert losses[-1] < 0.3 * losses[0]


def test_its_config_makes_it_again():
    model = build(projection=2, crosses=3)
    again = Ranker.from_config(model.get_config())
    assert again.config == model.config and len(again.crosses) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slots", 0), ("dim", 0), ("crosses", 0), ("sizes", {}), ("sizes", {"user": 1}),
        ("deep", ()), ("deep", (0,)), ("projection", 0), ("dropout", 1.0), ("penalty", -1.0),
    ],
)  # fmt: skip
def test_sizes_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=f"Received {field}=.*expected"):
        RankingConfig(**{"sizes": SIZES, field: value})
