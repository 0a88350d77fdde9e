"""experiments.models.sasrec: causal, blind to padding, consistent with itself, serializable."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequences import LENGTH, N_ITEMS, histories, sees_every_real_event, shown

from experiments.models import tf
from experiments.models.retriever import MASKED, TOP
from experiments.models.sasrec import Block, SASRec, SASRecConfig, attention_bias


def config(**changes):
    return SASRecConfig(
        **{"n_items": N_ITEMS, "length": LENGTH, "dim": 8, "feedforward": 12, **changes}
    )


def made(seed=0, **changes):
    model = SASRec(config(**changes))
    model(tf.zeros([1, model.config.length], tf.int32))
    return shown(model, seed)


@pytest.fixture(scope="module")
def model():
    return made()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_items": 0}, "n_items=0, expected at least 1"),
        ({"blocks": 0}, "blocks=0, expected at least 1"),
        ({"heads": 3}, "dim=8, heads=3; expected heads to divide dim"),
        ({"dropout": 1.0}, "dropout=1.0, expected 0 <= dropout < 1"),
    ],
)
def test_sizes_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_the_attention_bias_hides_the_future_and_padding():
    allowed = attention_bias(tf.constant([[0, 0, 5, 6]]), rows=2).numpy()[0, 0] == 0
    np.testing.assert_array_equal(allowed, [[0, 0, 1, 0], [0, 0, 1, 1]])


def test_a_row_does_not_see_the_future(model):
    rows = histories(4, seed=1)
    changed = rows.copy()
    changed[:, -1] = changed[:, -1] % N_ITEMS + 1
    before, after = model(rows).numpy(), model(changed).numpy()
    np.testing.assert_allclose(after[:, :-1], before[:, :-1], atol=1e-5)
    assert np.abs(after[:, -1] - before[:, -1]).min(axis=1).max() > 1e-3


def test_a_row_sees_every_real_event_before_it(model):
    sees_every_real_event(model)


def test_padding_is_not_seen():
    model, rows = made(), np.array([[0, 0, 0, 7, 8, 9]], np.int32)
    before = model(rows).numpy()
    table = model.item_table.get_weights()[0]
    table[0, 0] += 5
    model.item_table.set_weights([table])
    after = model(rows).numpy()
    np.testing.assert_allclose(after[:, 3:], before[:, 3:], atol=1e-5)
    assert np.abs(after[:, :3] - before[:, :3]).max() > 1e-2


def reference_block(block, x, mask):
    """The block in NumPy, from its paper's formulas."""
    w = {layer: [v.numpy() for v in getattr(block, layer).weights] for layer in (
        "norm1", "norm2", "query", "key", "value", "projection", "ff1", "ff2")}  # fmt: skip

    def norm(rows, name):
        gamma, beta = w[name]
        centred = rows - rows.mean(-1, keepdims=True)
        return centred / np.sqrt(rows.var(-1, keepdims=True) + 1e-6) * gamma + beta

    def dense(rows, name):
        return rows @ w[name][0] + w[name][1]

    rows, width = norm(x, "norm1"), block.dim // block.heads
    parts = []
    for head in range(block.heads):
        part = slice(head * width, (head + 1) * width)
        q, k, v = (dense(rows, name)[..., part] for name in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(width) + mask[:, 0]
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        parts.append(weights / weights.sum(-1, keepdims=True) @ v)
    x = x + dense(np.concatenate(parts, -1), "projection")
    return x + dense(np.maximum(dense(norm(x, "norm2"), "ff1"), 0), "ff2")


def test_a_block_agrees_with_numpy(model):
    x = np.random.default_rng(0).normal(size=(3, LENGTH, 8)).astype(np.float32)
    mask = attention_bias(tf.constant(histories(3)), LENGTH).numpy()
    mask = np.maximum(mask, np.float32(-50))  # beside larger numbers float32 keeps no fractions
    found = model.blocks[0](x, mask).numpy()
    np.testing.assert_allclose(found, reference_block(model.blocks[0], x, mask), atol=2e-5)


def test_the_last_row_alone_is_the_last_of_all(model):
    rows = histories(32)
    np.testing.assert_allclose(model.last(rows), model.hidden(rows)[:, -1], atol=1e-5)
    np.testing.assert_allclose(model.hidden(rows, rows=3), model.hidden(rows)[:, -3:], atol=1e-5)


@pytest.mark.parametrize("item_bias", [True, False])
def test_logits_are_the_tied_table_plus_bias(item_bias):
    model = made(item_bias=item_bias)
    hidden = np.random.default_rng(0).normal(size=(2, 3, 8)).astype(np.float32)
    expected = hidden @ model.item_table.embeddings.numpy().T
    if item_bias:
        expected = expected + model.item_bias.numpy()
    assert (model.item_bias is not None) is item_bias
    np.testing.assert_allclose(model.logits(hidden), expected, atol=1e-5)
    masked = model.item_logits(hidden).numpy()
    np.testing.assert_allclose(masked[..., 1:], expected[..., 1:], atol=1e-5)
    np.testing.assert_allclose(masked[..., 0], expected[..., 0] + MASKED, rtol=1e-5)


def test_logits_follow_a_table_that_is_replaced():
    model, hidden = made(), np.ones((1, 8), np.float32)
    model.item_table = tf.keras.layers.Embedding(N_ITEMS + 1, 8, "ones")
    model.item_table.build(None)
    np.testing.assert_allclose(model.logits(hidden) - model.item_bias, 8, atol=1e-5)


def test_the_loss_is_the_mean_over_real_targets(model):
    windows = np.array([[0, 0, 0, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7]], np.int32)
    scores = model.logits(model.hidden(windows[:, :-1])).numpy()[..., 1:].astype(np.float64)
    losses = np.log(np.exp(scores).sum(-1))
    expected = []
    for row, position in zip(*np.nonzero(windows[:, 1:]), strict=True):
        target = windows[row, position + 1]
        expected.append(losses[row, position] - scores[row, position, target - 1])
    assert len(expected) == 10
    assert float(model.compute_loss(windows)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_dropout_acts_in_training_only(model):
    rows = histories(4)
    np.testing.assert_array_equal(model(rows), model(rows))
    first, second = model(rows, training=True).numpy(), model(rows, training=True).numpy()
    assert np.abs(first - second).max() > 1e-3


def test_it_learns_what_follows_what():
    tf.keras.utils.set_random_seed(1)
    model = SASRec(config(dropout=0.0))
    model.compile(tf.keras.optimizers.Adam(0.02))
    start = np.random.default_rng(0).integers(0, N_ITEMS, (256, 1))
    windows = (start + np.arange(LENGTH + 1)) % N_ITEMS + 1  # each item is followed by the next
    model.fit(windows.astype(np.int32), epochs=20, batch_size=64, verbose=0)
    answer = model.recommend(tf.constant(windows[:1, :-1], tf.int32))
    assert answer["items"][0, 0] == windows[0, -1]


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6))
def test_recommendations_are_the_best_scores(model, seed):
    history = tf.constant(histories(1, seed))
    answer = {name: value.numpy() for name, value in model.recommend(history).items()}
    items, scores = answer["items"], answer["scores"]
    assert items.shape == scores.shape == (1, TOP) and items.dtype == np.int32
    assert 0 not in items and len(set(items[0])) == TOP
    assert (np.diff(scores[0]) <= 0).all()
    every = model.score(history, tf.range(1, N_ITEMS + 1))["scores"].numpy()[0]
    np.testing.assert_array_equal(scores[0], every[items[0] - 1])
    np.testing.assert_array_equal(scores[0], np.sort(every)[::-1][:TOP])


