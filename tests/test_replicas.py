"""experiments.replicas: two processes train as one does, on the same batches and to the same end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from train_processes import STOPPED

from experiments.curves import apart
from experiments.models import store, tf
from experiments.models.ranking import Ranker, RankingConfig
from experiments.models.sasrec import SASRec, SASRecConfig
from experiments.replicas import Replicas, replicas_of
from experiments.training import Trainer, TrainingConfig, Validation

TOLERANCE = 1e-4  # of a step's loss: sums of float32 in another order, over 30 steps


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What tests/train_processes.py leaves."""
    folder = tmp_path_factory.mktemp("processes")
    here = Path(__file__).parent
    paths = [str(here.parent), str(here), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(here / "train_processes.py"), str(folder)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return folder


def losses(folder, *names):
    found = [json.loads((folder / f"{name}.json").read_text())["losses"] for name in names]
    return [loss for some in found for loss in some]


def test_two_processes_have_the_curve_of_one(processes):
    alone = losses(processes, "alone")
    for index in (0, 1):  # stopped, and gone on with
        assert len(losses(processes, f"first-{index}")) == STOPPED
        together = losses(processes, f"first-{index}", f"second-{index}")
        np.testing.assert_allclose(together, alone, rtol=TOLERANCE)
    assert alone[-1] < alone[0] - 0.5
    one, two = (
        json.loads((processes / name / "results.json").read_text()) for name in ("one", "together")
    )
    curves = [[row["loss"] for row in results["validation"]] for results in (one, two)]
    np.testing.assert_allclose(*curves, rtol=TOLERANCE)
    assert (one["replicas"], two["replicas"]) == (1, 2)
    weights = [store.load_model(processes / name).get_weights() for name in ("one", "together")]
    for own, other in zip(*weights, strict=True):
        np.testing.assert_allclose(own, other, atol=2e-3)


def test_each_process_says_what_it_does_and_the_chief_alone_writes(processes):
    said = [(processes / f"second-{index}.txt").read_text() for index in (0, 1)]
    assert said[0].startswith("worker 0: 2 replicas share each batch of 16; writes checkpoint")
    assert said[1].startswith("worker 1: 2 replicas share each batch of 16; writes nothing.")
    assert "epoch 3 loss" in said[0] and "epoch" not in said[1]
    assert sorted(path.name for path in (processes / "together").iterdir()) == [
        "config.json", "results.json", "weights.npz"]  # fmt: skip


def test_curves_part_by_the_largest_difference_of_means():
    rows = np.random.default_rng(0).uniform(1, 2, (2, 40))
    means = rows.reshape(2, 4, 10).mean(2)
    assert apart(*rows, 10) == pytest.approx(np.abs(means[1] / means[0] - 1).max())
    for other in (rows[1, :30], rows[1]):
        with pytest.raises(ValueError, match="expected the same number, at least 50"):
            apart(rows[0], other, 50)


@pytest.mark.parametrize("model", [SASRec, Ranker], ids=lambda m: m.__name__)
def test_shares_of_a_loss_add_up_to_the_loss_of_the_batch(model, strategy):
    """Of parts with other numbers of targets, and of a penalty that all replicas compute."""
    if model is SASRec:
        config, rows = SASRecConfig(N_ITEMS, length=4, dim=8, heads=2, dropout=0.0), WINDOWS
    else:
        config = RankingConfig({"user": 9, "item": 5}, dim=4, deep=(8,), dropout=0.0, penalty=0.1)
        rows = np.random.default_rng(0).integers(0, 2, (5, 3)).astype(np.int32)
    with strategy.scope():
        built = store.build(config)
    together = Replicas(strategy)
    spread = together._spread(lambda i: rows[i::2])
    found = strategy.run(lambda part: built.compute_loss(part), args=(spread,))
    shares = [float(one) for one in strategy.experimental_local_results(found)]
    whole = float(built.compute_loss(tf.constant(rows)))
    assert sum(shares) == pytest.approx(whole, rel=1e-5)
    assert abs(shares[0] - shares[1]) > 1e-3 * whole


N_ITEMS = 9
WINDOWS = np.array([[0, 0, 0, 1, 2], [3, 4, 5, 6, 7], [0, 0, 0, 8, 9], [1, 2, 3, 4, 5]], np.int32)


def test_replicas_drop_other_things(strategy):
    with strategy.scope():
        layer = tf.keras.layers.Dropout(0.5, rng_type="stateful")
        layer.build((None, 8))
    found = strategy.run(lambda: layer(tf.ones([4, 8]), training=True))
    one, other = (part.numpy() for part in strategy.experimental_local_results(found))
    assert (one != other).any()


def test_what_cannot_be_shared_is_refused(strategy, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="batch=9 for 2 replicas, expected a multiple of 2"):
        Replicas(strategy).check(9)
    with pytest.raises(ValueError, match="strategy='all', expected one of"):
        replicas_of("all")
    assert replicas_of("none").of_all(3) == [3] and replicas_of("none").is_chief
    assert Replicas(strategy).of_all(3) == [3, 3]
    monkeypatch.setattr(Replicas, "of_all", lambda self, number: [number, 4])
    model = store.build(SASRecConfig(N_ITEMS, length=4, dim=8, heads=2))
    with pytest.raises(
        ValueError, match=r"go on from the steps \[0, 4\].*a folder that they share"
    ):
        settings = TrainingConfig(1, 2, 1, 0.1, 0)
        Trainer(model, WINDOWS, settings, tmp_path / "c.npz", Validation(dict, "ndcg"), {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_cluster_that_is_none_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="expected in each process's environment all addresses"):
        replicas_of("multiworker")
