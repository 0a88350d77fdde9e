"""Laws 4 and 5 of docs/design.md for distillation: round trips and the neutral weight.

Training is eager here, so that a seed fixes the items that ListWise draws.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras as keras

import tfcompress as tfc
from tfcompress.value import from_data, to_data

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 16)
RAMPS = [
    tfc.LinearRamp(0.9, 0.1, steps=6),
    tfc.CosineRamp(0.2, 0.8, steps=6, begin=1),
    tfc.PiecewiseConstant((1, 3), (0.2, 0.5, 0.9)),
]
LOSSES = [
    tfc.SoftLabels(2.0),
    tfc.TeacherLabels(),
    tfc.Logits(),
    tfc.ListWise(2),
    tfc.ListWise(2, sampled=2),
    tfc.Hidden("body"),
    tfc.Combined((tfc.SoftLabels(2.0), tfc.Hidden("body")), (0.5, 0.5)),
    *(tfc.SoftLabels(ramp) for ramp in RAMPS),
    *(tfc.ListWise(2, temperature=ramp) for ramp in RAMPS),
]
WEIGHTS = [0.3, *RAMPS]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)
each_weight = pytest.mark.parametrize("weight", WEIGHTS, ids=repr)


def net(seed: int, width: int = 8) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.layers.Dense(width, activation="relu", input_shape=(6,), name="body"),
            keras.layers.Dense(3, name="head"),
        ],
        name=f"net{seed}",
    )


def one() -> Any:
    return net(2)


def several() -> Any:
    return [net(2), net(3)]


def weighted() -> Any:
    return tfc.Teachers([net(2), net(3)], weights=(3.0, 1.0))


each_teacher = pytest.mark.parametrize("teacher", [one, several, weighted])


def compiled(model: Any) -> Any:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, run_eagerly=True)
    return model


def step(model: Any) -> dict[str, float]:
    """One training step, always with the same draws."""
    keras.utils.set_random_seed(9)
    model.run_eagerly = True
    model.reset_metrics()
    return dict(model.train_on_batch(X, Y, return_dict=True))


def goes_on_the_same(distiller: Any, teacher: Any, path: Path) -> None:
    """Two steps, saved and loaded: the next two give the same losses and weights."""
    compiled(distiller)
    step(distiller), step(distiller)
    distiller.save(path)
    loaded = keras.models.load_model(path).learn_from(teacher)
    assert (loaded.objective, loaded.weight) == (distiller.objective, distiller.weight)
    assert loaded.steps == distiller.steps
    for _ in range(2):
        assert step(loaded) == pytest.approx(step(distiller), rel=1e-6)
    for a, b in zip(loaded.get_weights(), distiller.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("value", [*LOSSES, *RAMPS], ids=repr)
def test_a_loss_and_a_ramp_survive_json(value):
    assert from_data(json.loads(json.dumps(to_data(value)))) == value


@each_loss
def test_every_loss_survives_saving_and_goes_on(tmp_path, loss):
    teacher = net(2)
    distiller = tfc.distill(net(1, width=5), teacher, loss=loss)
    goes_on_the_same(distiller, teacher, tmp_path / "model.keras")


@each_weight
def test_every_weight_survives_saving_and_goes_on(tmp_path, weight):
    teacher = net(2)
    distiller = tfc.distill(net(1), teacher, weight=weight)
    goes_on_the_same(distiller, teacher, tmp_path / "model.keras")


@each_teacher
def test_a_student_of_any_teachers_survives_saving_and_goes_on(tmp_path, teacher):
    taught = teacher()
    distiller = tfc.distill(net(1), taught, tfc.LinearRamp(4.0, 1.0, 6))
    goes_on_the_same(distiller, taught, tmp_path / "model.keras")


@each_loss
def test_a_config_makes_the_same_distiller(loss):
    distiller = tfc.distill(net(1, width=5), net(2), loss=loss, weight=RAMPS[0])
    made = type(distiller).from_config(distiller.get_config())
    assert made.get_config() == distiller.get_config()
    assert (made.objective, made.weight) == (loss, RAMPS[0])


def as_without(distiller: Any) -> None:
    """Three steps leave the student where three steps of its own do."""
    distilled, plain = compiled(distiller), compiled(net(1))
    for _ in range(3):
        step(distilled), step(plain)
    for a, b in zip(distilled.student.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@each_loss
def test_no_weight_leaves_the_training_as_it_is(loss):
    as_without(tfc.distill(net(1), net(2, width=7), loss=loss, weight=0.0))


@each_teacher
def test_no_weight_leaves_it_as_it_is_with_any_teachers(teacher):
    as_without(tfc.distill(net(1), teacher(), weight=0.0))


def test_a_ramp_that_stays_at_no_weight_leaves_it_as_it_is():
    still = tfc.PiecewiseConstant((1,), (0.0, 0.0))
    as_without(tfc.distill(net(1), net(2), weight=still))
