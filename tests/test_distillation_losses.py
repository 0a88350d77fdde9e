"""Kinds of loss: values and gradients against their derivations in NumPy; settings refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from scipy.special import logsumexp, softmax

import tfcompress as tfc
from tfcompress.distillation import listed_cross_entropy, mean_distribution, softened_divergence
from tfcompress.distillation.taught import Answers, Listed, Whole
from tfcompress.value import from_data, to_data

RNG = np.random.default_rng(0)
N, CLASSES, TOP = 6, 9, 3
STUDENT, TEACHER, OTHER = RNG.normal(0, 2, size=(3, N, CLASSES)).astype(np.float32)
BEST = np.argsort(-TEACHER, axis=1)[:, :TOP].astype(np.int32)


def learnt(loss: Any, taught: Any, step: int = 0) -> tuple[float, Any]:
    """The loss and its gradient by the student's logits."""
    student = tf.Variable(STUDENT)
    with tf.GradientTape() as tape:
        value = loss.value(Answers(tf.convert_to_tensor(student), taught, {}), step)
    return float(value), tape.gradient(value, student).numpy()


def whole(*teachers: Any, weights: Any = None) -> Whole:
    stacked = tf.constant(teachers[0] if len(teachers) == 1 else np.stack(teachers))
    return Whole(stacked, weights)


def listed() -> Listed:
    return Listed(tf.constant(np.take_along_axis(TEACHER, BEST, 1)), tf.constant(BEST), CLASSES)


def on_best(temperature: float) -> Any:
    """The teacher's softmax over its best items, 0 elsewhere: [N, CLASSES]."""
    p = np.zeros((N, CLASSES))
    best = softmax(np.take_along_axis(TEACHER, BEST, 1) / temperature, axis=1)
    np.put_along_axis(p, BEST, best, axis=1)
    return p


def cross_entropy(p: Any, logits: Any) -> Any:
    return -(p * (logits - logsumexp(logits, axis=1, keepdims=True))).sum(1)


def entropy(p: Any) -> Any:
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(1)


@pytest.mark.parametrize("t", [0.5, 1.0, 4.0])
def test_soft_labels_are_the_divergence_of_softened_distributions(t):
    p = softmax(TEACHER / t, axis=1)
    value, gradient = learnt(tfc.SoftLabels(t), whole(TEACHER))
    expected = (cross_entropy(p, STUDENT / t) - entropy(p)).mean() * t**2
    assert value == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(gradient, t * (softmax(STUDENT / t, 1) - p) / N, atol=1e-6)


def test_several_teachers_are_heard_as_the_weighted_mean_of_their_distributions():
    t, weights = 2.0, (3.0, 1.0)
    p = 0.75 * softmax(TEACHER / t, 1) + 0.25 * softmax(OTHER / t, 1)
    value, gradient = learnt(tfc.SoftLabels(t), whole(TEACHER, OTHER, weights=weights))
    expected = (cross_entropy(p, STUDENT / t) - entropy(p)).mean() * t**2
    assert value == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(gradient, t * (softmax(STUDENT / t, 1) - p) / N, atol=1e-6)
    equal = softmax(mean_distribution(np.stack([TEACHER, OTHER])).numpy(), 1)
    np.testing.assert_allclose(equal, (softmax(TEACHER, 1) + softmax(OTHER, 1)) / 2, atol=1e-6)


def test_soft_labels_of_stored_items_are_a_distribution_over_these():
    t = 2.0
    p = on_best(t)
    value, gradient = learnt(tfc.SoftLabels(t), listed())
    expected = (cross_entropy(p, STUDENT / t) - entropy(p)).mean() * t**2
    assert value == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(gradient, t * (softmax(STUDENT / t, 1) - p) / N, atol=1e-6)


