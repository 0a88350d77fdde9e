"""Schedules decide as TF-MOT's do, without its traps."""

import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot

import tfcompress as tfc

THEIRS = tfmot.sparsity.keras
PAIRS = [
    (tfc.ConstantSparsity(2, 9, 3), THEIRS.ConstantSparsity(0.6, 2, 9, 3)),
    (tfc.ConstantSparsity(0, frequency=1), THEIRS.ConstantSparsity(0.6, 0, frequency=1)),
    (tfc.PolynomialDecay(10, 2, 0.1, 2.0, 4), THEIRS.PolynomialDecay(0.1, 0.6, 2, 10, 2.0, 4)),
    (tfc.PolynomialDecay(6, frequency=1), THEIRS.PolynomialDecay(0.0, 0.6, 0, 6, frequency=1)),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda p: type(p).__name__)
def test_the_decisions_are_those_of_tfmot(ours, theirs):
    decide = ours.decider(0.6)
    for step in range(15):
        now, sparsity = decide(tf.constant(step))
        then, wanted = theirs(tf.constant(step))
        assert bool(now) == bool(then), step
        if now:
            assert float(sparsity) == pytest.approx(float(wanted)), step


def test_once_never_moves_again():
    assert tfc.Once().decider(0.5) is None


@pytest.mark.parametrize(
    "schedule",
    [tfc.PolynomialDecay(10, 2, 0.1, 2.0, 4), tfc.PolynomialDecay(100), tfc.ConstantSparsity(3)],
    ids=repr,
)
def test_the_sparsity_asked_for_is_reached(schedule):
    decide = schedule.decider(0.6)
    moves = [decide(tf.constant(step)) for step in range(201)]
    assert float([sparsity for due, sparsity in moves if due][-1]) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.PolynomialDecay(5, 5), "end_step=5 and begin_step=5; expected end_step >"),
        (lambda: tfc.PolynomialDecay(0), "end_step=0 and begin_step=0"),
        (lambda: tfc.PolynomialDecay(250), "frequency=100 .* 0 to 250; expected a divisor"),
        (lambda: tfc.PolynomialDecay(-1), "expected end_step > begin_step"),
        (lambda: tfc.PolynomialDecay(100, -1), "begin_step=-1"),
        (lambda: tfc.PolynomialDecay(100, frequency=0), "frequency=0"),
        (lambda: tfc.PolynomialDecay(100, initial_sparsity=1.0), "initial_sparsity=1.0"),
        (lambda: tfc.PolynomialDecay(100, power=0), "power=0; expected power > 0"),
        (lambda: tfc.ConstantSparsity(10, 5), "end_step=5 and begin_step=10"),
        (lambda: tfc.ConstantSparsity(frequency=0), "frequency=0"),
    ],
)
def test_settings_that_would_do_harm_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()
