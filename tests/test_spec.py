"""Specs round-trip through JSON; what cannot be meant is refused where it is written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfcompress as tfc

SPEC = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(bits=8))])

names = st.text(min_size=1, max_size=8)
predicates = st.recursive(
    st.one_of(
        st.builds(tfc.by_type, names),
        st.builds(tfc.by_name, names),
        st.builds(tfc.by_size, st.integers(0, 9), st.one_of(st.none(), st.integers(10, 99))),
    ),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=5,
)
shares = st.floats(0.01, 1.0)
factorize = st.builds(
    tfc.Factorize,
    st.one_of(
        st.integers(1, 99),
        st.builds(tfc.Fraction, shares),
        st.builds(tfc.KeptEnergy, shares),
        st.builds(tfc.ByteBudget, st.integers(1, 99)),
        st.builds(tfc.BudgetShare, shares),
    ),
    st.just(tfc.Channelwise()),
    st.one_of(st.just(tfc.WeightError()), st.builds(tfc.OutputError, shares)),
)
schedules = st.one_of(
    st.just(tfc.Once()),
    st.builds(tfc.ConstantSparsity, begin_step=st.integers(0, 9), frequency=st.integers(1, 9)),
    st.builds(
        lambda begin, moves, frequency: tfc.PolynomialDecay(
            begin + moves * frequency, begin, frequency=frequency
        ),
        *(st.integers(1, 9),) * 3,
    ),
)
prune = st.builds(
    tfc.Prune, st.floats(0, 0.99), st.tuples(st.integers(1, 9), st.integers(1, 9)), schedules
)
quantize = st.builds(
    tfc.Quantize,
    st.sampled_from([3, 4, 8, 32]),
    st.sampled_from([tfc.PerTensor(), tfc.PerChannel(), tfc.PerBlock(64)]),
    st.one_of(
        st.sampled_from([tfc.AbsMax(), tfc.MeanSquare(), tfc.Learned()]),
        st.builds(tfc.Deviations, st.floats(0.1, 9)),
        st.builds(tfc.Fixed, st.floats(0.001, 9)),
    ),
    st.one_of(st.just(tfc.Nearest()), st.builds(tfc.ErrorCorrecting, st.floats(0.001, 9))),
)
techniques = st.lists(
    st.one_of(factorize, prune, quantize), min_size=1, max_size=3, unique_by=lambda t: type(t)
)
rules = st.builds(lambda where, todo: tfc.rule(where, *todo), predicates, techniques)
specs = st.builds(tfc.Spec, st.lists(rules, min_size=1, max_size=3))


@given(specs)
def test_any_spec_survives_json(spec):
    text = spec.to_json()
    again = tfc.Spec.from_json(text)
    assert again == spec
    assert again.to_json() == text
    assert hash(again) == hash(spec)


def test_the_json_is_what_people_read_and_write():
    assert json.loads(SPEC.to_json()) == {
        "version": 1,
        "type": "Spec",
        "rules": [
            {
                "type": "Rule",
                "where": {"type": "ByType", "type_name": "Dense"},
                "techniques": [
                    {
                        "type": "Quantize",
                        "bits": 8,
                        "granularity": {"type": "PerChannel"},
                        "scale": {"type": "AbsMax"},
                        "rounding": {"type": "Nearest"},
                    }
                ],
            }
        ],
    }


def test_fields_with_defaults_may_be_left_out():
    data = json.loads(SPEC.to_json())
    data["rules"][0]["techniques"][0] = {"type": "Quantize"}
    assert tfc.Spec.from_json(json.dumps(data)) == SPEC


def edited(**changes):
    return json.dumps({**json.loads(SPEC.to_json()), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "text that is not JSON"),
        ("[1]", "JSON that is a list; expected an object"),
        (edited(version=2), "version 2; expected 1"),
        (json.dumps({"type": "Spec", "rules": []}), "version None; expected 1"),
        (edited(type="Speck"), "type 'Speck'"),
        (edited(speed=3), "field 'speed' for Spec"),
        (edited(rules=[]), "no rules; expected at least one"),
        (edited(rules=[{"type": "PerTensor"}]), "A spec received PerTensor"),
        (json.dumps({"version": 1, "type": "PerTensor"}), "Received a PerTensor; expected a Spec"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(text, message):
    with pytest.raises(tfc.SpecError, match=message):
        tfc.Spec.from_json(text)


def test_a_file_is_held_to_the_rules_of_code():
    with pytest.raises(tfc.SpecError, match="bits=5; expected one of"):
        tfc.Spec.from_json(SPEC.to_json().replace("8", "5"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.rule("Dense", tfc.Quantize()), "received 'Dense' as its condition"),
        (lambda: tfc.rule(tfc.by_type("Dense")), "names no technique"),
        (lambda: tfc.rule(tfc.by_type("Dense"), "int8"), "received 'int8'; expected techniques"),
        (
            lambda: tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8), tfc.Quantize(4)),
            "contradictory: it names Quantize twice",
        ),
        (lambda: tfc.Spec([]), "no rules"),
        (lambda: tfc.Spec([tfc.Quantize()]), "A spec received Quantize"),
    ],
)
def test_code_that_cannot_be_meant_is_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()