def test_all_items_stored_are_as_good_as_all_logits():
    order = np.argsort(-TEACHER, axis=1).astype(np.int32)
    stored = Listed(tf.constant(np.take_along_axis(TEACHER, order, 1)), tf.constant(order), CLASSES)
    for loss in (tfc.SoftLabels(3.0), tfc.TeacherLabels(), tfc.Logits(), tfc.ListWise(TOP)):
        (a, to_a), (b, to_b) = learnt(loss, stored), learnt(loss, whole(TEACHER))
        assert a == pytest.approx(b, rel=1e-4)
        np.testing.assert_allclose(to_a, to_b, atol=1e-6)


def test_teacher_labels_are_the_cross_entropy_with_its_softmax():
    p = softmax(TEACHER, axis=1)
    value, gradient = learnt(tfc.TeacherLabels(), whole(TEACHER))
    assert value == pytest.approx(cross_entropy(p, STUDENT).mean(), rel=1e-5)
    np.testing.assert_allclose(gradient, (softmax(STUDENT, 1) - p) / N, atol=1e-6)
    fused = keras.losses.CategoricalCrossentropy(from_logits=True)
    assert value == pytest.approx(float(fused(p, STUDENT)), rel=1e-5)


def test_logits_are_compared_by_the_mean_of_squares():
    value, gradient = learnt(tfc.Logits(), whole(TEACHER))
    assert value == pytest.approx(((STUDENT - TEACHER) ** 2).mean(), rel=1e-5)
    np.testing.assert_allclose(gradient, 2 * (STUDENT - TEACHER) / STUDENT.size, atol=1e-6)


def test_logits_of_several_teachers_are_their_weighted_mean():
    mean = 0.25 * TEACHER + 0.75 * OTHER
    value, gradient = learnt(tfc.Logits(), whole(TEACHER, OTHER, weights=(1.0, 3.0)))
    assert value == pytest.approx(((STUDENT - mean) ** 2).mean(), rel=1e-5)
    np.testing.assert_allclose(gradient, 2 * (STUDENT - mean) / STUDENT.size, atol=1e-6)


def test_of_stored_items_the_stored_logits_alone_are_compared():
    difference = np.zeros_like(STUDENT)
    picked = np.take_along_axis(STUDENT - TEACHER, BEST, 1)
    np.put_along_axis(difference, BEST, picked, axis=1)
    value, gradient = learnt(tfc.Logits(), listed())
    assert value == pytest.approx((picked**2).mean(), rel=1e-5)
    np.testing.assert_allclose(gradient, 2 * difference / picked.size, atol=1e-6)


@pytest.mark.parametrize("taught", [whole(TEACHER), listed()], ids=["all logits", "stored items"])
@pytest.mark.parametrize("t", [1.0, 2.0])
def test_list_wise_is_the_cross_entropy_to_the_teachers_first_items(taught, t):
    p = on_best(t)
    value, gradient = learnt(tfc.ListWise(TOP, temperature=t), taught)
    assert value == pytest.approx(cross_entropy(p, STUDENT / t).mean() * t**2, rel=1e-5)
    np.testing.assert_allclose(gradient, t * (softmax(STUDENT / t, 1) - p) / N, atol=1e-6)


def test_list_wise_ranks_by_the_mean_of_several_teachers():
    mean = softmax(TEACHER, 1) + softmax(OTHER, 1)
    best = np.argsort(-mean, axis=1)[:, :TOP]
    p = np.zeros((N, CLASSES))
    picked = np.take_along_axis(mean, best, 1)
    np.put_along_axis(p, best, picked / picked.sum(1, keepdims=True), axis=1)
    value, gradient = learnt(tfc.ListWise(TOP), whole(TEACHER, OTHER))
    assert value == pytest.approx(cross_entropy(p, STUDENT).mean(), rel=1e-5)
    np.testing.assert_allclose(gradient, (softmax(STUDENT, 1) - p) / N, atol=1e-6)


