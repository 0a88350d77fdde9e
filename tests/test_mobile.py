"""experiments.models.mobile: causal, blind to padding, consistent with itself, serializable."""

import numpy as np
import pytest
from sequences import LENGTH, N_ITEMS, histories, sees_every_real_event, shown

from experiments.models import store, tf
from experiments.models.mobile import MobileConfig, MobileSASRec, lateness, places, unit


def config(**changes):
    sizes = {"n_items": N_ITEMS, "length": LENGTH, "dim": 8, "heads": 2, "feedforward": (12, 10)}
    return MobileConfig(**{**sizes, **changes})


def made(seed=0, **changes):
    model = store.build(config(**changes))
    return shown(model, seed)


@pytest.fixture(scope="module")
def model():
    return made()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_items": 0}, "n_items=0, expected at least 1"),
        ({"heads": 3}, "dim=8, heads=3; expected heads to divide dim"),
        ({"feedforward": ()}, r"feedforward=\(\), expected a width of at least 1 for each block"),
        ({"dropout": 1.0}, "dropout=1.0, expected 0 <= dropout < 1"),
    ],
)
def test_sizes_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_nobody_sees_the_future_or_padding():
    late = lateness(places(tf.constant([[0, 0, 5, 6]]))).numpy()[0]
    np.testing.assert_array_equal(late[2:] == 0, [[0, 0, 1, 0], [0, 0, 1, 1]])
    assert late[2:][late[2:] > 0].min() >= 10_000


def test_a_unit_row_has_a_mean_square_of_one():
    rows = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    np.testing.assert_allclose(np.square(unit(rows)).mean(-1), 1, atol=1e-5)


def test_a_row_does_not_see_the_future(model):
    rows = histories(4, seed=1)
    changed = rows.copy()
    changed[:, -1] = changed[:, -1] % N_ITEMS + 1
    before, after = model(rows).numpy(), model(changed).numpy()
    events = rows[:, :-1] != 0  # what padding sees is of no use to anybody
    np.testing.assert_allclose(after[:, :-1][events], before[:, :-1][events], atol=1e-5)
    assert np.abs(after[:, -1] - before[:, -1]).min(axis=1).max() > 1e-3


def test_a_row_sees_every_real_event_before_it(model):
    sees_every_real_event(model)


def test_padding_is_not_seen():
    model, rows = made(), np.array([[0, 0, 0, 7, 8, 9]], np.int32)
    before = model(rows).numpy()
    table = model.item_table.get_weights()[0]
    table[0, 0] += 5
    model.item_table.set_weights([table])
    np.testing.assert_allclose(model(rows).numpy()[:, 3:], before[:, 3:], atol=1e-5)


def test_the_mean_of_an_items_row_is_its_bias_alone():
    model, rows = made(), histories(4)
    before = model.hidden(rows).numpy()
    table = model.item_table.get_weights()[0]
    raised = table + np.random.default_rng(0).normal(size=(N_ITEMS + 1, 1)).astype(np.float32)
    model.item_table.set_weights([raised])
    np.testing.assert_allclose(model.hidden(rows), before, atol=1e-4)


def test_a_few_rows_are_the_last_of_all(model):
    rows = histories(32)
    for n in (1, 3):
        np.testing.assert_allclose(model.hidden(rows, rows=n), model(rows)[:, -n:], atol=1e-5)
    np.testing.assert_allclose(model.last(rows), model(rows)[:, -1], atol=1e-5)


def test_a_reading_block_agrees_with_numpy(model):
    block = model.reading
    x = np.random.default_rng(0).normal(size=(3, LENGTH, 8)).astype(np.float32)
    w = {
        n: [v.numpy() for v in getattr(block, n).weights]
        for n in ("reader", "writer", "ff1", "ff2")
    }

    def dense(rows, name):
        return rows @ w[name][0] + w[name][1]

    def normed(rows):
        return rows / np.sqrt(np.square(rows).mean(-1, keepdims=True))

    known = normed(x)
    parts = []
    for head in np.split(dense(known[:, -1:], "reader"), 2, axis=-1):
        asked = np.exp(head @ known.transpose(0, 2, 1))
        parts.append(asked / asked.sum(-1, keepdims=True) @ known)
    after = x[:, -1:] + dense(np.concatenate(parts, -1), "writer")
    expected = after + dense(np.maximum(dense(normed(after), "ff1"), 0), "ff2")
    found = block(x, tf.zeros([3, 1, LENGTH]))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_it_learns_what_follows_what():
    tf.keras.utils.set_random_seed(1)
    model = store.build(config())
    model.compile(tf.keras.optimizers.Adam(0.02))
    start = np.random.default_rng(0).integers(0, N_ITEMS, (256, 1))
    windows = (start + np.arange(LENGTH + 1)) % N_ITEMS + 1  # each item is followed by the next
    model.fit(windows.astype(np.int32), epochs=20, batch_size=64, verbose=0)
    answer = model.recommend(tf.constant(windows[:1, :-1], tf.int32))
    assert answer["items"][0, 0] == windows[0, -1]


def test_an_empty_history_has_an_answer(model):
    scores = model.recommend(tf.zeros([1, LENGTH], tf.int32))["scores"].numpy()
    assert np.isfinite(scores).all() and np.abs(scores).max() < 1000


def test_the_config_survives_its_round_trip(model, tmp_path):
    restored = MobileSASRec.from_config(model.get_config())
    assert (restored.config, restored.name) == (model.config, model.name)
    for block in (*model.mixing, model.reading):
        assert type(block).from_config(block.get_config()).get_config() == block.get_config()
    model.save(tmp_path / "model.keras")
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(histories(4)), model(histories(4)), atol=1e-6)


def test_a_file_says_which_architecture_it_holds():
    sizes = {"n_items": 5, "length": 4, "dim": 8, "heads": 2, "feedforward": [8]}
    assert isinstance(store.config_of({"architecture": "mobile", **sizes}), MobileConfig)
    with pytest.raises(ValueError, match="architecture='gru', expected one of"):
        store.config_of({"architecture": "gru", **sizes})