def test_an_empty_history_has_an_answer(model):
    scores = model.recommend(tf.zeros([1, LENGTH], tf.int32))["scores"].numpy()
    assert np.isfinite(scores).all() and scores.min() > MASKED / 2


def test_the_config_survives_its_round_trip(model):
    restored = SASRec.from_config(model.get_config())
    assert (restored.config, restored.name) == (model.config, model.name)
    block = Block.from_config(model.blocks[0].get_config())
    assert block.get_config() == model.blocks[0].get_config()


@pytest.mark.parametrize("suffix", ["model.keras", "saved_model"])
def test_a_saved_model_comes_back_the_same(model, suffix, tmp_path):
    rows = histories(4)
    model.predict(rows, verbose=0)
    model.save(tmp_path / suffix)
    restored = tf.keras.models.load_model(tmp_path / suffix)
    np.testing.assert_allclose(restored(rows), model(rows), atol=1e-6)


def test_both_signatures_convert_and_agree(model, tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    history = tf.TensorSpec([1, LENGTH], tf.int32, name="history")
    candidates = tf.TensorSpec([None], tf.int32, name="candidates")
    recommend = tf.function(model.recommend, input_signature=[history])
    score = tf.function(model.score, input_signature=[history, candidates])
    signatures = {"recommend": recommend, "score": score}
    tf.saved_model.save(model, str(tmp_path), signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(tmp_path), signature_keys=list(signatures)
    )
    file = interpreter.Interpreter(model_content=converter.convert(), num_threads=1)
    rows, some = histories(3), np.array([5, 1, 99], np.int32)
    for row in rows:
        found = file.get_signature_runner("recommend")(history=row[None])
        expected = model.recommend(tf.constant(row[None]))
        np.testing.assert_array_equal(found["items"], expected["items"])
        np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-5)
        found = file.get_signature_runner("score")(history=row[None], candidates=some)
        expected = model.score(tf.constant(row[None]), tf.constant(some))
        np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-5)
