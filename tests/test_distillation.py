"""Distillation: the loss against its definition, and the model that takes the training step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
import small_models
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from tfcompress.distillation import softened_divergence
from tfcompress.techniques import Distill

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 32)


def classifier(seed: int, **last: Any) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.layers.Dense(8, activation="relu", input_shape=(6,)),
            keras.layers.Dense(3, kernel_regularizer="l2", **last),
        ]
    )


def compiled(model: Any) -> Any:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


def fit(model: Any, epochs: int = 2) -> dict[str, list[float]]:
    return model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0).history


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_divergence_is_its_definition(temperature):
    student, teacher = RNG.normal(size=(2, 7, 5)).astype(np.float32)
    p = scipy.special.softmax(teacher / temperature, axis=-1)
    q = scipy.special.softmax(student / temperature, axis=-1)
    expected = (p * np.log(p / q)).sum(-1).mean() * temperature**2
    found = softened_divergence(tf.constant(student), tf.constant(teacher), temperature)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_no_gradient_flows_into_the_teacher():
    student, teacher = (tf.Variable(RNG.normal(size=(4, 3)).astype(np.float32)) for _ in range(2))
    with tf.GradientTape() as tape:
        loss = softened_divergence(student, teacher, 2.0)
    to_student, to_teacher = tape.gradient(loss, [student, teacher])
    assert to_teacher is None
    p, q = (scipy.special.softmax(v.numpy() / 2.0, axis=-1) for v in (teacher, student))
    np.testing.assert_allclose(to_student, 2.0 * (q - p) / 4, atol=1e-6)


def test_weight_0_trains_exactly_like_plain_fit():
    plain = compiled(classifier(1))
    distiller = compiled(tfc.distill(classifier(1), classifier(2), temperature=3.0, weight=0.0))
    plain_history, history = fit(plain), fit(distiller)
    np.testing.assert_allclose(history["loss"], plain_history["loss"], rtol=1e-5)
    np.testing.assert_allclose(history["accuracy"], plain_history["accuracy"])
    for one, other in zip(plain.get_weights(), distiller.student.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_weight_1_learns_from_the_teacher_alone():
    teacher = classifier(2)
    distiller = compiled(tfc.distill(classifier(1), teacher, temperature=2.0, weight=1.0))
    other = compiled(tfc.distill(classifier(1), teacher, temperature=2.0, weight=1.0))
    before = teacher.get_weights()
    fit(distiller)
    other.fit(X, 2 - Y, batch_size=8, epochs=2, shuffle=False, verbose=0)  # labels do not matter
    for a, b in zip(distiller.student.get_weights(), other.student.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(map(np.array_equal, teacher.get_weights(), before))
    history = fit(distiller, epochs=40)
    assert history["distillation_loss"][-1] < 0.3 * history["distillation_loss"][0]


def test_the_losses_of_a_step_add_up():
    distiller = compiled(tfc.distill(classifier(1), classifier(2), weight=0.3))
    penalty = float(tf.add_n(distiller.student.losses))
    logs = distiller.train_on_batch(X, Y, return_dict=True)
    expected = 0.7 * logs["student_loss"] + 0.3 * logs["distillation_loss"] + penalty
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)


def test_evaluate_gives_the_students_own_loss_and_metrics():
    distiller = compiled(tfc.distill(classifier(1), classifier(2), weight=0.9))
    fit(distiller)
    plain = compiled(distiller.student)
    found = distiller.evaluate(X, Y, return_dict=True, verbose=0)
    assert found == pytest.approx(plain.evaluate(X, Y, return_dict=True, verbose=0))


def test_it_is_called_like_its_student_and_does_not_own_the_teacher():
    student, teacher = classifier(1), classifier(2)
    distiller = tfc.distill(student, teacher)
    np.testing.assert_array_equal(distiller(X), student(X))
    owned = {id(v) for v in distiller.variables}
    assert not owned & {id(v) for v in teacher.variables}
    assert {id(v) for v in student.variables} <= owned


@pytest.mark.parametrize("compress", [False, True])
def test_a_tfrs_student_learns_with_its_own_compute_loss(compress):
    family = small_models.FAMILIES["tfrs"]
    teacher = family.compiled(family.build(), 0.05)
    teacher.fit(family.data(), epochs=10, verbose=0)
    student = family.build()
    if compress:
        rule = tfc.rule(tfc.by_type("Embedding"), tfc.Factorize(4), tfc.Quantize(4))
        student = tfc.apply(student, tfc.Spec([rule]))
    distiller = family.compiled(tfc.distill(student, teacher, temperature=2.0, weight=0.5))
    history = distiller.fit(family.data(), epochs=10, verbose=0).history
    assert history["distillation_loss"][-1] < history["distillation_loss"][0]
    assert history["student_loss"][-1] < history["student_loss"][0]
    found = distiller.evaluate(family.data(), return_dict=True, verbose=0)
    student.compile()
    expected = student.evaluate(family.data(), return_dict=True, verbose=0)
    assert found["total_loss"] == pytest.approx(expected["total_loss"])


def test_a_forward_of_ones_own_says_what_is_compared():
    student, teacher = (small_models.two_tower() for _ in range(2))

    def forward(student: Any, teacher: Any, batch: Any) -> tfc.Outputs:
        def logits(model: Any) -> Any:
            users, items = model.user_tower(batch["user"]), model.item_tower(batch["item"])
            return tf.matmul(users, items, transpose_b=True)

        return tfc.Outputs(student.compute_loss(batch, True), logits(student), logits(teacher))

    distiller = tfc.distill(student, teacher, weight=0.5, forward=forward)
    distiller.compile(keras.optimizers.Adam(0.01))
    history = distiller.fit(small_models.interactions(), epochs=3, verbose=0).history
    assert history["student_loss"][-1] < history["student_loss"][0]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_student_that_gives_probabilities_is_refused(activation):
    with pytest.raises(tfc.SpecError, match=f"{activation}.*expected logits.*from_logits=True"):
        tfc.distill(classifier(1, activation=activation), classifier(2))


def test_a_compressed_student_that_gives_probabilities_is_refused_too():
    rule = tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))
    student = tfc.apply(classifier(1, activation="softmax"), tfc.Spec([rule]))
    with pytest.raises(tfc.SpecError, match="softmax.*expected logits"):
        tfc.distill(student, classifier(2))


def test_a_loaded_distiller_has_no_teacher_and_says_so(tmp_path):
    rule = tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))
    student = tfc.apply(classifier(1), tfc.Spec([rule]))
    distiller = compiled(tfc.distill(student, classifier(2), temperature=3.0, weight=0.25))
    fit(distiller)
    distiller.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X), distiller(X))
    assert (loaded.temperature, loaded.weight, loaded.teacher) == (3.0, 0.25, None)
    with pytest.raises(tfc.SpecError, match=r"no teacher.*tfcompress.distill\(model.student"):
        fit(loaded)
    fit(compiled(tfc.distill(loaded.student, classifier(2))))


def test_finalize_gives_the_student():
    distiller = tfc.distill(
        tfc.apply(classifier(1), tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.5))])),
        classifier(2),
    )
    final = tfc.finalize(distiller)
    assert [type(layer) for layer in final.layers] == [keras.layers.Dense] * 2
    np.testing.assert_allclose(final(X), distiller(X), atol=1e-6)


def test_replicas_share_the_loss_among_them(strategy):
    alone = compiled(tfc.distill(classifier(1), classifier(2), weight=0.5))
    with strategy.scope():
        together = compiled(tfc.distill(classifier(1), classifier(2), weight=0.5))
    fit(alone), fit(together)
    for a, b in zip(alone.student.get_weights(), together.student.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Distill(temperature=0), "temperature=0; expected above 0"),
        (lambda: Distill(weight=1.5), "weight=1.5; expected 0 <= weight <= 1"),
        (lambda: tfc.distill(classifier(1), classifier(2), weight=-1), "weight=-1"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()
