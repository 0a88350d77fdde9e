"""experiments.systems.recommender: a loaded teacher, and students that begin as something else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_clicks import some_clicks

import tfcompress as tfc
from experiments import click_quality
from experiments import train as script
from experiments.data.clicks import FIELDS
from experiments.models import click_files, tf
from experiments.systems import recommender
from experiments.systems.learning import Run
from experiments.systems.measuring import TEACHER
from experiments.systems.running import record
from experiments.training import TrainingConfig

CONFIG = {
    "model": {"architecture": "ranking", "dim": 8, "deep": [32], "dropout": 0.1, "penalty": 1e-4},
    "training": {
        "seed": 1, "batch": 64, "epochs": 3, "peak_learning_rate": 0.02, "warmup_steps": 4,
    },
}  # fmt: skip
BRIEF = TrainingConfig(seed=0, batch=64, epochs=2, peak_learning_rate=0.01, warmup_steps=4)
WAYS = (
    replace(recommender.PUBLISHED, training=BRIEF),
    replace(
        recommender.OWN,
        training=BRIEF,
        sizes={"dim": 6, "reading": 8, "deep": [8], "fields": 7},
    ),
)


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("teacher"), some_clicks()
    (folder / "config-to-train.json").write_text(json.dumps(CONFIG))
    script.train(folder / "config-to-train.json", folder / "run", data)
    return recommender.Clicked(data, folder / "run", 300)


@pytest.fixture(scope="module")
def system(subject):
    return replace(recommender.SYSTEM, load=lambda folder: subject, ways=WAYS)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def found(system, work):
    return record(system, None, [2], work)


def test_both_ways_are_measured_beside_the_loaded_teacher(found, work):
    assert found["teacher"] == [{"training": None, "seconds": 0.0}]
    assert not (work / "seed-2" / "teacher.npz").exists()
    assert [row["way"] for row in found["rows"]] == ["published", "own"]
    assert found["size_reduction"] > found["rows"][0]["size_reduction"] > 0.3
    assert found["rows"][0]["sizes"] == {"dropout": 0.0}
    assert found["data"]["synthetic"] is False and found["data"]["pairs"] == 300
    assert json.loads(json.dumps(found)) == found


def test_the_quality_is_the_auc_of_the_file(found, subject, work):
    rows = subject.data.rows("test")
    for name, quality in ((TEACHER, "quality_teacher"), ("own", "quality")):
        file = work / "seed-2" / name / "model.tflite"
        said = click_files.file_probabilities(file, rows)
        auc = click_quality.quality(rows[:, -1], said)["auc"]
        assert found[quality] == pytest.approx(auc) and auc > 0.6


def test_the_files_are_asked_alike_whatever_they_read(found, work):
    inputs = [
        tfc.LiteModel(work / "seed-2" / name / "model.tflite").inputs("click")
        for name in (TEACHER, "published", "own")
    ]
    assert set(inputs[0]) == {*FIELDS, "genres"}
    assert sorted(inputs[0]) == sorted(inputs[1]) == sorted(inputs[2])


def test_a_teacher_can_be_trained_on_what_a_batch_has(subject, system, tmp_path):
    run = Run(replace(system, teaching=BRIEF), subject, 0, tmp_path, stop=lambda: False)
    before = subject.validated(subject.network())["log_loss"]
    trained = run.teacher()
    assert trained.record["training"]["epochs"] == 2
    assert subject.validated(trained.network)["log_loss"] < before + 0.05


def test_only_known_clicks_count(subject):
    fields, clicks = subject.batch(subject.rows[-400:])
    assert (clicks == -1).sum() == 300 and fields.shape[1] == len(FIELDS) + 2
    logits = np.random.default_rng(0).normal(size=400).astype(np.float32)
    known = clicks >= 0
    chances = 1 / (1 + np.exp(-logits[known].astype(float)))
    right = np.where(clicks[known] == 1, chances, 1 - chances)
    loss = subject.loss(tf.constant(clicks), tf.constant(logits))
    assert float(loss) == pytest.approx(-np.log(right).mean(), rel=1e-5)


def test_influences_have_the_auc_as_mean_and_delongs_variance():
    random = np.random.default_rng(3)
    clicks = (random.random(400) < 0.3).astype(int)
    own, other = (clicks + random.normal(0, spread, 400) for spread in (1.0, 1.5))
    parts = [click_quality.influences(clicks, scores) for scores in (own, other)]
    difference, deviation = click_quality.delong(clicks, own, other)
    gap = parts[0] - parts[1]
    assert gap.mean() == pytest.approx(difference)
    assert gap.std() / 20 == pytest.approx(deviation, rel=0.01)


def test_the_published_way_quantizes_every_matrix(subject):
    student = recommender.PUBLISHED.begin(subject.network(), {"dropout": 0.0})
    layers = tfc.plan(student, recommender.QUANTIZED).layers
    matrices = [layer for layer in layers if layer.before.weights]
    assert matrices and all(
        [type(step).__name__ for step in layer.steps] == ["Quantize"] for layer in matrices
    )


def test_the_committed_teacher_is_where_the_system_looks():
    root = Path(recommender.__file__).parents[2]
    assert (root / recommender.TEACHER / "weights.npz").exists()