def sampled(negatives: Any) -> tuple[Any, Any]:
    """Cross-entropy [N] and the gradient of their mean, from the definition, in NumPy."""
    p, losses, gradient = on_best(1.0), [], np.zeros((N, CLASSES))
    for row in range(N):
        others = [j for j in negatives if j not in BEST[row]]
        stands_for = (CLASSES - TOP) / max(len(others), 1)
        mass = np.zeros(CLASSES)
        mass[BEST[row]] = np.exp(STUDENT[row, BEST[row]].astype(np.float64))
        for j in others:
            mass[j] += stands_for * np.exp(np.float64(STUDENT[row, j]))
        losses.append(np.log(mass.sum()) - (p[row] * STUDENT[row]).sum())
        gradient[row] = (mass / mass.sum() - p[row]) / N
    return np.array(losses), gradient


@pytest.mark.parametrize(
    "negatives",
    [list(range(CLASSES)), [4, 1, 4, 7], [0, 0, 0], BEST[0].tolist(), [8]],
    ids=["all", "twice the same", "one item", "a row's own", "one"],
)
def test_a_sample_stands_for_the_items_that_it_leaves_out(negatives):
    student, taught = tf.Variable(STUDENT), listed()
    with tf.GradientTape() as tape:
        crossed, _ = listed_cross_entropy(
            student, taught.logits, taught.items, tf.constant(negatives, tf.int32)
        )
        loss = tf.reduce_mean(crossed)
    expected, gradient = sampled(negatives)
    np.testing.assert_allclose(crossed, expected, rtol=1e-4, atol=1e-5)
    found = tf.convert_to_tensor(tape.gradient(loss, student))
    np.testing.assert_allclose(found, gradient, atol=1e-6)


def test_a_sample_of_all_items_is_the_full_softmax():
    taught = listed()
    everything = tf.range(CLASSES)
    full = listed_cross_entropy(STUDENT, taught.logits, taught.items)[0]
    found = listed_cross_entropy(STUDENT, taught.logits, taught.items, everything)[0]
    np.testing.assert_allclose(found, full, rtol=1e-5)


def test_a_large_sample_comes_near_the_full_softmax():
    full, _ = learnt(tfc.ListWise(TOP), whole(TEACHER))
    found, _ = learnt(tfc.ListWise(TOP, sampled=20_000), whole(TEACHER))
    assert found == pytest.approx(full, rel=0.03)
    one, other = (learnt(tfc.ListWise(TOP, sampled=4), whole(TEACHER))[0] for _ in range(2))
    assert one != other  # drawn at every step


def test_shares_add_losses_up():
    loss = tfc.Combined((tfc.SoftLabels(2.0), tfc.Logits()), shares=(0.75, 0.25))
    (a, to_a), (b, to_b) = (learnt(part, whole(TEACHER)) for part in loss.losses)
    value, gradient = learnt(loss, whole(TEACHER))
    assert value == pytest.approx(0.75 * a + 0.25 * b, rel=1e-5)
    np.testing.assert_allclose(gradient, 0.75 * to_a + 0.25 * to_b, atol=1e-6)


def test_a_ramp_gives_the_temperature_of_the_step():
    ramp = tfc.LinearRamp(4.0, 2.0, steps=10)
    for make in (tfc.SoftLabels, lambda t: tfc.ListWise(TOP, temperature=t)):
        found = learnt(make(ramp), whole(TEACHER), step=5)
        expected = learnt(make(3.0), whole(TEACHER))
        assert found[0] == pytest.approx(expected[0], rel=1e-5)
        np.testing.assert_allclose(found[1], expected[1], atol=1e-6)


def test_logits_of_sequences_are_one_row_for_each_place():
    student, teacher = (tf.constant(a.reshape(2, 3, CLASSES)) for a in (STUDENT, TEACHER))
    both = tf.stack([teacher, tf.constant(OTHER.reshape(2, 3, CLASSES))])
    for loss in (tfc.SoftLabels(2.0), tfc.Logits(), tfc.ListWise(TOP)):
        found = loss.value(Answers(student, Whole(teacher), {}), 0)
        assert float(found) == pytest.approx(learnt(loss, whole(TEACHER))[0], rel=1e-5)
        found = loss.value(Answers(student, Whole(both), {}), 0)
        assert float(found) == pytest.approx(learnt(loss, whole(TEACHER, OTHER))[0], rel=1e-5)


