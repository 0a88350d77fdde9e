"""experiments.sweeping: a trial of the sweep, on users who walk through a few items."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tfcompress as tfc
from experiments import fronts, sweeping
from experiments.compression import read_recipe
from experiments.data.movielens import MovieLens
from experiments.models import store, tf
from experiments.models.sasrec import SASRecConfig
from experiments.workers import watched

N_ITEMS, LENGTH = 120, 8
HOW = sweeping.Steps(steps=4, parts=2, before=2, batch=8)
SWEEP = Path(__file__).parents[1] / "experiments"


@pytest.fixture(scope="module")
def data():
    starts = np.random.default_rng(0).integers(0, N_ITEMS, 40)
    walks = [((start + np.arange(14)) % N_ITEMS + 1).astype(np.int32) for start in starts]
    return MovieLens(("", *(f"item {i}" for i in range(N_ITEMS))), walks)


@pytest.fixture(scope="module")
def teacher():
    tf.keras.utils.set_random_seed(0)
    return store.build(SASRecConfig(N_ITEMS, length=LENGTH, dim=16, feedforward=32, dropout=0.0))


@pytest.fixture(scope="module")
def recipe():
    read = read_recipe(SWEEP / "configs" / "mobile-wide.json")
    sizes = {"length": 6, "feedforward": [24, 16]}
    return replace(read, student=sizes, linear=None, fresh=3, positions=24)


def test_a_trial_distils_from_stored_answers_and_asks_the_file(data, teacher, recipe, tmp_path):
    student = sweeping.distilled_student(data, teacher, teacher, recipe, HOW, tmp_path / "s.npz")
    again = sweeping.distilled_student(data, teacher, teacher, recipe, HOW, tmp_path / "s.npz")
    for one, other in zip(student.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    space = tfc.Spec(
        [tfc.rule(tfc.by_type("Dense"), tfc.Quantize(tfc.tune.Choice(8, 4), tfc.PerTensor()))]
    )
    work = sweeping.Retrieval(data, teacher, recipe, HOW)
    settings = tfc.SearchSettings(tmp_path / "search", tfc.RandomDraws(), trials=1)
    result = tfc.search(student, space, work, tfc.MaximizeQuality(), tfc.Budget(), settings)
    (trial,) = result.finished
    assert trial.figures.bytes < result.before.bytes and trial.figures.latency_us > 0
    assert len(trial.qualities) == 2
    stored = tfc.Precomputed(tmp_path / "search" / "answers")
    assert stored.logits.shape == (4 * 8, 3, N_ITEMS)
    before = tmp_path / "search" / "before" / "model.tflite"
    first, own = fronts.tested({"float32": before, "trial 0": trial.file}, data)
    assert own["bytes"] == trial.figures.bytes < first["bytes"] and own["p50_us"] > 0
    assert own["ndcg@10_difference"] == pytest.approx(own["ndcg@10"] - first["ndcg@10"])
    other = {"system": "another", "bytes": 9999, "quality": 0.1, "error": None}
    fronts.draw([first, own], [other, {**other, "error": "fails"}], tmp_path / "front.png")
    assert (tmp_path / "front.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_chief_starts_workers_that_share_the_trials(tmp_path):
    """The command line, of chief and workers, in processes over loopback."""
    here = Path(__file__).parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = [str(here.parent), str(here), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(here / "sweep_processes.py"), str(tmp_path), str(port)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [trial["number"] for trial in found["trials"]] == [0, 1, 2]
    assert all(trial["ending"] == "finished" for trial in found["trials"]), found["trials"]
    assert {trial["worker"] for trial in found["trials"]} <= {"worker0", "worker1"}
    assert found["flags"]["role"] == "chief" and found["flags"]["workers"] == 2
    assert found["share_of_a_trial"] == pytest.approx(found["seconds_of_a_trial"]["mean"] / 60.0)
    said = done.stdout.splitlines()
    assert sum(line.startswith("trial ") for line in said) == 3


def test_workers_do_not_outlive_a_chief_that_fails(capfd):
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    failing = [sys.executable, "-c", "raise SystemExit(3)"]
    workers = [subprocess.Popen(command) for command in (sleeping, failing)]
    with pytest.raises(tfc.SpecError, match="out of reach"), watched(workers):
        while "worker1 ended with exit code 3" not in capfd.readouterr().err:
            time.sleep(0.02)
        raise tfc.SpecError("out of reach")
    assert [worker.returncode for worker in workers] == [-signal.SIGTERM, 3]


def test_a_worker_that_waits_for_a_chief_that_is_done_is_ended(capfd):
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with watched([worker], grace=0.1):
        pass
    assert worker.returncode == -signal.SIGTERM and not capfd.readouterr().err


def test_too_few_windows_are_refused(data, teacher, recipe):
    with pytest.raises(ValueError, match="expected 8000 for 1000 steps of 8. Train for fewer"):
        sweeping.windows_of(data, teacher, recipe, replace(HOW, steps=1000))


def test_parts_divide_the_steps():
    with pytest.raises(ValueError, match="parts that divide the steps"):
        sweeping.Steps(steps=5, parts=2)


def test_the_committed_space_fits_the_mobile_student():
    space = tfc.Space.from_json((SWEEP / "specs" / "sweep.json").read_text())
    names = [variable.name for variable in space.variables]
    assert "item_table/Factorize/rank" in names and "*.ff?/Prune/sparsity" in names
    assert json.loads(space.to_json())["type"] == "Spec"
