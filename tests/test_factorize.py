"""Factorize: the best approximation of a rank, as SciPy finds it."""

import itertools

import numpy as np
import pytest
import scipy.linalg
import small_models
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.techniques.factorize import truncated_svd
from tfcompress.techniques.factorize.budgets import allocate
from tfcompress.techniques.factorize.ranks import kept_energy

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


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_a_tall_matrix_gives_the_same_through_its_gram_matrix(rank):
    matrix = RNG.normal(size=(2000, 8)) * 0.5 ** np.arange(8)
    left, right = truncated_svd(matrix.astype(np.float32), rank)
    u, s, v = scipy.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(left @ right, (u[:, :rank] * s[:rank]) @ v[:rank], atol=1e-5)
    np.testing.assert_allclose(
        np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=1), rtol=1e-3
    )


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
        (lambda: tfc.ByteBudget(0), "ByteBudget received 0; expected a number of bytes"),
        (lambda: tfc.ByteBudget(1.5), "ByteBudget received 1.5"),
        (lambda: tfc.BudgetShare(0.0), r"BudgetShare received 0.0; expected a share in \(0, 1\]"),
    ],
)
def test_a_rank_that_cannot_be_is_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()


# --- budgets ------------------------------------------------------------------------------------


def choices_of(shape, singular):
    """(bytes, kept energy, rank or None) of everything that can be done with a matrix."""
    rows, columns = shape
    kept = kept_energy(singular)
    smaller = [
        (4 * rank * (rows + columns), kept[rank - 1], rank)
        for rank in range(1, len(singular) + 1)
        if rank * (rows + columns) < rows * columns
    ]
    return [*smaller, (4 * rows * columns, 1.0, None)]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.0, 1.0))
def test_a_budget_is_kept_and_spent_nearly_as_well_as_can_be(seed, generosity):
    rng = np.random.default_rng(seed)
    shapes = [tuple(int(n) for n in rng.integers(3, 12, 2)) for _ in range(3)]
    singular = [-np.sort(-(rng.random(min(shape)) ** rng.integers(1, 6))) for shape in shapes]
    choices = [choices_of(*one) for one in zip(shapes, singular, strict=True)]
    least = sum(options[0][0] for options in choices)
    whole = sum(options[-1][0] for options in choices)
    budget = int(least + generosity * (whole - least))
    ranks = allocate(shapes, singular, tfc.ByteBudget(budget))
    taken = [
        next(o for o in options if o[2] == r) for options, r in zip(choices, ranks, strict=True)
    ]
    assert sum(one[0] for one in taken) <= budget
    best = max(
        sum(one[1] for one in several)
        for several in itertools.product(*choices)
        if sum(one[0] for one in several) <= budget
    )
    kept = sum(one[1] for one in taken)
    steps = [b[1] - a[1] for options in choices for a, b in itertools.combinations(options, 2)]
    assert best - max(steps, default=0.0) - 1e-9 <= kept <= best + 1e-9
    if budget == whole:
        assert ranks == [None] * 3


def test_the_plan_shows_ranks_that_keep_to_the_budget_of_the_rule():
    model = small_models.subclassed()
    head = tfc.by_name("tail.head")
    rules = [
        tfc.rule(tfc.by_type("Dense") & ~head, tfc.Factorize(tfc.ByteBudget(5000))),
        tfc.rule(tfc.by_type("Embedding") | head, tfc.Factorize(tfc.BudgetShare(0.5))),
    ]
    rows = {row.path: row for row in tfc.plan(model, tfc.Spec(rules)).layers}
    assert all(isinstance(row.steps[0].rank, int) for row in rows.values() if row.steps)
    first = [r for p, r in rows.items() if p not in ("table", "tail.head") and r.before.weights]
    assert sum(w.bytes for row in first for w in row.after.weights) <= 5000
    assert "Factorize(rank=" in repr(rows["table"].steps[0])
    second = [w.bytes for p in ("table", "tail.head") for w in rows[p].after.weights]
    assert sum(second) <= 0.5 * 4 * (40 * 12 + 16 * 4)
    student = tfc.apply(model, tfc.Spec(rules))
    assert student.table.rank == rows["table"].steps[0].rank


def test_a_budget_for_all_goes_where_it_keeps_most():
    layers = [keras.layers.Dense(16, name=n, use_bias=False, input_shape=(16,)) for n in "ab"]
    model = keras.Sequential(layers)
    steep, flat = np.diag(0.3 ** np.arange(16)), np.linalg.qr(RNG.normal(size=(16, 16)))[0]
    layers[0].kernel.assign(steep * 100), layers[1].kernel.assign(flat)
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Factorize(tfc.ByteBudget(4 * 32 * 8)))])
    first, second = (row.steps[0].rank for row in tfc.plan(model, spec).layers)
    assert first + second == 8
    assert first < second  # large weights alone are worth nothing


def test_a_budget_that_holds_the_whole_matrix_leaves_it():
    model = small_models.sequential()
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Factorize(tfc.ByteBudget(10**9)))])
    rows = {row.path: row for row in tfc.plan(model, spec).layers}
    assert "the budget has room for its whole matrix" in rows["hidden"].skipped[0]
    assert not rows["hidden"].steps


@pytest.mark.parametrize("act", [tfc.plan, tfc.apply])
def test_a_budget_that_not_even_rank_1_keeps_to_fails_before_the_first_change(act):
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Factorize(tfc.ByteBudget(100)))])
    # 12x16 and 16x4: 28 and 20 weights at rank 1
    with pytest.raises(
        tfc.SpecError, match=r"ByteBudget\(bytes=100\).*2 layers; expected at least 192"
    ):
        act(small_models.sequential(), spec)


def test_a_budget_alone_is_no_rank():
    layer = keras.layers.Dense(3)
    layer.build((None, 3))
    with pytest.raises(tfc.SpecError, match="for the layers of a rule"):
        tfc.Factorize(tfc.ByteBudget(100)).apply(layer)


def test_what_is_not_said_is_not_shown():
    assert repr(tfc.Factorize(3)) == "Factorize(rank=3)"
    shown = "Factorize(rank=1, error=OutputError(smoothing=0.001))"
    assert repr(tfc.Factorize(1, error=tfc.OutputError())) == shown
