"""What a sensitivity says of specs, and the oracle that starts from it."""

import random
from dataclasses import replace

import numpy as np
import pytest
import searches
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.search import improving
from tfcompress.search.front import added, area, staircase
from tfcompress.search.harms import Harms
from tfcompress.search.surrogate import Surrogate
from tfcompress.search.trial import Ending

STRENGTHS = (
    tfc.Quantize(4),
    tfc.Quantize(8),
    tfc.Factorize(tfc.Fraction(0.125)),
    tfc.Factorize(tfc.Fraction(0.5)),
    tfc.Prune(0.3),
    tfc.Prune(0.9),
)
POINTS = st.lists(st.tuples(st.integers(-1, 6), st.integers(-1, 6)), max_size=8)
BEFORE = tfc.Figures(0.9, 1000, 10.0, 900, 800)


@pytest.fixture(scope="module")
def model():
    return searches.network()


@pytest.fixture(scope="module")
def found(model):
    batch = np.random.default_rng(0).integers(0, 200, (64, 4)).astype("int32")
    return tfc.sensitivity(model, [batch], STRENGTHS, show=False)


# The area of a front.


@settings(deadline=None)
@given(POINTS)
def test_the_area_is_the_squares_that_some_point_covers(points):
    squares = [any(x > i and y > j for x, y in points) for i in range(6) for j in range(6)]
    assert area(points) == sum(squares)


@settings(deadline=None)
@given(POINTS, st.integers(-1, 6), st.integers(-1, 6))
def test_what_a_point_adds_is_the_difference_of_two_areas(points, x, y):
    assert added(staircase(points), x, y) == area([*points, (x, y)]) - area(points)


def test_a_front_is_improved_within_the_budget_alone():
    aim, half = tfc.ImproveFront(least=0.5), replace(BEFORE, bytes=500)
    assert aim.gain([], tfc.Budget(), BEFORE)(half) == pytest.approx(np.log(2) * 0.4)
    assert aim.gain([half], tfc.Budget(), BEFORE)(replace(half, quality=0.8)) == 0.0
    assert aim.gain([], tfc.Budget(bytes=400), BEFORE)(half) == 0.0
    assert aim.gain([half], tfc.Budget(quality=0.95), BEFORE)(
        replace(half, quality=0.96)
    ) == pytest.approx(np.log(2) * 0.46)


def test_the_best_single_file_of_a_front_covers_most():
    aim = tfc.ImproveFront(least=0.5)
    sizes = [(0.9, 900), (0.85, 300), (0.52, 100)]
    losses = [aim.loss(replace(BEFORE, quality=q, bytes=b), BEFORE) for q, b in sizes]
    assert int(np.argmin(losses)) == 1
    assert all(-1.0 <= loss <= 0.0 for loss in losses)


def test_other_objectives_gain_what_their_loss_falls_by():
    aim, budget = tfc.MinimizeBytes(), tfc.Budget(quality=0.8)
    gain = aim.gain([replace(BEFORE, bytes=600)], budget, BEFORE)
    assert gain(replace(BEFORE, bytes=400)) == pytest.approx(0.2)
    assert gain(replace(BEFORE, bytes=400, quality=0.7)) == 0.0
    assert gain(replace(BEFORE, bytes=700)) == 0.0


def test_a_least_quality_that_is_no_number_is_refused():
    with pytest.raises(tfc.SpecError, match="ImproveFront received least='good'"):
        tfc.ImproveFront("good")


# Harms.


def harm_of(harms, model, technique, layer="hidden"):
    planned = tfc.plan(model, tfc.Spec([tfc.rule(tfc.by_name(layer), technique)]))
    return sum(harms.of(planned).values())


def test_a_strength_that_was_measured_has_its_harm(found, model):
    harms = Harms(found)
    measured = found.harms()
    for technique in (tfc.Quantize(4), tfc.Prune(0.9)):
        assert harm_of(harms, model, technique) == measured["hidden"][technique]


def test_strengths_between_are_interpolated_and_never_less_harmful(found, model):
    harms = Harms(found)
    ends = [harm_of(harms, model, tfc.Prune(sparsity)) for sparsity in (0.3, 0.9)]
    between = [
        harm_of(harms, model, tfc.Prune(sparsity)) for sparsity in (0.1, 0.4, 0.6, 0.8, 0.95)
    ]
    assert between == sorted(between)
    assert 0.0 < between[0] < ends[0] < between[1] < between[3] < ends[1] == between[4]
    # Fraction(0.125) of a table of 32 columns is rank 4, Fraction(0.5) rank 16.
    ranks = [harm_of(harms, model, tfc.Factorize(rank), "table") for rank in (16, 10, 4)]
    expected = [
        found.harms()["table"][tfc.Factorize(tfc.Fraction(share))] for share in (0.5, 0.125)
    ]
    assert [ranks[0], ranks[2]] == pytest.approx(expected)
    assert ranks[1] == pytest.approx(np.mean(expected))  # bytes fall evenly with the rank


def test_harms_of_layers_and_techniques_add_up(found, model):
    harms = Harms(found)
    rule = tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.3), tfc.Quantize(4))
    by_technique = harms.of(tfc.plan(model, tfc.Spec([rule])))
    for technique in (tfc.Prune(0.3), tfc.Quantize(4)):
        parts = [found.harms()[layer][technique] for layer in ("hidden", "head")]
        assert by_technique[type(technique).__name__] == pytest.approx(sum(parts))


