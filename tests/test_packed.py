"""experiments.models.packed: one table for all fields, two readings, and its config."""

import numpy as np
import pytest

from experiments.models import tf
from experiments.models.packed import PackedConfig, PackedRanker

SIZES = {"user": 20, "item": 12, "genres": 5}


def build(**changes):
    model = PackedRanker(PackedConfig(SIZES, **{"slots": 2, "dim": 4, "reading": 6, **changes}))
    model(tf.zeros([1, 4], tf.int32))
    return model


def rows(n=64):
    random = np.random.default_rng(0)
    features = np.stack([random.integers(0, size, n) for size in (20, 12, 5, 5)], axis=1)
    return np.hstack([features, features[:, :1] % 2]).astype(np.int32)


def test_each_field_has_its_part_of_the_table():
    config = build().config
    assert config.starts == {"user": 0, "item": 20, "genres": 32}
    assert (config.offsets, config.length) == ((0, 20, 32, 32), 4)


def test_it_computes_what_it_says():
    model, features = build(deep=(3,)), rows(5)[:, :-1]
    table = model.table.embeddings.numpy()
    x = table[features + np.array([0, 20, 32, 32])].reshape(5, -1)
    kernel, bias = model.read.get_weights()
    read = x @ kernel + bias
    x = read[:, :6] * read[:, 6:]
    x = np.maximum(x @ model.deep[0].kernel.numpy() + model.deep[0].bias.numpy(), 0)
    expected = (x @ model.head.kernel.numpy() + model.head.bias.numpy())[:, 0]
    np.testing.assert_allclose(model(tf.constant(features)), expected, atol=1e-6)


def test_named_fields_say_the_same_as_rows():
    model, features = build(), rows()[:, :-1]
    columns = {"user": features[:, 0], "item": features[:, 1], "genres": features[:, 2:]}
    said = model.click(**{name: tf.constant(value) for name, value in columns.items()})
    np.testing.assert_allclose(said["probability"], tf.sigmoid(model(features)), rtol=1e-6)


def test_a_model_without_genres_reads_one_row_a_field():
    model = PackedRanker(PackedConfig({"user": 20, "item": 12}, dim=4))
    said = model.click(user=tf.constant([3, 4]), item=tf.constant([1, 2]))["probability"]
    np.testing.assert_allclose(said, tf.sigmoid(model(tf.constant([[3, 1], [4, 2]]))), rtol=1e-6)


def test_it_learns():
    model, batch = build(), tf.constant(rows())
    model.compile(tf.keras.optimizers.Adam(0.02))
    step = tf.function(model.train_step)
    losses = [float(step(batch)["loss"]) for _ in range(80)]
    assert losses[-1] < 0.3 * losses[0]


def test_its_config_makes_it_again():
    model = build(deep=(3, 2))
    again = PackedRanker.from_config(model.get_config())
    assert again.config == model.config and len(again.deep) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slots", 0), ("dim", 0), ("reading", 0), ("sizes", {}), ("sizes", {"user": 1}),
        ("deep", ()), ("deep", (0,)),
    ],
)  # fmt: skip
def test_sizes_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=f"Received {field}=.*expected"):
        PackedConfig(**{"sizes": SIZES, field: value})
