"""experiments.compression: the student's start, the training, and what the folder says."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

import tfcompress as tfc
from experiments import compression, publishing, quality
from experiments.data.movielens import MovieLens
from experiments.models import files, store, tf
from experiments.models.linear import Linear
from experiments.models.sasrec import SASRecConfig
from experiments.models.student import forward_on, renumbered, student_of
from experiments.table import comparison_table
from experiments.training import Stopped, TrainingConfig
from tfcompress.report import text_of

N_ITEMS, LENGTH = 120, 8
FOUR_BITS = tfc.Quantize(4, tfc.PerTensor(), tfc.Deviations(3.0))
SPEC = tfc.Spec(
    [tfc.rule(tfc.by_type("Embedding"), FOUR_BITS), tfc.rule(tfc.by_type("Dense"), FOUR_BITS)]
)
RECIPE = compression.Recipe(
    student={"length": 6, "feedforward": [24, 16], "frequent": 63, "widths": [12, 8]},
    spec=SPEC,
    linear=Linear(penalty=10.0, decay=0.9, factor=1.0),
    temperature=1.0,
    weight=1.0,
    positions=64,
    fresh=3,
    dropped=0.1,
    training=TrainingConfig(1, 16, 2, 0.003, 2),
)


@pytest.fixture(scope="module")
def data():
    """Users who walk through the items in order, from where they happen to start."""
    starts = np.random.default_rng(0).integers(0, N_ITEMS, 60)
    walks = [((start + np.arange(14)) % N_ITEMS + 1).astype(np.int32) for start in starts]
    return MovieLens(("", *(f"item {i}" for i in range(N_ITEMS))), walks)


@pytest.fixture(scope="module")
def teacher():
    tf.keras.utils.set_random_seed(0)
    model = store.build(SASRecConfig(N_ITEMS, length=LENGTH, dim=16, feedforward=32, dropout=0.0))
    random = np.random.default_rng(0)
    model.set_weights([w + random.normal(0, 0.1, w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def teacher_folder(teacher, data, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    store.save_model(teacher, run)
    config = {**teacher.get_config()}
    config.pop("name")
    (run / "config.json").write_text(json.dumps({"model": config}))
    (run / "results.json").write_text("{}")
    return publishing.publish(run, run / "published", data).folder


@pytest.fixture(scope="module")
def made(teacher_folder, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    place = compression.Place(teacher_folder, folder / "out", folder / "work")
    return compression.compress(RECIPE, place, data, "test")


def histories(length=LENGTH):
    return np.random.default_rng(1).integers(1, N_ITEMS + 1, (16, length)).astype(np.int32)


def test_a_student_of_the_same_sizes_scores_as_the_teacher(teacher):
    student, rows = student_of(teacher, {}), histories()
    rows[:8, :3] = 0
    expected = teacher.logits(teacher.last(rows)).numpy()
    found = student.logits(student.last(rows)).numpy()
    # The items' biases take a component that scores had: not a large one.
    apart = np.linalg.norm(
        found - found.mean(1, keepdims=True) - expected + expected.mean(1, keepdims=True)
    )
    assert apart < 0.15 * np.linalg.norm(expected - expected.mean(1, keepdims=True))
    unbiased = store.build(replace(teacher.config, item_bias=False))
    unbiased.set_weights(teacher.get_weights()[:-1])
    _without_means(unbiased)
    student = student_of(unbiased, {})
    np.testing.assert_allclose(
        student.logits(student.last(rows)), unbiased.logits(unbiased.last(rows)), atol=1e-4
    )


def _without_means(model):
    """Rows and the last shift without their means, which the student gives to biases."""
    table = model.item_table.get_weights()[0]
    model.item_table.set_weights([table - table.mean(1, keepdims=True)])


def test_a_renumbered_teacher_answers_in_the_new_numbers(teacher):
    numbers = np.append(0, np.random.default_rng(2).permutation(N_ITEMS) + 1)
    other, rows = renumbered(teacher, numbers), histories()
    expected = teacher.logits(teacher.last(numbers[rows])).numpy()[:, numbers]
    np.testing.assert_allclose(other.logits(other.last(rows)), expected, atol=1e-5)


def test_a_student_that_reads_less_reads_the_latest(teacher):
    whole, student = student_of(teacher, {}), student_of(teacher, {"length": 6})
    padded = np.pad(histories(6), [(0, 0), (2, 0)])
    expected = whole.logits(whole.last(padded))
    np.testing.assert_allclose(student.logits(student.last(histories(6))), expected, atol=1e-4)


def test_a_narrower_feed_forward_is_fitted_to_what_the_whole_one_said(teacher):
    whole, rows = student_of(teacher, {}), histories()
    expected = whole.hidden(rows, rows=1).numpy()
    narrow = student_of(teacher, {"feedforward": [28, 26]}, rows)
    kernel, _ = narrow.reading.ff1.get_weights()
    everything = whole.reading.ff1.get_weights()[0]
    kept = [int(np.argmin(np.abs(everything - unit[:, None]).sum(0))) for unit in kernel.T]
    assert kept == sorted(set(kept)) and len(kept) == 26
    naive = student_of(teacher, {"feedforward": [28, 26]}, rows)
    for new, old in ((naive.reading, whole.reading), (naive.mixing[0], whole.mixing[0])):
        units = [
            int(np.argmin(np.abs(old.ff1.kernel.numpy() - u[:, None]).sum(0)))
            for u in new.ff1.kernel.numpy().T
        ]
        new.ff2.set_weights([old.ff2.kernel.numpy()[units], old.ff2.bias.numpy()])
    fitted, cut = (np.linalg.norm(m.hidden(rows, rows=1) - expected) for m in (narrow, naive))
    assert fitted < 0.7 * cut
    with pytest.raises(ValueError, match="and no histories, expected some"):
        student_of(teacher, {"feedforward": [28, 26]})


def test_a_student_of_another_width_is_refused(teacher):
    with pytest.raises(ValueError, match="expected the teacher's .*'dim': 16.* and 2 blocks"):
        student_of(teacher, {"dim": 8})
    with pytest.raises(ValueError, match="with 1 blocks"):
        student_of(teacher, {"feedforward": [8]})


def test_student_and_teacher_are_asked_about_the_same_positions(teacher):
    windows = np.random.default_rng(4).integers(1, N_ITEMS + 1, (8, LENGTH + 1)).astype(np.int32)
    whole, shifted = student_of(teacher, {}), student_of(teacher, {})
    shifted.shift.assign_add(np.ones(16))
    outputs = forward_on(positions=20, fresh=4)(whole, teacher, windows)
    assert outputs.student.shape == (20, N_ITEMS + 1)
    assert np.isfinite(outputs.loss)
    same = forward_on(positions=20, fresh=4)(whole, whole, windows)
    np.testing.assert_allclose(same.student, same.teacher, atol=1e-4)
    apart = forward_on(positions=20, fresh=4)(whole, shifted, windows)
    assert np.abs(apart.student - apart.teacher).max() > 0.1


def test_the_folder_is_whole_and_says_what_was_measured(made, data):
    names = {path.name for path in made.folder.iterdir()}
    assert names == {"model.tflite", "spec.json", "report.json", "report.html", "items.txt"}
    lines = (made.folder / "items.txt").read_text().splitlines()
    assert tuple(lines) == data.titles[1:]
    found = made.report["evaluation"]
    ranks = quality.file_ranks(made.model, data, "test")
    assert found["file"] == quality.quality(ranks)
    low, high = found["difference_95_percent_interval"]
    assert low <= found["ndcg@10_difference"] <= high
    assert found["latency"]["threads"] == 1
    assert found["training"]["best_epoch"] == 2  # the last


def test_the_file_answers_as_promised(made):
    model = tfc.LiteModel(made.model)
    history = np.array([[0, 0, 3, 4, 5, 6]], np.int32)
    best = model.run("recommend", {"history": history})
    assert best["items"].shape == best["scores"].shape == (1, 100)
    assert best["items"].min() >= 1 and len(set(best["items"][0])) == 100
    assert (np.diff(best["scores"][0]) <= 0).all()
    chosen = best["items"][0][:7].astype(np.int32)
    scored = model.run("score", {"history": history, "candidates": chosen})
    np.testing.assert_allclose(scored["scores"], best["scores"][:, :7], rtol=1e-6)


def test_the_file_asks_for_titles_whatever_numbers_the_student_has(made, teacher_folder, data):
    start = compression.started(RECIPE, teacher_folder, data)
    assert start.data.titles != data.titles
    assert start.data.titles == tuple(data.titles[item] for item in start.numbers.ids)
    model, rows = tfc.LiteModel(made.model), data.histories[0][None, :6]
    every = np.arange(1, N_ITEMS + 1, dtype=np.int32)
    by_title = model.run("score", {"history": rows, "candidates": every})["scores"][0]
    best = model.run("recommend", {"history": rows})
    np.testing.assert_allclose(by_title[best["items"][0] - 1], best["scores"][0], rtol=1e-5)
    swapped = model.run("score", {"history": rows, "candidates": every[::-1].copy()})["scores"][0]
    np.testing.assert_allclose(swapped[::-1], by_title, rtol=1e-6)


def test_an_empty_history_has_an_answer(made):
    best = tfc.LiteModel(made.model).run("recommend", {"history": np.zeros((1, 6), np.int32)})
    assert np.isfinite(best["scores"]).all()


def test_the_table_shows_both_files(made, teacher_folder):
    text = text_of(comparison_table(made, teacher_folder))
    assert f"{made.report['sizes']['bytes']:,}" in text and "teacher, float32" in text


def test_it_stops_and_goes_on_to_the_same_file(made, teacher_folder, data, tmp_path):
    calls = count()
    place = compression.Place(teacher_folder, tmp_path / "out", tmp_path / "work")
    arguments = (RECIPE, place, data, "validation")
    with pytest.raises(Stopped, match="Run the same command"):
        compression.compress(*arguments, stop=lambda: next(calls) == 5)
    assert not (tmp_path / "out").exists()
    again = compression.compress(*arguments)
    curves = [m.report["evaluation"]["training"]["validation"] for m in (made, again)]
    assert [len(curve) for curve in curves] == [2, 2]


def test_a_narrow_student_wants_both_of_its_fields(teacher_folder, data):
    sizes = {name: RECIPE.student[name] for name in ("length", "feedforward", "widths")}
    with pytest.raises(TypeError, match="frequent"):
        compression.started(replace(RECIPE, student=sizes), teacher_folder, data)


def test_a_config_with_an_unknown_section_is_refused(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"student": {}, "teacher": {}}))
    with pytest.raises(ValueError, match="received sections"):
        compression.read_recipe(tmp_path / "c.json")


def test_the_committed_configs_are_valid():
    root = Path(__file__).parents[1]
    for name in ("mobile", "mobile-wide"):
        recipe = compression.read_recipe(root / f"experiments/configs/{name}.json")
        assert recipe.weight > 0


def test_example_calls_are_of_different_users(data):
    calls = files.example_calls(data, LENGTH, users=5)
    assert len({call["history"].tobytes() for call in calls}) == 5