def test_a_technique_that_was_not_measured_is_named(found, model, tmp_path):
    few = replace(found, cells=tuple(c for c in found.cells if type(c.technique) is tfc.Prune))
    with pytest.raises(tfc.SearchError, match="says nothing of Factorize.* in the layer 'table'"):
        searched(tmp_path, tfc.ExpectedImprovement(few), trials=1)
    assert not list(tmp_path.rglob("trials"))
    with pytest.raises(tfc.SpecError, match="every technique was skipped"):
        Harms(replace(found, cells=()))


def test_a_prior_is_a_sensitivity_and_numbers_are_whole():
    with pytest.raises(tfc.SpecError, match="prior=0.5; expected what tfcompress.sensitivity"):
        tfc.ExpectedImprovement(0.5)
    with pytest.raises(tfc.SpecError, match="initial=1; expected a whole number from 2"):
        tfc.ExpectedImprovement(initial=1)


# The surrogate.


def test_quality_falls_with_harm_at_a_rate_for_each_technique():
    random = np.random.default_rng(0)
    points, harms = random.random((40, 3)), random.random((40, 2)) ** 2
    qualities = 0.9 - np.sqrt(harms) @ [0.2, 0.02]
    guess = Surrogate(seed=1).fit(points[:20], harms[:20], qualities[:20])
    mean, deviation = guess.predict(points[20:], harms[20:])
    assert np.abs(mean - qualities[20:]).max() < 0.01
    assert (deviation < 0.02).all()


def test_harm_is_never_taken_to_help():
    points, harms = np.linspace(0, 1, 10)[:, None], np.linspace(0, 1, 10)[:, None]
    guess = Surrogate(seed=1).fit(np.zeros((10, 1)), harms, 0.5 + harms[:, 0])
    assert guess._rates.tolist() == [0.0]
    assert Surrogate(1).fit(points, np.zeros((10, 0)), points[:, 0]).predict(
        np.array([[0.5]]), np.zeros((1, 0))
    )[0] == pytest.approx([0.5], abs=0.02)


# The oracle.


@pytest.fixture(autouse=True)
def few_neighbours(monkeypatch):
    """Plans take most of the time here."""
    monkeypatch.setattr(improving, "_NEAR", 6)


def searched(folder, oracle, trials=12, objective=None, budget=None):
    chosen = tfc.SearchSettings(folder, oracle, trials, early=tfc.ToTheEnd())
    aim = objective or tfc.ImproveFront(0.01)
    work = searches.Pretended()
    return tfc.search(
        searches.network(), searches.space(), work, aim, budget or tfc.Budget(), chosen
    )


def covered(result, trials):
    aim = result.objective
    return area([aim.point(one.figures, result.before) for one in trials])


def test_the_first_trials_are_spread_over_the_front_that_is_foretold(found, tmp_path):
    how = tfc.ExpectedImprovement(found, initial=4, drawn=24)
    result = searched(tmp_path, how, trials=4)
    harms, model = Harms(found), searches.network()
    told = [
        (sum(harms.of(tfc.plan(model, trial.spec)).values()), trial.costs.bytes)
        for trial in result.trials
    ]
    assert tfc.pareto_front(told).all()
    sizes = sorted(bytes for _, bytes in told)
    assert len(set(sizes)) == 4 and sizes[-1] > 2 * sizes[0]


def test_a_search_that_goes_on_tries_what_it_would_have(found, tmp_path):
    how = tfc.ExpectedImprovement(found, initial=2, drawn=12)
    whole = searched(tmp_path / "whole", how, trials=5)
    searched(tmp_path / "parts", how, trials=3)
    again = searched(tmp_path / "parts", how, trials=5)
    assert [t.values for t in again.trials] == [t.values for t in whole.trials]
    tried = [str(sorted(t.values.items())) for t in whole.trials]
    assert len(set(tried)) == len(tried)


def test_a_value_that_matters_anew_is_drawn_and_others_are_kept():
    space, generator = searches.space(), random.Random(0)
    off = {"table/Factorize": "off", "Dense/Quantize/bits": 4}
    drawn = [space.draw(generator, off) for _ in range(9)]
    assert all({**values, **off} == values for values in drawn)
    assert not any("table/Factorize/rank" in values for values in drawn)
    on = space.draw(generator, {"table/Factorize": "on"})
    assert 2 <= on["table/Factorize/rank"] <= 16


@pytest.mark.parametrize("prior", [True, False])
def test_a_budget_is_kept_to_whatever_is_known(prior, found, tmp_path):
    how = tfc.ExpectedImprovement(found if prior else None, initial=3, drawn=16)
    budget = tfc.Budget(bytes=16_000)
    result = searched(tmp_path, how, 6, tfc.MaximizeQuality(), budget)
    assert len(result.within) == 6
    assert not any(budget.out_of_reach(trial.costs, graph=0) for trial in result.trials)
    qualities = [trial.figures.quality for trial in result.trials]
    assert max(qualities[3:]) > np.median(qualities[:3])


def test_a_trial_that_ended_early_is_taken_to_gain_what_others_did():
    def trial(number, ending, quality, *qualities):
        figures = tfc.Figures(quality, 1, None, 1, 1)
        spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))])
        return tfc.Trial(number, {}, spec, ending, figures=figures, qualities=qualities)

    finished, early = Ending.FINISHED, Ending.ENDED_EARLY
    trials = [
        trial(0, finished, 0.9, 0.5, 0.8),
        trial(1, finished, 0.8, 0.6, 0.9),
        trial(2, early, 0.4, 0.4),
        trial(3, early, 0.7, 0.3, 0.7),
    ]
    assert improving._as_if_finished(trials) == pytest.approx([0.9, 0.8, 0.7, 0.7])
    assert improving._as_if_finished(trials[2:]) == [0.4, 0.7]
