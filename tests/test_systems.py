"""experiments.systems: what a record holds, what it counts, and that work goes on where it stopped."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from html_pages import Page
from later import Later

import tfcompress as tfc
from experiments.data.labelled import Labelled, Splits
from experiments.systems import image, measuring, page
from experiments.systems.classifying import Classified, inputs
from experiments.systems.learning import Run, taught_on
from experiments.systems.measuring import TEACHER
from experiments.systems.running import SHIPPED, record
from experiments.systems.system import Goal
from experiments.systems.table import table, took
from experiments.training import Stopped, TrainingConfig
from tfcompress.report import text_of

# As many steps as it takes for activations to have ranges that are worth rounding to.
BRIEF = TrainingConfig(seed=0, batch=8, epochs=10, peak_learning_rate=3e-3, warmup_steps=2)
OWN = replace(image.OWN, training=BRIEF)


def halves(n, seed):
    """8x8 images that are brighter on the left or on the right: two classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n).astype(np.int32)
    images = random.integers(0, 60, (n, 8, 8, 1))
    images[np.arange(n)[:, None], :, 4 * labels[:, None] + np.arange(4)] += 150
    return Labelled(images.astype(np.uint8), labels)


SUBJECT = Classified(
    Splits("halves", halves(64, 0), halves(16, 1), halves(24, 2)), image.network, image.distorted
)
SYSTEM = replace(image.SYSTEM, load=lambda folder: SUBJECT, teaching=BRIEF, ways=(OWN,))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("systems")


@pytest.fixture(scope="module")
def found(work):
    """A run that is stopped while the teacher is trained, and goes on."""
    with pytest.raises(Stopped):
        record(SYSTEM, None, [3], work, Later(12))
    assert not (work / "seed-3" / TEACHER).exists()
    return record(SYSTEM, None, [3], work)


def test_a_record_holds_what_a_file_is_worth(found, work):
    row = found["rows"][0]
    teacher, own = (work / "seed-3" / name / "model.tflite" for name in (TEACHER, "own"))
    sizes = own.stat().st_size, teacher.stat().st_size
    assert row["bytes"] == {"file": [sizes[0]], "teacher": [sizes[1]]}
    assert found["size_reduction"] == pytest.approx(1 - sizes[0] / sizes[1])
    assert found["size_reduction"] > 0.85
    assert found["multiply_adds_reduction"] > 0.6
    times = row["median_us"]
    assert found["speedup"] == pytest.approx(times["teacher"][0] / times["file"][0])
    assert {name: found[name] for name in SHIPPED} == {name: row[name] for name in SHIPPED}
    assert json.loads(json.dumps(found)) == found
    assert found["seeds"] == [3] and found["data"]["synthetic"] is False
    assert "experiments.systems" in found["command"]
    assert tfc.Spec.from_json(json.dumps(row["specs"][0])) == image.NARROW_IN_INTEGERS


def test_a_record_and_the_last_line_say_how_long_it_took(found):
    spent = found["seconds"]
    assert spent["training"] > 0 and spent["this_run"] > 0
    assert f"image: this run took {spent['this_run'] / 60:.1f} minutes" in took(found)


def test_a_run_that_stopped_went_on(found):
    (teacher,) = found["teacher"]
    assert [epoch["epoch"] for epoch in teacher["validation"]] == list(range(1, 11))
    assert teacher["training"]["seed"] == 3


def test_what_is_trained_is_not_trained_again(found, work):
    run = Run(SYSTEM, SUBJECT, 3, work / "seed-3", stop=lambda: True)
    again = run.teacher()
    assert again.record == found["teacher"][0]
    logits = again.network.predict(inputs(SUBJECT.data.test), verbose=0)
    right = logits.argmax(axis=1) == SUBJECT.data.test.labels
    assert right.mean() == pytest.approx(found["quality_teacher"])


def test_work_of_other_settings_is_refused(found, work):
    other = replace(SYSTEM, teaching=replace(BRIEF, epochs=11))
    with pytest.raises(ValueError, match="belongs to a run with"):
        Run(other, SUBJECT, 3, work / "seed-3", stop=lambda: False).teacher()


def test_a_way_says_how_far_its_file_may_be_off(found, work, monkeypatch):
    export, asked = tfc.export, {}

    def noted(network, folder, signatures, calls, tolerance):
        asked[folder.name] = tolerance
        return export(network, folder, signatures, calls, tolerance)

    monkeypatch.setattr(tfc, "export", noted)
    record(replace(SYSTEM, ways=(replace(OWN, tolerance=0.05),)), None, [3], work)
    assert asked == {TEACHER: None, "own": 0.05}


