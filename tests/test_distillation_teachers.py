"""Several teachers, settings that change while training, and every loss in a training step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
import small_models
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 32)
LOSSES = [
    tfc.SoftLabels(2.0),
    tfc.TeacherLabels(),
    tfc.Logits(),
    tfc.ListWise(2),
    tfc.ListWise(2, sampled=2),
    tfc.Combined((tfc.SoftLabels(2.0), tfc.Logits()), (0.5, 0.5)),
]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)


def net(seed: int, classes: int = 3, **last: Any) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.layers.Dense(8, activation="relu", input_shape=(6,), name="body"),
            keras.layers.Dense(classes, name="head", **last),
        ],
        name=f"net{seed}",
    )


def compiled(model: Any, optimizer: Any = None) -> Any:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.1), loss)
    return model


def fit(model: Any, epochs: int = 1, **how: Any) -> dict[str, list[float]]:
    return model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **how).history


@each_loss
def test_every_loss_brings_the_student_nearer(loss):
    distiller = compiled(tfc.distill(net(1), net(2), loss=loss, weight=1.0))
    history = fit(distiller, 20)["distillation_loss"]
    assert np.mean(history[-3:]) < np.mean(history[:3])


@each_loss
def test_every_loss_teaches_a_tfrs_student(loss):
    family = small_models.FAMILIES["tfrs"]
    teacher = family.compiled(family.build(), 0.05)
    teacher.fit(family.data(), epochs=5, verbose=0)
    distiller = family.compiled(tfc.distill(family.build(), teacher, loss=loss, weight=0.9))
    history = distiller.fit(family.data(), epochs=8, verbose=0).history["distillation_loss"]
    assert np.mean(history[-2:]) < np.mean(history[:2])


@each_loss
def test_half_precision_trains(loss):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        distiller = tfc.distill(net(1, dtype="float32"), net(2), loss=loss, weight=0.5)
        compiled(distiller, keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1)))
        history = fit(distiller, 10)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(history["loss"]).all()
    assert history["student_loss"][-1] < history["student_loss"][0]


def test_several_teachers_teach_the_mean_of_their_distributions():
    teachers = [net(2), net(3)]
    logits = [t(X).numpy() / 2.0 for t in teachers]
    p = np.mean([scipy.special.softmax(one, 1) for one in logits], axis=0)
    student = net(1)
    q = scipy.special.log_softmax(student(X).numpy() / 2.0, 1)
    distiller = compiled(tfc.distill(student, teachers, temperature=2.0))
    logs = distiller.train_on_batch(X, Y, return_dict=True)
    expected = (p * (np.log(p) - q)).sum(1).mean() * 4.0
    assert logs["distillation_loss"] == pytest.approx(expected, rel=1e-4)
    owned = {id(v) for v in distiller.variables}
    assert not owned & {id(v) for t in teachers for v in t.variables}


def test_a_heavy_teacher_is_all_but_alone():
    alone = compiled(tfc.distill(net(1), net(2), temperature=2.0))
    heavy = tfc.Teachers([net(2), net(3)], weights=(1e6, 1.0))
    together = compiled(tfc.distill(net(1), heavy, temperature=2.0))
    assert together.teacher is heavy
    assert fit(together)["loss"] == pytest.approx(fit(alone)["loss"], rel=1e-4)


def test_one_teacher_in_a_list_is_that_teacher():
    teacher = net(2)
    assert tfc.distill(net(1), [teacher]).teacher is teacher
    one, other = (compiled(tfc.distill(net(1), t)) for t in (teacher, [teacher]))
    assert fit(one)["loss"] == fit(other)["loss"]


@pytest.mark.parametrize("stack", [tf.stack, list, tuple])
def test_a_forward_gets_several_teachers_as_a_tuple(stack):
    def forward(student: Any, teachers: Any, batch: Any) -> tfc.Outputs:
        x, y = batch
        assert isinstance(teachers, tuple)
        logits = student(x, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        return tfc.Outputs(loss, logits, stack([teacher(x) for teacher in teachers]))

    teachers = tfc.Teachers([net(2), net(3)], weights=(1.0, 2.0))
    own = compiled(tfc.distill(net(1), teachers, forward=forward))
    usual = compiled(tfc.distill(net(1), teachers))
    assert fit(own)["distillation_loss"] == pytest.approx(fit(usual)["distillation_loss"])


def test_the_weight_follows_its_ramp_from_step_to_step():
    ramp = tfc.LinearRamp(0.9, 0.1, steps=6)
    distiller = compiled(tfc.distill(net(1), net(2), weight=ramp))
    for step in range(8):
        distiller.reset_metrics()
        logs = distiller.train_on_batch(X, Y, return_dict=True)
        weight = float(ramp.at(step))
        expected = (1 - weight) * logs["student_loss"] + weight * logs["distillation_loss"]
        assert logs["loss"] == pytest.approx(expected, rel=1e-4)
        assert distiller.steps == step + 1


@pytest.mark.parametrize("how", [{}, {"run_eagerly": True}, {"steps_per_execution": 2}])
def test_steps_are_counted_however_the_step_is_run(how):
    distiller = tfc.distill(net(1), net(2), weight=tfc.CosineRamp(1.0, 0.0, 8))
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), **how)
    fit(distiller, epochs=2)
    assert distiller.steps == 8
    distiller.evaluate(X, Y, verbose=0)
    assert distiller.steps == 8


def test_a_ramp_at_one_number_is_that_number():
    loss = tfc.SoftLabels(tfc.PiecewiseConstant((1000,), (3.0, 1.0)))
    ramp = compiled(tfc.distill(net(1), net(2), loss=loss, weight=tfc.LinearRamp(0.4, 0.4, 5)))
    plain = compiled(tfc.distill(net(1), net(2), temperature=3.0, weight=0.4))
    fit(ramp), fit(plain)
    for a, b in zip(ramp.student.get_weights(), plain.student.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert plain.steps is None


def test_steps_are_saved_and_go_on(tmp_path):
    weight = tfc.LinearRamp(1.0, 0.0, steps=10)
    distiller = tfc.distill(net(1), net(2), tfc.CosineRamp(4.0, 1.0, 10), weight)
    fit(compiled(distiller, keras.optimizers.Adam(0.01)))
    distiller.save(tmp_path / "model.keras")
    distiller.save_weights(tmp_path / "weights")
    loaded = keras.models.load_model(tmp_path / "model.keras").learn_from(net(2))
    again = tfc.distill(net(5), net(2), tfc.CosineRamp(4.0, 1.0, 10), weight)
    again.load_weights(tmp_path / "weights").expect_partial()
    assert (loaded.steps, again.steps, loaded.weight) == (4, 4, weight)
    assert fit(loaded, 2)["loss"] == pytest.approx(fit(distiller, 2)["loss"], rel=1e-5)
    assert loaded.steps == 12


def test_replicas_count_a_step_once(strategy):
    def make() -> Any:
        loss = tfc.SoftLabels(tfc.LinearRamp(4.0, 1.0, 8))
        teachers = [net(2), net(3)]
        distiller = tfc.distill(net(1), teachers, loss=loss, weight=tfc.LinearRamp(0.9, 0.1, 8))
        return compiled(distiller)

    alone = make()
    with strategy.scope():
        together = make()
    fit(alone, 2), fit(together, 2)
    assert together.steps == alone.steps == 8
    for a, b in zip(alone.student.get_weights(), together.student.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_another_teacher_takes_the_place_of_the_first():
    distiller = compiled(tfc.distill(net(1), net(2), weight=1.0))
    fit(distiller)
    student = distiller.student.get_weights()
    other = compiled(tfc.distill(net(1), net(3), weight=1.0))
    other.student.set_weights(student)
    assert fit(distiller.learn_from(net(3)))["loss"] == pytest.approx(fit(other)["loss"])


def test_a_saved_distiller_holds_nothing_of_its_teacher(tmp_path):
    big = keras.Sequential([keras.layers.Dense(5000, input_shape=(6,)), keras.layers.Dense(3)])
    distiller = compiled(tfc.distill(net(1), big))
    fit(distiller)
    distiller.save(tmp_path / "model.keras")
    assert (tmp_path / "model.keras").stat().st_size < 4 * 5000 * (6 + 1)
    with pytest.raises(tfc.SpecError, match=r"no teacher.*model.learn_from\(teacher\) to go on"):
        fit(keras.models.load_model(tmp_path / "model.keras"))


class Untold(keras.Model):
    """A model whose widths Keras does not know beforehand."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(classes)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.Teachers([]), r"Teachers received \[\]; expected at least one Keras model"),
        (lambda: tfc.Teachers([net(1), "net"]), "Teachers received .*expected at least one Keras"),
        (
            lambda: tfc.Teachers([net(1), net(2)], (1.0,)),
            r"weights=\(1.0,\) for 2 models; expected a number above 0",
        ),
        (lambda: tfc.Teachers([net(1), net(2)], (1.0, 0.0)), r"weights=\(1.0, 0.0\) for 2 models"),
        (
            lambda: tfc.distill(net(1), [net(2), net(3, classes=4)]),
            "teachers with logits of 3 and of 4 classes; expected the same",
        ),
        (
            lambda: tfc.distill(net(1), net(2, activation="softmax")),
            r"The last layer of 'net2' gives probabilities \(softmax\); expected logits",
        ),
        (
            lambda: tfc.distill(net(1), net(2, classes=4)),
            "logits of 3 classes from the student and of 4 from its teacher",
        ),
        (
            lambda: tfc.distill(net(1, 1), net(2, 1)),
            r"SoftLabels received logits of 1 class.*Logits\(\)",
        ),
        (
            lambda: fit(compiled(tfc.distill(net(1), Untold(4)))),
            "logits of 3 classes from the student and of 4 from its teacher",
        ),
        (
            lambda: fit(compiled(tfc.distill(net(1), [Untold(4), Untold(3)]))),
            "teachers with logits of 4 and of 3 classes",
        ),
        (
            lambda: tfc.Teachers([net(1), net(2)], (1.0, 2.0)).taught([tf.zeros((2, 3))] * 3),
            "returned the logits of 3 teachers; expected 2",
        ),
        (
            lambda: tfc.distill(net(1), net(2), temperature=2.0, loss=tfc.Logits()),
            "temperature=2.0 and loss=",
        ),
        (
            lambda: tfc.Distiller(net(1), net(2), weight=2),
            "Distiller received weight=2; expected 0",
        ),
    ],
)
def test_teachers_that_do_not_fit_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()


def test_a_single_output_is_taught_by_its_logits():
    distiller = tfc.distill(net(1, 1), net(2, 1), loss=tfc.Logits(), weight=1.0)
    distiller.compile("sgd", "mse")
    history = fit(distiller, 10)["distillation_loss"]
    assert history[-1] < history[0]
