"""benchmarks.catalogue: what is made, and what is measured of it."""

import numpy as np
import pytest

from benchmarks.catalogue import __main__ as catalogue
from benchmarks.catalogue import files, measuring
from benchmarks.catalogue.vectors import Catalogue, best, made, resemblance, shared

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def small():
    """300 trained vectors in clusters, 2,000 made of them, and some that ask."""
    centers = RNG.standard_normal((12, 16), np.float32)
    trained = centers[RNG.integers(0, 12, 300)] + 0.5 * RNG.standard_normal((300, 16), np.float32)
    asking = trained[:20] + 0.1 * RNG.standard_normal((20, 16), np.float32)
    return Catalogue(trained, made(trained, 2_000, seed=1), asking, asking)


def test_made_vectors_are_like_the_trained_ones_and_none_of_them(small):
    written = resemblance(small, seed=0)
    trained, like = written["trained"], written["made, as many"]
    for what in ("cosine of the 10th", "norm"):
        np.testing.assert_allclose(like[what], trained[what], rtol=0.25)
    distances = np.abs(small.items[:50, None] - small.trained).sum(2).min(1)
    assert distances.min() > 0.0
    np.testing.assert_array_equal(small.items, made(small.trained, 2_000, seed=1))


def test_the_best_are_those_of_a_sort(small):
    found = best(small.items, small.asking, 7)
    expected = np.argsort(-(small.asking @ small.items.T), 1)[:, :7]
    assert shared(found, expected) == 1.0
    assert shared(np.array([[1, 2]]), np.array([[2, 3]])) == 0.5


def test_every_contender_has_a_recall_and_takes_its_turns(small):
    truth = measuring.truth_of(small, seed=0)
    exact = measuring.row_of(
        files.FLOAT, 128_000, truth, 2_000, lambda v: best(small.items, v, 100)
    )
    assert (exact.recall, exact.recall_of_items, exact.bytes_an_item) == (1.0, 1.0, 64.0)
    calls = []
    found = [(exact, lambda number: lambda: calls.append(number))]
    (row,) = measuring.timed(found, rounds=3)
    assert calls == [0, 1, 2]
    assert row.ms == row.ms_of_float32 >= 0.0
    written = {"rows": 2_000, "k": 100, "results": [vars(row) | {"ms_of_float32": 1.0}]}
    assert catalogue.table_of(written).row_count == 1