def test_a_student_may_learn_from_more_teachers_than_it_is_measured_against(tmp_path):
    fewer = replace(BRIEF, epochs=2)
    way = replace(OWN, training=fewer, teachers=2, deciding="epoch")
    found = record(replace(SYSTEM, teaching=fewer, ways=(way,)), None, [3], tmp_path)
    folder = tmp_path / "seed-3"
    assert {file.stem for file in folder.glob("*.npz")} == {TEACHER, "teacher-1", "own"}
    assert {file.name for file in folder.iterdir() if file.is_dir()} == {TEACHER, "own"}
    assert found["rows"][0]["teachers"] == 2
    assert found["rows"][0]["training"][0]["best_epoch"] == 2  # the last
    told = [found["teacher"][0], found["rows"][0]["training"][0]]
    assert found["seconds"]["training"] > sum(one["seconds"] for one in told)  # the other's, too
    run = Run(replace(SYSTEM, teaching=fewer), SUBJECT, 3, folder, stop=lambda: True)
    first, other = run.teacher(), run.teacher(1)
    assert [one.record["training"]["seed"] for one in (first, other)] == [3, 1003]
    rows = SUBJECT.rows[:8]
    outputs = taught_on(SUBJECT)(first.network, (first.network, other.network), rows)
    inputs, _ = SUBJECT.batch(rows)
    for said, one in zip(outputs.teacher, (first, other), strict=True):
        np.testing.assert_allclose(said, one.network(inputs), rtol=1e-4, atol=1e-4)


def test_a_way_without_a_teacher_is_refused():
    with pytest.raises(ValueError, match="teachers=0, expected at least 1"):
        replace(OWN, teachers=0)


def test_the_table_says_what_falls_short(found):
    row = {**found["rows"][0], "reached": {"size_reduction": True, "speedup": False}}
    text = text_of(table({**found, "rows": [row]}))
    assert f"-{row['size_reduction']:.1%} " in text and f"{row['speedup']:.2f}x !" in text
    assert "-92.0%" in text and "2.00x" in text and "halves (real)" in text


def test_the_page_has_every_record_and_marks_what_falls_short(found, tmp_path):
    slow = {**found, "system": "slow", "reached": {**found["reached"], "speedup": False}}
    for one in (found, slow):
        (tmp_path / f"{one['system']}.json").write_text(json.dumps(one))
    shown = Page(page.write(tmp_path).read_text())
    assert {"image", "slow"} <= set(shown.ids()) and not shown.all("script")
    assert f"{found['speedup']:.2f}\N{MULTIPLICATION SIGN} !" in shown.text
    assert f"{found['rows'][0]['bytes']['file'][0]:,}" in shown.text


def test_the_committed_page_is_that_of_the_committed_records():
    folder = Path(__file__).parents[1] / "experiments/results/systems"
    files = sorted(folder.glob("*.json"))
    text = page.page_of([json.loads(file.read_text()) for file in files])
    assert (folder / page.PAGE).read_text() == text
    assert files and {file.stem for file in files} <= set(Page(text).ids())


def test_the_readme_says_how_long_each_system_is_trained():
    root = Path(__file__).parents[1]
    rows = [line for line in (root / "README.md").read_text().splitlines() if line[:3] == "| `"]
    for file in (root / "experiments/results/systems").glob("*.json"):
        (row,) = (row for row in rows if row.startswith(f"| `{file.stem}` |"))
        minutes = json.loads(file.read_text())["seconds"]["training"] / 60
        assert row.endswith(f"| {minutes:.0f} min |")


