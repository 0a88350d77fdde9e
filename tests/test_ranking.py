"""experiments.ranking: full ranking, no flattery, and metrics against independent formulas."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.data.movielens import MovieLens
from experiments.ranking import evaluate, hr_ndcg, ndcg, paired_bootstrap, rank_of_target

NOTHING = np.array([], np.int64)


def test_the_best_item_has_rank_one():
    scores = np.array([[0.0, 1.0, 5.0, 2.0]])
    assert rank_of_target(scores, np.array([2]), [NOTHING]).tolist() == [1]


def test_padding_is_never_ranked():
    scores = np.array([[99.0, 1.0, 5.0]])
    assert rank_of_target(scores, np.array([1]), [NOTHING]).tolist() == [2]


def test_seen_items_are_left_out():
    scores = np.array([[0.0, 9.0, 8.0, 7.0, 1.0]])
    assert rank_of_target(scores, np.array([4]), [np.array([1, 3])]).tolist() == [2]


def test_a_seen_target_is_still_ranked():
    scores = np.array([[0.0, 9.0, 8.0, 7.0]])
    assert rank_of_target(scores, np.array([2]), [np.array([1, 2])]).tolist() == [1]


def test_ties_count_against_the_target():
    assert rank_of_target(np.zeros((1, 8)), np.array([3]), [NOTHING]).tolist() == [7]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 5))
def test_ranks_agree_with_a_sort(seed, n_items, users):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 5, (users, n_items + 1)).astype(np.float32)  # ties are frequent
    target = random.integers(1, n_items + 1, users)
    seen = [random.integers(1, n_items + 1, random.integers(0, 4)) for _ in range(users)]
    expected = []
    for row in range(users):
        others = {*range(1, n_items + 1)} - {*seen[row].tolist()} - {int(target[row])}
        order = sorted(
            [int(target[row]), *others], key=lambda i: (-scores[row, i], i == target[row])
        )
        expected.append(order.index(target[row]) + 1)
    assert rank_of_target(scores, target, seen).tolist() == expected


@pytest.mark.parametrize("batch", [1, 2, 512])
def test_evaluation_masks_what_each_user_saw(batch):
    histories = [np.array(h, np.int32) for h in ([1, 2, 3, 4], [4, 3, 2, 5], [5, 1, 2])]
    data = MovieLens(("", *"abcde"), histories)

    def score(history):  # the higher the number of an item the better, whatever the history
        assert history.shape[1] == 2 and len(history) <= batch
        return np.tile(np.arange(6.0), (len(history), 1))

    assert evaluate(score, data, "test", 2, batch).tolist() == [2, 1, 3]
    assert evaluate(score, data, "validation", 2, batch).tolist() == [3, 2, 4]


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="2 rows of scores, 1 targets and 0 lists"):
        rank_of_target(np.zeros((2, 3)), np.array([1]), [])


@pytest.mark.parametrize("target", [0, 3])
def test_a_target_that_is_no_item_is_refused(target):
    with pytest.raises(ValueError, match="item ids from 1 to 2"):
        rank_of_target(np.zeros((1, 3)), np.array([target]), [NOTHING])


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(FloatingPointError, match="NaN"):
        rank_of_target(np.array([[0.0, np.nan, 1.0]]), np.array([1]), [NOTHING])


def test_ndcg_discounts_by_rank_and_ends_at_k():
    found = ndcg(np.array([1, 2, 10, 11]), k=10)
    np.testing.assert_allclose(found, [1, 1 / math.log2(3), 1 / math.log2(11), 0])


def test_hit_rate_counts_the_first_k():
    assert hr_ndcg(np.array([1, 10, 11, 500]), k=10)[0] == 0.5


@pytest.mark.parametrize(("ranks", "k"), [([], 10), ([1], 0)])
def test_metrics_of_nothing_are_refused(ranks, k):
    with pytest.raises(ValueError, match="at least 1 of each"):
        hr_ndcg(np.array(ranks, np.int64), k)


def test_the_bootstrap_interval_has_the_width_of_the_normal_one():
    random = np.random.default_rng(0)
    b = random.normal(size=4000)
    a = b + random.normal(0.1, 1.0, size=4000)
    low, high = paired_bootstrap(a, b, seed=1)
    half = 1.96 * (a - b).std() / math.sqrt(4000)
    centre = (a - b).mean()
    assert low == pytest.approx(centre - half, abs=0.2 * half)
    assert high == pytest.approx(centre + half, abs=0.2 * half)


def test_the_bootstrap_is_paired_and_reproducible():
    b = np.random.default_rng(0).normal(0, 100, size=500)
    low, high = paired_bootstrap(b + 1.0, b, seed=3)
    assert (low, high) == pytest.approx((1.0, 1.0))
    noisy = b * 1.5
    assert paired_bootstrap(noisy, b, seed=3) == paired_bootstrap(noisy, b, seed=3)
    assert paired_bootstrap(noisy, b, seed=3) != paired_bootstrap(noisy, b, seed=4)


def test_users_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match=r"\(3,\) and \(2,\)"):
        paired_bootstrap(np.zeros(3), np.zeros(2), seed=0)
