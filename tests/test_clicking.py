"""Training, publishing and compressing a ranking model, by the scripts' own functions."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_clicks import N_ITEMS, some_clicks

import tfcompress as tfc
from experiments import click_compression, click_quality, tasks
from experiments import train as script
from experiments.compression import Place
from experiments.data.clicks import FIELDS
from experiments.models import click_files, click_student, store, tf
from experiments.models.click_student import (
    forward,
    main_parts,
    some_pairs,
    student_of,
    with_answers,
)
from experiments.models.packed import PackedRanker
from experiments.tasks import CLICKING, RETRIEVING
from experiments.training import Stopped, TrainingConfig
from tfcompress.auto import FineTune, Taught
from tfcompress.auto.efforts import Run
from tfcompress.report import text_of

SLOTS = 2
CONFIG = {
    "model": {"architecture": "ranking", "dim": 8, "deep": [32], "dropout": 0.0, "penalty": 1e-4},
    "training": {
        "seed": 1, "batch": 64, "epochs": 3, "peak_learning_rate": 0.02, "warmup_steps": 4,
    },
}  # fmt: skip
FOUR_BITS = tfc.Quantize(4, tfc.PerTensor(), tfc.Deviations(2.4))
RECIPE = click_compression.ClickRecipe(
    student={"dim": 6, "reading": 8, "deep": [8], "fields": 7},
    spec=tfc.Spec(
        [
            tfc.rule(tfc.by_type("Embedding"), FOUR_BITS),
            tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8)),
        ]
    ),
    temperature=1.0,
    weight=0.9,
    pairs=300,
    training=TrainingConfig(1, 64, 3, 0.01, 4),
)
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def data():
    return some_clicks()


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranking")
    (folder / "config-to-train.json").write_text(json.dumps(CONFIG))
    script.train(folder / "config-to-train.json", folder / "run", data)
    return folder / "run"


@pytest.fixture(scope="module")
def published(run, data):
    return CLICKING.publish(run, run.parent / "published", data)


@pytest.fixture(scope="module")
def made(published, data):
    place = Place(published.folder, published.folder.parent / "out", published.folder / "work")
    return CLICKING.compress(RECIPE, place, data, "test", lambda: False)


def test_a_training_keeps_the_epoch_of_the_best_auc(run, data):
    results = json.loads((run / "results.json").read_text())
    best = max(results["validation"], key=lambda row: row["auc"])
    assert results["best_epoch"] == best["epoch"]
    model, rows = store.load_model(run), data.rows("test")
    found = click_quality.quality(rows[:, -1], click_files.keras_probabilities(model)(rows))
    assert results["test"] == pytest.approx(found)
    assert found["auc"] > 0.8 and found["events"] == 240


def test_the_published_file_says_what_the_model_says(run, published, data):
    rows = data.rows("test")
    expected = click_files.keras_probabilities(store.load_model(run))(rows)
    said = click_files.file_probabilities(published.model, rows)
    np.testing.assert_allclose(said, expected, atol=1e-5)
    names = {path.name for path in published.folder.iterdir()}
    made_by_training = {"config.json", "results.json", "weights.npz"}
    assert names == {"model.tflite", "report.json", "report.html"} | made_by_training
    assert published.report["evaluation"]["events"] == len(rows)


def test_a_file_answers_one_pair_and_many_alike(made, data):
    rows = data.rows("test")
    one = click_files.file_probabilities(made.model, rows[:9], batch=1)
    many = click_files.file_probabilities(made.model, rows[:9])
    np.testing.assert_allclose(one, many, atol=1e-6)


def test_the_report_says_what_was_measured(made, published, data):
    found = made.report["evaluation"]
    assert found["split"] == "test"
    assert found["times_smaller"] == published.model.stat().st_size / made.model.stat().st_size
    low, high = found["difference_95_percent_interval"]
    assert low <= found["auc_difference"] <= high
    assert found["auc_difference"] > -0.1
    assert [timed["batch"] for timed in found["latency"]["batches"]] == [1, 64]
    judged = CLICKING.quality(made.model, data, "test", published.model)
    assert judged["auc_difference"] == found["auc_difference"]
    assert "auc_difference" not in CLICKING.quality(made.model, data, "test", None)


def test_the_table_shows_both_files(made, published):
    text = text_of(CLICKING.table(made, published.folder))
    assert f"{made.report['sizes']['bytes']:,}" in text and "batch of 64" in text


def test_a_compression_stops_and_says_how_to_go_on(published, data, tmp_path):
    place = Place(published.folder, tmp_path / "out", tmp_path / "work")
    with pytest.raises(Stopped, match="Run the same command"):
        click_compression.compress(RECIPE, place, data, "validation", lambda: True)
    assert not place.out.exists() and (place.work / "checkpoint.npz").exists()


def test_configs_folders_and_files_know_their_task(run, made):
    assert tasks.task_of({"architecture": "ranking"}) is tasks.task_in(run) is CLICKING
    assert tasks.task_of({}) is RETRIEVING
    assert tasks.task_of_file(made.model) is CLICKING
    assert tasks.task_of_file(ROOT / "saved_models/ml1m-mobile/model.tflite") is RETRIEVING
    with pytest.raises(ValueError, match="architecture='gru', expected one of"):
        tasks.task_of({"architecture": "gru"})


def test_a_file_of_no_task_is_refused(tmp_path):
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,))])
    file = tfc.export(model, tmp_path / "other").model
    with pytest.raises(ValueError, match="received signatures .'serve'., expected one of"):
        tasks.task_of_file(file)


def test_a_student_starts_with_the_teachers_tables(run):
    teacher = store.load_model(run)
    student = student_of(teacher, {"dim": 8, "reading": 4})
    assert isinstance(student, PackedRanker)
    start = student.config.starts["item"]
    rows = student.table.embeddings.numpy()[start : start + N_ITEMS + 1]
    taught = teacher.tables["item"].embeddings.numpy()
    taught = taught - taught.mean(0)
    ratio = np.linalg.norm(rows) / np.linalg.norm(taught)
    np.testing.assert_allclose(rows @ rows.T, ratio**2 * taught @ taught.T, atol=1e-5)
    for wrong in ({"dim": 9}, {"dim": 8, "fields": 9}):
        with pytest.raises(ValueError, match="expected dim <= 8 and 1 to 8 fields"):
            student_of(teacher, wrong)


def test_a_student_may_read_the_first_fields_alone(run, data):
    student = student_of(store.load_model(run), {"dim": 8, "fields": 7})
    assert tuple(student.config.sizes) == FIELDS
    rows = data.rows("test")
    other = rows.copy()
    other[:, 7:-1] = 0
    answer = click_files.keras_logits(student)
    np.testing.assert_array_equal(answer(rows), answer(other))


def test_main_parts_are_the_singular_ones():
    rows = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    found = main_parts(rows, 3)
    left, values, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    expected = np.abs(left[:, :3] * values[:3])
    np.testing.assert_allclose(
        np.abs(found) / np.abs(found).max(), expected / expected.max(), atol=1e-4
    )
    assert np.sqrt(np.mean(found**2)) == pytest.approx(0.3)
    assert main_parts(rows[:2], 3).shape == (2, 3)  # fewer directions than coordinates


def test_pairs_are_of_users_and_items_that_there_are(data):
    rows = data.rows("train")
    pairs = some_pairs(rows, 50, seed=1)
    assert pairs.shape == (50, rows.shape[1]) and (pairs[:, -1] == -1).all()
    np.testing.assert_array_equal(pairs[:, :5], data.users[pairs[:, 0]])
    np.testing.assert_array_equal(pairs[:, 5:7], data.items[pairs[:, 5]])
    np.testing.assert_array_equal(pairs[:, 7:-1], data.genres[pairs[:, 5]])
    np.testing.assert_array_equal(pairs, some_pairs(rows, 50, seed=1))


def test_only_known_clicks_count_in_the_students_own_loss(run, data):
    teacher = store.load_model(run)
    student, events = student_of(teacher, {"dim": 8}), data.rows("train")[:32]
    pairs = some_pairs(events, 32, seed=1)

    def outputs(rows):
        said = click_files.keras_logits(teacher)(rows)
        return forward(student, teacher, tf.constant(with_answers(rows, said)))

    alone, both = outputs(events), outputs(np.vstack([events, pairs]))
    own = float(student.compute_loss(tf.constant(events)))
    assert float(alone.loss) == pytest.approx(own, rel=1e-5)
    assert float(both.loss) == pytest.approx(own, rel=1e-5)
    assert float(outputs(pairs).loss) == 0.0
    expected = teacher(tf.constant(np.vstack([events, pairs])[:, :-1]))
    np.testing.assert_allclose(both.teacher[:, 1], expected, rtol=1e-6)
    assert both.student.shape == both.teacher.shape == (64, 2)


def test_auto_gets_the_teacher_its_probe_and_its_training(published, data, tmp_path):
    recipe = replace(RECIPE, training=replace(RECIPE.training, batch=512))
    found = CLICKING.subject(recipe, published.folder, data, epochs=1)
    assert found.probe.examples == 240 and found.training.epochs == 1
    kernels = [tfc.rule(tfc.by_name("item"), tfc.Quantize(2))]
    student = tfc.apply(found.model, tfc.Spec(kernels))
    (batch,) = found.training.batches.take(1)
    said = click_student.penalized(student, found.model, batch)
    taught = click_files.keras_logits(found.model)(batch[:, :-1].numpy())
    np.testing.assert_allclose(said.teacher[:, 1], taught, atol=1e-5)
    plain = forward(student, found.model, batch)
    assert float(said.loss - plain.loss) == pytest.approx(float(student.penalty()), rel=1e-4) != 0
    before = student.get_weights()
    for effort in (FineTune(), Taught()):
        effort.carry_out(student, found.model, found.training, Run(tmp_path / effort.words, print))
    assert any((a != b).any() for a, b in zip(student.get_weights(), before, strict=True))
    assert CLICKING.subject(recipe, published.folder, data, epochs=0).training is None


def test_a_bad_recipe_is_named(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"student": {}, "teacher": {}}))
    with pytest.raises(ValueError, match="c.json: received sections"):
        CLICKING.recipe(tmp_path / "c.json")
    with pytest.raises(ValueError, match="pairs=-1, expected at least 0"):
        click_compression.ClickRecipe({}, RECIPE.spec, 1.0, 1.0, -1, RECIPE.training)


def test_the_committed_configs_are_valid():
    configs = ROOT / "experiments/configs"
    sizes, settings = script.read_config(configs / "ranking-teacher.json")
    assert sizes["architecture"] == "ranking" and settings.xla
    recipe = CLICKING.recipe(configs / "ranking-mobile.json")
    assert recipe.student["dim"] <= sizes["dim"] and recipe.weight == 1.0