def test_half_precision_is_summed_up_in_float32():
    student, teacher = (tf.cast(a, tf.float16) for a in (STUDENT, TEACHER))
    value = tfc.SoftLabels(2.0).value(Answers(student, Whole(teacher), {}), 0)
    assert value.dtype == tf.float32
    expected = softened_divergence(tf.cast(student, tf.float32), tf.cast(teacher, tf.float32), 2.0)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


LOSSES = [
    tfc.SoftLabels(4.0),
    tfc.SoftLabels(tfc.CosineRamp(4.0, 1.0, 100)),
    tfc.TeacherLabels(),
    tfc.Logits(),
    tfc.ListWise(10, sampled=100),
    tfc.Hidden((("a", "b.0"),)),
    tfc.Combined((tfc.Logits(), tfc.Hidden("a")), (0.5, 0.5)),
    tfc.techniques.Distill(loss=tfc.Logits(), weight=tfc.PiecewiseConstant((5,), (1.0, 0.0))),
]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_loss_survives_json(loss):
    assert from_data(to_data(loss)) == loss


def widths(student: int, teacher: int) -> Answers:
    return Answers(tf.zeros((2, student)), Whole(tf.zeros((2, teacher))), {})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.SoftLabels(0), "SoftLabels received temperature=0; expected above 0"),
        (lambda: tfc.SoftLabels("hot"), "temperature='hot'; expected a number, or .* LinearRamp"),
        (lambda: tfc.SoftLabels(True), "temperature=True; expected a number"),
        (lambda: tfc.SoftLabels(float("nan")), "temperature=nan; expected above 0"),
        (lambda: tfc.SoftLabels(tfc.LinearRamp(1, 0, 5)), "temperature=LinearRamp.*above 0"),
        (lambda: tfc.ListWise(0), "ListWise received top=0; expected a whole number from 1"),
        (lambda: tfc.ListWise(2.0), "top=2.0; expected a whole number"),
        (lambda: tfc.ListWise(2, sampled=0), "sampled=0; expected a whole number from 1"),
        (lambda: tfc.ListWise(2, temperature=-1), "ListWise received temperature=-1"),
        (lambda: tfc.Combined((), ()), r"shares=\(\) for 0 losses; expected a share above 0"),
        (lambda: tfc.Combined((tfc.Logits(),), (0.5,)), "expected a share.*together 1"),
        (lambda: tfc.Combined((tfc.Logits(),) * 2, (1.5, -0.5)), "expected a share above 0"),
        (lambda: tfc.Combined((tfc.Logits(),), (0.5, 0.5)), "for 1 losses; expected a share"),
        (
            lambda: tfc.Combined(("mse",), (1.0,)),
            "Combined received loss='mse'; expected SoftLabels",
        ),
        (
            lambda: tfc.SoftLabels().value(widths(3, 4), 0),
            "logits of 3 classes from the student and of 4 .*the same classes",
        ),
        (
            lambda: tfc.SoftLabels().value(widths(1, 1), 0),
            r"SoftLabels received logits of 1 class.*always 1; .* Logits\(\)",
        ),
        (
            lambda: tfc.ListWise(5).value(widths(4, 4), 0),
            "ListWise received top=5, and .* hold 4 items; expected top <= 4",
        ),
        (
            lambda: tfc.ListWise(4).value(Answers(tf.zeros((N, CLASSES)), listed(), {}), 0),
            "ListWise received top=4, and .* hold 3 items",
        ),
        (
            lambda: tfc.techniques.Distill(temperature=2.0, loss=tfc.Logits()),
            r"temperature=2.0 and loss=Logits\(\); expected one.* SoftLabels\(temperature=",
        ),
        (lambda: tfc.techniques.Distill(loss="kl"), "Distill received loss='kl'; expected Soft"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()
