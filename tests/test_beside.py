"""experiments.beside: random trials beside auto, on small models of both kinds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from experiments import beside


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """What tests/auto_processes.py leaves and says: two trials, and then a third, of each kind."""
    folder, here = tmp_path_factory.mktemp("auto"), Path(__file__).parent
    paths = [str(here.parent), str(here), os.environ.get("PYTHONPATH", "")]
    ran = subprocess.run(
        [sys.executable, str(here / "auto_processes.py"), str(folder)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert ran.returncode == 0, ran.stderr
    return folder, ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["retrieval", "ranking"])
def test_both_sides_are_in_the_results_and_the_trials_go_on(done, kind):
    folder, shown = done
    found, more = (
        json.loads((folder / kind / f"results-{trials}.json").read_text()) for trials in (2, 3)
    )
    said, drawn = found["beside"], found["beside"]["rows"]["random"]
    assert [row["number"] for row in drawn] == [0, 1]
    assert all(row["inside"] == (row["bytes"] <= found["budget"]["bytes"]) for row in drawn)
    assert drawn[1]["seconds"] > drawn[0]["seconds"] > 0 and any(row["inside"] for row in drawn)
    assert said["random"]["best"]["quality"] == drawn[-1]["best_so_far"]
    assert (said["epochs_of_auto"], said["epochs_of_a_trial"]) == (1, 0.2)
    own = said["rows"]["auto"]
    assert own[0]["seconds"] > found["attempts"][0]["seconds"]  # the sensitivity comes first
    assert [row["quality"] for row in own] == [one["quality"] for one in found["attempts"]]
    assert f"2 random trials: {drawn[-1]['best_so_far']:.4f} (" in shown and "\nauto: " in shown
    assert more["beside"]["rows"]["random"][:2] == drawn and more["attempts"] == found["attempts"]
    assert len(more["beside"]["rows"]["random"]) == 3


def network():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Embedding(50, 16, input_length=2, name="table"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="head"),
        ]
    )
    model(np.zeros((1, 2)))
    return model


def test_a_space_has_what_does_something_in_each_layer():
    space = beside.space_of(network(), [tfc.Quantize(8), tfc.Quantize(4), tfc.Factorize(4)])
    table, head = space.default().rules
    assert table.techniques == (tfc.Factorize(4), tfc.Quantize(8))
    assert head.techniques == (tfc.Quantize(8),)
    assert len(space.variables) == 5  # the table's structure, and whether and how many bits
    with pytest.raises(ValueError, match="expected one that does something"):
        beside.space_of(network(), [tfc.Factorize(16)])


def test_a_trial_trains_for_a_part_of_an_epoch_and_says_nothing_before_its_file():
    x, y = np.ones((24, 2), np.float32), np.zeros(24, np.int32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    data = tfc.AutoData([x], lambda path: 0.5, tfc.Training(batches, 2, 0.1, loss))
    for epochs, steps in ((0.5, 3), (0.01, 1), (1.5, 9)):
        assert beside.shortened(data.training, epochs).batches.cardinality() == steps
    assert beside.shortened(data.training, 0) is None and beside.shortened(None, 1.0) is None
    work, student = beside.Trials(data, 0.5), network()
    before = student.get_weights()
    work.prepare(network(), Path("nowhere"))
    assert list(work.train(student, range(1), seed=1)) == []
    assert any((a != b).any() for a, b in zip(before, student.get_weights(), strict=True))
    with pytest.raises(ValueError, match="without verify_with, expected calls to time"):
        work.calls()


def test_the_best_so_far_is_the_best_inside_the_budget():
    measured = [(1, 2, 90, 0.5, True), (2, 3, 120, 0.9, False), (3, 1, None, None, None),
                (4, 4, 80, 0.7, True)]  # fmt: skip
    rows = beside._so_far(measured, 10.0)
    assert [one["seconds"] for one in rows] == [12, 15, 16, 20]
    assert [one["best_so_far"] for one in rows] == [0.5, 0.5, 0.5, 0.7]
    assert [beside.best_at(rows, at) for at in (11, 16, 30)] == [None, 0.5, 0.7]
    assert beside.ended(rows)["best"]["number"] == 4 and beside.ended([])["best"] is None
    assert beside.line("auto", rows, 0.8) == (
        "auto: 0.7000 (0.1000 short) in 80 bytes after 20 s, of 20 s."
    )
    assert "(enough)" in beside.line("auto", rows, 0.7)
    assert beside.line("auto", rows[1:2], 0.7) == "auto: no file inside the budget in 15 s."
