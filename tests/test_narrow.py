"""experiments.models.narrow and its start: what a wide model says, in narrow rows."""

from dataclasses import asdict

import numpy as np
import pytest
from sequences import LENGTH, N_ITEMS, histories, sees_every_real_event, shown

from experiments.models import files, store, tf
from experiments.models.mobile import MobileConfig
from experiments.models.narrow import NarrowConfig, NarrowSASRec
from experiments.models.narrow_student import basis_of, narrow_student_of
from experiments.models.numbers import ByFrequency

SIZES = {"n_items": N_ITEMS, "length": LENGTH, "dim": 8, "heads": 2, "feedforward": (12, 10)}
COUNTS = np.random.default_rng(0).integers(0, 50, N_ITEMS + 1)


def config(**changes):
    return NarrowConfig(**{**SIZES, "frequent": 70, "widths": (6, 3), **changes})


@pytest.fixture(scope="module")
def model():
    return shown(store.build(config()))


@pytest.fixture(scope="module")
def wide():
    """A wide model with one scale for all columns, as a narrow one can have."""
    model = shown(store.build(MobileConfig(**SIZES)))
    table = model.item_table.get_weights()[0]
    model.item_table.set_weights([table - table.mean(1, keepdims=True)])
    for layer in _writers(model):
        layer.set_weights([part - part.mean(-1, keepdims=True) for part in layer.get_weights()])
    model.scale.assign(np.full(8, 1.3, np.float32))
    return model


def _writers(model):
    for block in model.mixing:
        yield from (block.projection, block.ff2)
    yield from (model.reading.writer, model.reading.ff2, model.position_table)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frequent": N_ITEMS}, f"frequent={N_ITEMS}, expected 1 to {N_ITEMS - 1}"),
        ({"widths": (9, 3)}, r"widths=\(9, 3\) with dim=8, expected two numbers from 1 to dim"),
        ({"widths": (3, 6)}, "which is not the smaller one"),
        ({"widths": (3,)}, r"widths=\(3,\)"),
        ({"heads": 3}, "expected heads to divide dim"),
    ],
)
def test_sizes_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_at_full_width_it_says_what_the_wide_model_says(wide):
    student = narrow_student_of(wide, config(widths=(8, 8)), COUNTS)
    rows = histories(16)
    expected = wide.logits(wide.last(rows)).numpy()
    found = student.logits(student.last(rows)).numpy()
    np.testing.assert_allclose(found[:, 1:], expected[:, 1:], atol=1e-3)


def test_narrower_rows_say_less(wide):
    rows = histories(64, seed=1)
    expected = wide.logits(wide.last(rows)).numpy()[:, 1:]
    apart = []
    for widths in ((8, 8), (8, 4), (6, 4), (3, 2)):
        student = narrow_student_of(wide, config(widths=widths), COUNTS)
        assert student.item_table.get_weights()[0].shape == (72, widths[0])
        assert student.rare_table.get_weights()[0].shape == (N_ITEMS - 70 + 1, widths[1])
        found = student.logits(student.last(rows)).numpy()[:, 1:]
        apart.append(np.abs(found - expected).mean())
    assert apart == sorted(apart) and apart[0] < 0.01 < apart[1]


def test_its_basis_holds_what_rare_rows_are_made_of_and_their_mean():
    random = np.random.default_rng(0)
    rare = random.normal(size=(N_ITEMS - 70, 2)) @ random.normal(size=(2, 8)) + 3
    items = np.vstack([random.normal(size=(71, 8)), rare]).astype(np.float32)
    basis = basis_of(items, COUNTS, config())
    np.testing.assert_allclose(basis.T @ basis, np.eye(8), atol=1e-5)
    np.testing.assert_allclose(rare @ basis[:, :3] @ basis[:, :3].T, rare, atol=1e-4)
    mean = np.full(8, 8**-0.5)
    np.testing.assert_allclose(basis[:, :3] @ basis[:, :3].T @ mean, mean, atol=1e-5)


def test_a_row_does_not_see_the_future_and_sees_every_event(model):
    rows = histories(4, seed=1)
    changed = rows.copy()
    changed[:, -1] = changed[:, -1] % N_ITEMS + 1
    events = rows[:, :-1] != 0
    before, after = model(rows).numpy(), model(changed).numpy()
    np.testing.assert_allclose(after[:, :-1][events], before[:, :-1][events], atol=1e-5)
    sees_every_real_event(model)


def test_every_item_has_its_own_row_and_score(model):
    ids = np.arange(1, N_ITEMS + 1, dtype=np.int32)
    rows = np.zeros((N_ITEMS, LENGTH), np.int32)
    rows[:, -1] = ids
    assert len(np.unique(model.last(rows).numpy().round(5), axis=0)) == N_ITEMS
    query = np.eye(6, dtype=np.float32)
    scored = model.logits(query).numpy()
    assert scored.shape == (6, N_ITEMS + 1)
    first, rare = model.item_table.get_weights()[0], model.rare_table.get_weights()[0]
    np.testing.assert_allclose(scored[:, :71], first[:-1].T, atol=1e-6)
    np.testing.assert_allclose(scored[:3, 71:], rare[1:].T, atol=1e-6)
    np.testing.assert_allclose(scored[3:, 71:], 0, atol=1e-6)


def test_the_config_survives_its_round_trip(model, tmp_path):
    restored = NarrowSASRec.from_config(model.get_config())
    assert (restored.config, restored.name) == (model.config, model.name)
    model.save(tmp_path / "model.keras")
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(histories(4)), model(histories(4)), atol=1e-6)
    fields = {"architecture": "narrow", **asdict(config())}
    assert store.config_of(fields) == config()


def test_it_is_asked_and_answers_in_titles_numbers(model):
    numbers, rows = ByFrequency(tuple(COUNTS.tolist())), histories(1, seed=3)
    place = np.argsort(numbers.ids).astype(np.int32)
    expected = model.logits(model.last(place[rows])).numpy()[0, place]
    asked, items = files.ByTitle(numbers), np.arange(1, N_ITEMS + 1, dtype=np.int32)
    found = asked.score(model, tf.constant(rows), tf.constant(items))["scores"]
    np.testing.assert_allclose(found[0], expected[1:], atol=1e-5)
    best = asked.recommend(model, tf.constant(rows))
    np.testing.assert_allclose(best["scores"][0], expected[best["items"][0].numpy()], atol=1e-5)
    assert best["items"].numpy().min() >= 1
