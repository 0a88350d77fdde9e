"""experiments.models.linear: EASE's closed form, and a teacher that it assists."""

import numpy as np
import pytest

from experiments.models import store, tf
from experiments.models.linear import Assisted, Linear, assisted, item_weights
from experiments.models.sasrec import SASRecConfig

N_ITEMS, LENGTH = 30, 6


@pytest.fixture(scope="module")
def histories():
    random = np.random.default_rng(0)
    return [random.integers(1, N_ITEMS + 1, 12).astype(np.int32) for _ in range(40)]


@pytest.fixture(scope="module")
def teacher():
    tf.keras.utils.set_random_seed(0)
    return store.build(SASRecConfig(N_ITEMS, length=LENGTH, dim=8, feedforward=16, dropout=0.0))


def test_the_weights_minimize_the_papers_loss(histories):
    found = item_weights(histories, N_ITEMS, 5.0)[1:, 1:].astype(np.float64)
    seen = np.zeros((len(histories), N_ITEMS))
    for user, items in enumerate(histories):
        seen[user, items - 1] = 1.0
    assert not np.diag(found).any()
    for item in range(N_ITEMS):  # each column is a ridge regression on the other items
        others = np.arange(N_ITEMS) != item
        x = seen[:, others]
        expected = np.linalg.solve(x.T @ x + 5.0 * np.eye(N_ITEMS - 1), x.T @ seen[:, item])
        np.testing.assert_allclose(found[others, item], expected, atol=1e-5)


def test_scores_are_the_teachers_and_the_decayed_sum_of_what_items_say(teacher, histories):
    weights = item_weights(histories, N_ITEMS, 5.0)
    both = Assisted(teacher, weights, Linear(penalty=5.0, decay=0.8, factor=2.0))
    rows = np.stack([items[:LENGTH] for items in histories[:5]])
    rows[0, :3] = 0
    found = both.logits(both.hidden(rows, rows=3)).numpy()
    alone = teacher.logits(teacher.hidden(rows, rows=3)).numpy()
    for user, history in enumerate(rows):
        for row, end in enumerate(range(LENGTH - 2, LENGTH + 1)):
            ages = np.arange(end)[::-1]
            said = (0.8 ** ages[:, None] * weights[history[:end]]).sum(0)
            np.testing.assert_allclose(found[user, row], alone[user, row] + 2 * said, atol=1e-4)
    np.testing.assert_allclose(both.logits(both.last(rows)), found[:, -1], atol=1e-4)
    masked = both.item_logits(both.last(rows)).numpy()
    assert (masked[:, 0] < -1000).all()
    np.testing.assert_allclose(masked[:, 1:], found[:, -1, 1:], atol=1e-4)


def test_without_a_linear_model_the_teacher_teaches_alone(teacher, histories):
    assert assisted(teacher, histories, None) is teacher


@pytest.mark.parametrize("field", [{"penalty": 0}, {"decay": 0}, {"decay": 1.1}, {"factor": -1}])
def test_a_linear_model_out_of_range(field):
    name, value = next(iter(field.items()))
    with pytest.raises(ValueError, match=f"Received {name}={value}"):
        Linear(**{"penalty": 1.0, "decay": 0.9, "factor": 1.0, **field})
