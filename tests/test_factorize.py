"""Factorize: the best approximation of a rank, as SciPy finds it."""

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.techniques.factorize import truncated_svd

RNG = np.random.default_rng(0)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_the_factors_are_the_best_of_their_rank(rows, columns, data):
    rank = data.draw(st.integers(1, min(rows, columns)))
    matrix = np.random.default_rng(rows * columns).normal(size=(rows, columns))
    left, right = truncated_svd(matrix.astype(np.float32), rank)
    u, s, v = scipy.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(left @ right, (u[:, :rank] * s[:rank]) @ v[:rank], atol=1e-4)
    np.testing.assert_allclose(
        np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=1), rtol=1e-3, atol=1e-3
    )
    assert left.dtype == right.dtype == np.float32


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999, 1.0])
def test_kept_energy_is_kept_and_no_rank_less_would_do(share):
    matrix = RNG.normal(size=(20, 12))
    rank = tfc.KeptEnergy(share).of(matrix)
    energy = scipy.linalg.svdvals(matrix) ** 2
    assert energy[:rank].sum() >= share * energy.sum() * (1 - 1e-9)
    assert energy[: rank - 1].sum() < share * energy.sum()


def test_kept_energy_of_a_zero_matrix_is_a_rank():
    assert tfc.KeptEnergy(0.9).of(np.zeros((4, 3))) in range(1, 4)


@pytest.mark.parametrize(("share", "rank"), [(0.01, 1), (0.25, 3), (0.26, 4), (1.0, 12)])
def test_a_fraction_is_of_the_full_rank(share, rank):
    assert tfc.Fraction(share).of(np.ones((20, 12))) == rank


def test_a_factorized_model_computes_with_the_best_approximation():
    model = keras.Sequential(
        [keras.layers.Dense(16, activation="tanh", input_shape=(20,), name="dense")]
    )
    model.layers[0].bias.assign(RNG.normal(size=16))
    student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("dense"), tfc.Factorize(rank=5))]))
    u, s, v = scipy.linalg.svd(model.layers[0].kernel.numpy(), full_matrices=False)
    x = RNG.normal(size=(3, 20)).astype(np.float32)
    expected = np.tanh(x @ (u[:, :5] * s[:5]) @ v[:5] + model.layers[0].bias.numpy())
    np.testing.assert_allclose(student(x), expected, atol=1e-4)
    assert student.count_params() == 20 * 5 + 5 * 16 + 16


def test_a_table_keeps_its_mask_its_name_and_whether_it_trains():
    table = keras.layers.Embedding(50, 16, mask_zero=True, input_length=3, name="table")
    table.trainable = False
    student = tfc.apply(
        keras.Sequential([table]), tfc.Spec([tfc.rule(tfc.by_name("table"), tfc.Factorize(4))])
    )
    new = student.layers[0]
    assert (new.name, new.trainable, new.mask_zero) == ("table", False, True)
    np.testing.assert_array_equal(new.compute_mask(tf.constant([0, 3])), [False, True])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.Factorize(0), "rank=0; expected a whole number from 1"),
        (lambda: tfc.Factorize(2.5), "rank=2.5"),
        (lambda: tfc.Factorize(True), "rank=True"),
        (lambda: tfc.Fraction(0), r"Fraction received 0; expected a share in \(0, 1\]"),
        (lambda: tfc.Fraction(1.1), "Fraction received 1.1"),
        (lambda: tfc.KeptEnergy(-0.5), "KeptEnergy received -0.5"),
    ],
)
def test_a_rank_that_cannot_be_is_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()
