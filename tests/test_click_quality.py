"""experiments.click_quality: AUC, and DeLong's interval of a difference, against plain sums."""

import numpy as np
import pytest

from experiments import click_quality


def events(n=200, seed=0):
    random = np.random.default_rng(seed)
    clicks = random.integers(0, 2, n)
    own, other = (np.clip(0.3 * clicks + random.uniform(0, 0.7, n), 0, 1).round(2) for _ in "ab")
    return clicks, own, other


def wins(clicks, scores):
    """[clicks, others]: 1 where the click is above, a half where they are equal."""
    positive, negative = scores[clicks == 1][:, None], scores[clicks == 0][None]
    return (positive > negative) + 0.5 * (positive == negative)


def test_auc_is_the_share_of_pairs_in_the_right_order():
    clicks, own, _ = events()
    found = click_quality.quality(clicks, own)
    assert found["auc"] == pytest.approx(wins(clicks, own).mean())
    assert found["events"] == 200


def test_placements_are_the_means_of_wins():
    clicks, own, _ = events()
    of_clicks, of_others = click_quality.placements(clicks, own)
    np.testing.assert_allclose(of_clicks, wins(clicks, own).mean(1))
    np.testing.assert_allclose(of_others, wins(clicks, own).mean(0))


def test_delong_is_the_variance_of_the_paper():
    clicks, own, other = events()
    difference, deviation = click_quality.delong(clicks, own, other)
    apart = wins(clicks, own) - wins(clicks, other)
    by_click, by_other = apart.mean(1), apart.mean(0)
    variance = by_click.var(ddof=1) / len(by_click) + by_other.var(ddof=1) / len(by_other)
    assert difference == pytest.approx(apart.mean())
    assert deviation == pytest.approx(np.sqrt(variance))


def test_the_interval_covers_what_resampling_gives():
    clicks, own, other = events(400)
    low, high = click_quality.comparison(clicks, own, other)["difference_95_percent_interval"]
    random, found = np.random.default_rng(1), []
    for _ in range(300):
        chosen = random.integers(len(clicks), size=len(clicks))
        again = [wins(clicks[chosen], scores[chosen]).mean() for scores in (own, other)]
        found.append(again[0] - again[1])
    assert [low, high] == pytest.approx(np.quantile(found, [0.025, 0.975]), abs=0.01)


def test_a_model_beside_itself_is_no_different():
    clicks, own, _ = events()
    found = click_quality.comparison(clicks, own, own)
    assert found == {"auc_difference": 0.0, "difference_95_percent_interval": [0.0, 0.0]}


@pytest.mark.parametrize(
    ("clicks", "probabilities", "message"),
    [
        ([0, 1], [0.5], "of shape .2,. and probabilities of shape .1,."),
        ([1, 1], [0.5, 0.5], "clicks .1., expected 0 and 1, both"),
        ([0, 1], [0.5, 1.5], "outside of 0"),
        ([0, 1], [0.5, float("nan")], "outside of 0"),
    ],
)
def test_what_is_no_probability_of_clicks_is_refused(clicks, probabilities, message):
    with pytest.raises(ValueError, match=message):
        click_quality.quality(np.array(clicks), np.array(probabilities))
