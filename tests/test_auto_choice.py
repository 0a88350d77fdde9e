"""The parts of auto that need no model: choices within limits, what is tried next, what is said."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.auto.attempts import Attempt, History, Measured, Proposal
from tfcompress.auto.choice import choose
from tfcompress.auto.display import outcome
from tfcompress.auto.efforts import AsIs, FineTune, Taught
from tfcompress.auto.options import Option
from tfcompress.auto.strategy import Known, Strategy
from tfcompress.auto.verdict import verdict
from tfcompress.sensitivity import Whole

number = st.integers(0, 20)
items = st.lists(st.tuples(number, number, number), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(items, min_size=1, max_size=4), st.integers(0, 60), st.integers(0, 60))
def test_a_choice_keeps_to_every_limit_and_one_limit_is_solved_exactly(layers, first, second):
    costs = [np.array([one[:2] for one in layer], float) for layer in layers]
    harms = [np.array([one[2] for one in layer], float) for layer in layers]
    every = [
        (sum(h[i] for h, i in zip(harms, at, strict=True)),
         np.sum([c[i] for c, i in zip(costs, at, strict=True)], axis=0))
        for at in product(*(range(len(layer)) for layer in layers))
    ]  # fmt: skip
    for limits in (np.array([first, second], float), np.array([first, np.inf])):
        places = choose(costs, harms, limits)
        fitting = [harm for harm, cost in every if (cost <= limits).all()]
        if places is None:
            assert not fitting or np.isfinite(limits).all()  # several limits: none was found
            continue
        found = np.sum([c[i] for c, i in zip(costs, places, strict=True)], axis=0)
        assert (found <= limits + 1e-6).all()
        harm = sum(h[i] for h, i in zip(harms, places, strict=True))
        if not np.isfinite(limits).all():
            assert harm == min(fitting)


STRENGTHS = {
    8: (tfc.Quantize(8), 1.0, 375),
    2: (tfc.Quantize(2), 9.0, 450),
    1: (tfc.Factorize(2), 5.0, 470),
}
EVERY = (AsIs(), FineTune(), Taught())


class FakeOptions:
    """Layers a and b with three options each; costs add up."""

    before = Whole(1000, 250, 100)

    def __init__(self):
        self._layers = [
            [Option(path, (), 0.0, (0, 0, 0))]
            + [Option(path, (t,), harm, (s, 0, 0)) for t, harm, s in STRENGTHS.values()]
            for path in "ab"
        ]

    def spec(self, options):
        return tfc.Spec(
            [tfc.rule(tfc.by_name(o.path), *o.techniques) for o in options if o.techniques]
        )

    def whole(self, spec):
        saved = {technique: s for technique, _, s in STRENGTHS.values()}
        return Whole(1000 - sum(saved[rule.techniques[0]] for rule in spec.rules), 250, 100)

    def least(self):
        return [max(layer, key=lambda one: one.saved[0]) for layer in self._layers]

    def chosen(self, limits, structural=True, blame=None):
        best = None
        for pair in product(*self._layers):
            allowed = structural or not any(one.structural for one in pair)
            harm = sum(o.harm * (blame or {}).get((o.path, o.techniques), 1) for o in pair)
            fits = 1000 - sum(o.saved[0] for o in pair) <= limits.bytes
            if allowed and fits and (best is None or harm < best[0]):
                best = harm, list(pair)
        return best and best[1]


def driven(budget, respond, efforts=EVERY, start=()):
    """All proposals, and how it ended; `respond` gives (bytes, quality) of a proposal."""
    options = FakeOptions()
    baseline = Measured(1100, None, 250, 100, 1.0)
    known = Known(baseline, options.before, lambda: options, options.whole)
    strategy = Strategy(known, budget, efforts, start)
    steps, attempts = strategy.steps(), []
    try:
        proposal = next(steps)
        while True:
            size, quality = respond(proposal)
            measured = Measured(size, None, 250, 100, quality)
            attempts.append(Attempt(len(attempts) + 1, proposal, measured, None, 1.0))
            proposal = steps.send(attempts[-1])
    except StopIteration as ended:
        return strategy, attempts, ended.value


def said(attempts):
    return [
        (a.proposal.spec.rules[0].techniques[0], type(a.proposal.effort).__name__) for a in attempts
    ]


def test_the_cheapest_sufficient_step_is_taken():
    budget = tfc.Budget(bytes=400, quality=0.9)
    qualities = {AsIs(): 0.5, FineTune(): 0.8, Taught(): 0.95}
    for good, count in ((0.5, 1), (0.8, 2), (0.95, 3)):
        budget = tfc.Budget(bytes=400, quality=good)
        _, attempts, met = driven(budget, lambda p: (p.planned_bytes + 90, qualities[p.effort]))
        assert met and len(attempts) == count
        assert said(attempts)[-1] == (tfc.Quantize(8), type(attempts[-1].proposal.effort).__name__)
    assert attempts[1].proposal.why == "quality was 0.5000 of 0.9500 with no training"


def test_a_file_that_is_too_large_is_chosen_anew_before_it_is_trained():
    budget = tfc.Budget(bytes=400, quality=0.5)
    _, attempts, met = driven(budget, lambda p: (p.planned_bytes + 200, 0.9))
    assert met and [type(a.proposal.effort) for a in attempts] == [AsIs, AsIs]
    assert "above the budget: bytes by 50" in attempts[1].proposal.why
    assert attempts[1].measured.bytes <= 400


def test_an_untrained_structure_comes_before_any_training():
    """Bits alone are too bad as they are, and a structure is not: seconds instead of minutes."""
    budget = tfc.Budget(bytes=230, quality=0.9)
    structure = tfc.Factorize(2)

    def respond(proposal):
        used = proposal.spec.rules[0].techniques[0]
        return proposal.planned_bytes + 100, 0.95 if used == structure else 0.4

    _, attempts, met = driven(budget, respond)
    assert met and said(attempts) == [(tfc.Quantize(2), "AsIs"), (structure, "AsIs")]
    assert attempts[1].proposal.why == (
        "a smaller structure, for more bits in each weight: quality was 0.4000 of 0.9000 with no "
        "training"
    )


def test_structure_is_trained_last_and_another_one_where_it_was_blamed():
    budget = tfc.Budget(bytes=230, quality=0.9)
    _, attempts, met = driven(budget, lambda p: (p.planned_bytes + 100, 0.4))
    assert not met
    bits, structure = tfc.Quantize(2), tfc.Factorize(2)
    assert said(attempts)[:5] == [
        (bits, "AsIs"), (structure, "AsIs"), (bits, "FineTune"), (bits, "Taught"),
        (structure, "Taught"),
    ]  # fmt: skip
    assert any("blamed" in a.proposal.why for a in attempts)
    specs = [(repr(a.proposal.spec), a.proposal.effort) for a in attempts]
    assert len(set(specs)) == len(specs)


def test_a_structure_that_was_too_large_is_not_made_again_to_be_trained():
    """The graph of a structure is larger than that of fewer bits, which are trained in between."""
    budget = tfc.Budget(bytes=280, quality=0.9)

    def respond(proposal):
        structural = any(tfc.Factorize(2) in r.techniques for r in proposal.spec.rules)
        return proposal.planned_bytes + (215 if structural else 100), 0.4

    _, attempts, met = driven(budget, respond)
    assert not met and any("above the budget" in a.proposal.why for a in attempts)
    specs = [(repr(a.proposal.spec), a.proposal.effort) for a in attempts]
    assert len(set(specs)) == len(specs)
    within = {repr(a.proposal.spec) for a in attempts if a.measured.bytes <= 280}
    trained = [repr(a.proposal.spec) for a in attempts if a.proposal.effort.trains]
    assert trained and set(trained) <= within


def test_what_is_out_of_reach_is_known_without_a_file():
    strategy, attempts, met = driven(tfc.Budget(bytes=50, quality=0.9), lambda p: (0, 0))
    assert (attempts, met, strategy.least) == ([], False, 160)
    known = verdict(strategy.known.baseline, [], strategy.budget, strategy.least, True)
    assert "has 160 bytes by plan, 110 more than 50" in known.text
    assert known.enough_bytes == 1100 and "It would take 1,100 bytes, or fewer" in known.text


def test_the_price_of_a_quality_is_looked_for():
    def respond(proposal):
        return proposal.planned_bytes + 100, 1.0 if proposal.planned_bytes > 200 else 0.2

    strategy, attempts, met = driven(tfc.Budget(bytes=210, quality=0.9), respond)
    assert not met and "to see what it would take" in attempts[-1].proposal.why
    known = verdict(strategy.known.baseline, attempts, strategy.budget, strategy.least, True)
    assert known.enough_bytes == attempts[-1].measured.bytes == 350
    assert "0.7000 short of 0.9000" in known.text and "It would take 350 bytes" in known.text


def test_it_begins_where_the_last_run_ended():
    start = tfc.Spec([tfc.rule(tfc.by_name("a"), tfc.Quantize(2))])
    budget = tfc.Budget(bytes=900, quality=0.9)
    strategy, attempts, met = driven(budget, lambda p: (800, 0.95), start=[start])
    assert met and [a.proposal.spec for a in attempts] == [start]
    assert strategy.least is None  # nothing had to be measured for it


def test_latency_is_answered_with_fewer_multiply_adds():
    strategy, _, _ = driven(tfc.Budget(latency_us=50, quality=0.9), lambda p: (100, 0.95))
    attempt = Attempt(1, PROPOSAL, Measured(100, 100.0, 250, 80, 0.95), None, 1.0)
    strategy._hear(attempt)
    assert strategy._limits().multiply_adds == 40


PROPOSAL = Proposal(tfc.Spec([tfc.rule(tfc.by_name("a"), tfc.Quantize(8))]), AsIs(), 10, "why")


def test_attempts_are_kept_and_those_of_another_run_refused(tmp_path):
    history = History(tmp_path, {"model": "a"})
    history.baseline = Measured(100, None, 10, 10, 1.0)
    history.add(Attempt(1, PROPOSAL, None, "ExportError: no", 1.0))
    again = History(tmp_path, {"model": "a"})
    assert (
        again.recorded(1, PROPOSAL) == history.attempts[0] and again.recorded(2, PROPOSAL) is None
    )
    assert again.recorded(1, Proposal(PROPOSAL.spec, Taught(), 10, "why")) is None
    assert again.attempts == []
    with pytest.raises(tfc.SpecError, match="is of another run: model differ"):
        History(tmp_path, {"model": "b"})
    assert outcome(history.attempts[0], tfc.Budget(bytes=1)) == "failed: ExportError: no"


def test_a_training_begins_where_the_best_one_at_the_same_spec_ended(tmp_path):
    history = History(tmp_path, {})
    other = tfc.Spec([tfc.rule(tfc.by_name("b"), tfc.Quantize(8))])

    def tried(effort, quality, spec=PROPOSAL.spec):
        measured = None if quality is None else Measured(100, None, 250, 80, quality)
        number = len(history.attempts) + 1
        history.add(Attempt(number, Proposal(spec, effort, 10, "why"), measured, None, 1.0))
        return [history.warm_for(replace(PROPOSAL, effort=effort)) for effort in EVERY]

    assert tried(AsIs(), 0.5) == [None, None, None]
    assert tried(FineTune(), 0.4) == [None, None, None]  # it did harm
    assert tried(FineTune(), 0.6) == [None, 3, 3]
    assert tried(Taught(), None) == [None, 3, 3]
    assert tried(Taught(), 0.9, other) == [None, 3, 3]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"bytes": 0}, "Budget received bytes=0; expected more than 0"),
        ({"quality": float("nan")}, "received quality=nan; expected a number"),
        ({"latency_us": "5"}, "received latency_us='5'; expected a number"),
    ],
)
def test_a_budget_is_checked(limits, message):
    with pytest.raises(tfc.SpecError, match=message):
        tfc.Budget(**limits)