def test_there_is_no_page_without_a_record(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no NAME.json"):
        page.write(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_are_checked_before_anything_is_done(seeds, tmp_path):
    with pytest.raises(ValueError, match="expected at least one, each once"):
        record(SYSTEM, None, seeds, tmp_path / "work")
    assert not (tmp_path / "work").exists()


class File:
    """What a row reads of an exported folder."""

    def __init__(self, size, work):
        sizes = {"bytes": size, "gzip_bytes": size // 2}
        self.report = {"sizes": sizes, "multiply_adds": {"classify": work}}


def test_of_several_runs_a_row_has_the_least_and_means():
    runs = [
        {"teacher": File(1000, 50), "own": File(100, 10)},
        {"teacher": File(1000, 50), "own": File(50, 20)},
    ]
    quality = {"own": np.array([[1.0, 0.0], [1.0, 1.0]]), "teacher": np.array([[1.0, 1.0]] * 2)}
    latency = {"own": [10.0, 20.0], "teacher": [40.0, 60.0]}
    row = measuring.row(OWN, Goal(0.92, 2.0, 0.003), runs, quality, latency)
    assert row["size_reduction"] == pytest.approx(0.9)
    assert row["speedup"] == pytest.approx(3.0)
    assert row["multiply_adds_reduction"] == pytest.approx(0.6)
    assert (row["quality_teacher"], row["quality"]) == (1.0, 0.75)
    assert (row["examples_better"], row["examples_worse"]) == (0, 1)
    assert row["quality_interval"] == [-0.5, 0.0]
    assert row["reached"] == {"size_reduction": False, "speedup": True, "quality": False}


def test_a_goal_for_multiply_adds_counts_too():
    goal = Goal(0.9, 2.0, 0.0, multiply_adds_reduction=0.7)
    figures = {"size_reduction": 0.9, "speedup": 2.0, "quality_difference": 0.0}
    verdict = measuring.reached({**figures, "multiply_adds_reduction": 0.6}, goal)
    assert verdict.pop("multiply_adds_reduction") is False and all(verdict.values())


@pytest.fixture(scope="module")
def teacher():
    return image.network((28, 28, 1), 10)


def test_the_published_techniques_are_each_done(teacher):
    first, second = image.PUBLISHED.specs
    done = {
        type(step).__name__
        for model, spec in ((teacher, first), (tfc.apply(teacher, first), second))
        for layer in tfc.plan(model, spec).layers
        for step in layer.steps
    }
    assert {"Sparsify", "Quantize"} <= done
    inner = [layer for layer in tfc.plan(teacher, first).layers if layer.path != "conv1"]
    assert [len(layer.steps) for layer in inner if layer.before.kind == "Conv2D"] == [1] * 4


def test_our_own_spec_leaves_nothing_in_float(teacher):
    planned = tfc.plan(teacher, image.NARROW_IN_INTEGERS)
    kernels = [layer for layer in planned.layers if layer.before.kind in ("Conv2D", "Dense")]
    assert len(kernels) == 6 and not any(layer.skipped for layer in kernels)
    assert all("QuantizeActivations" in str(layer.steps) for layer in kernels)


def test_a_batch_is_distorted_alike_by_its_rows_alone():
    rows = tf.constant([3, 7, 1])
    (first, labels), (again, _) = SUBJECT.batch(rows), SUBJECT.batch(rows)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(labels, SUBJECT.data.train.labels[[3, 7, 1]])
    plain = inputs(SUBJECT.data.train.take(np.array([3, 7, 1])))
    assert np.abs(first - plain).max() > 0.01
    other, _ = SUBJECT.batch(tf.constant([3, 7, 2]))
    assert np.abs(first[:2] - other[:2]).max() > 0.01


def test_an_undistorted_image_stays_where_it_is(monkeypatch):
    for name in ("MOST_TURNED", "MOST_SCALED", "MOST_SHIFTED"):
        monkeypatch.setattr(image, name, 0.0)
    images = tf.constant(inputs(SUBJECT.data.train.take(np.arange(4))))
    np.testing.assert_allclose(image.distorted(images, tf.constant([1, 2])), images, atol=1e-6)


def test_a_shifted_image_is_shifted(monkeypatch):
    for name in ("MOST_TURNED", "MOST_SCALED"):
        monkeypatch.setattr(image, name, 0.0)
    dot = np.zeros((20, 9, 9, 1), np.float32)
    dot[:, 4, 4] = 1.0
    moved = image.distorted(tf.constant(dot), tf.constant([1, 2])).numpy()
    np.testing.assert_allclose(moved.sum(axis=(1, 2, 3)), 1.0, atol=1e-5)
    place = np.arange(9.0)
    centres = np.einsum("nhwc,w->n", moved, place), np.einsum("nhwc,h->n", moved, place)
    for centre in centres:
        assert np.abs(centre - 4).max() <= image.MOST_SHIFTED + 1e-5
        assert np.ptp(centre) > 1


def test_an_unknown_system_is_told_which_there_are():
    command = [sys.executable, "-m", "experiments.systems", "--system=none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode and "image" in done.stderr
