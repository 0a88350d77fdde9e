"""tfcompress.tune: open values, the space that they span, and what it comes to."""

import random

import keras_tuner as kt
import pytest
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress import tune

TABLE, DENSE = tfc.by_name("table"), tfc.by_type("Dense")


def whole_space():
    grids = tune.Choice(tfc.PerTensor(), tfc.PerChannel(), tfc.PerBlock())
    scales = tune.Choice(tfc.AbsMax(), tfc.Deviations(tune.Float(2.0, 3.0)))
    table = tfc.Quantize(tune.Choice(2, 4, 8), grids, scales)
    smaller = tune.Choice(tfc.Prune(tune.Float(0.5, 0.9)), tfc.Shrink(tune.Float(0.5, 1.0)))
    return tfc.Spec(
        [
            tfc.rule(TABLE, tune.Optional(tfc.Factorize(tune.Int(2, 8, log=True))), table),
            tfc.rule(DENSE & ~tfc.by_name("head"), smaller),
            tfc.rule(DENSE, tune.Optional(tfc.Quantize(8))),
        ]
    )


def network():
    return keras.Sequential(
        [
            keras.layers.Embedding(200, 32, input_length=4, name="table"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu", name="hidden"),
            keras.layers.Dense(16, name="head"),
        ]
    )


def test_names_say_where_an_open_value_stands():
    assert [variable.name for variable in whole_space().variables] == [
        "table/Factorize",
        "table/Factorize/rank",
        "table/Quantize/bits",
        "table/Quantize/granularity",
        "table/Quantize/scale",
        "table/Quantize/scale/Deviations/multiple",
        "(Dense & ~head)/Prune|Shrink",
        "(Dense & ~head)/Prune/sparsity",
        "(Dense & ~head)/Shrink/keep",
        "Dense/Quantize",
    ]


def test_a_name_that_is_taken_gets_a_number():
    rules = [tfc.rule(DENSE, tfc.Prune(tune.Float(0.1, 0.5))) for _ in range(2)]
    assert [v.name for v in tfc.Spec(rules).variables] == [
        "Dense/Prune/sparsity",
        "Dense/Prune/sparsity#2",
    ]


def test_one_name_is_one_value_everywhere():
    bits = tune.Choice(4, 8, name="bits")
    space = tfc.Spec([tfc.rule(TABLE, tfc.Quantize(bits)), tfc.rule(DENSE, tfc.Quantize(bits))])
    assert [variable.name for variable in space.variables] == ["bits"]
    spec = space.sample({"bits": 8})
    assert [rule.techniques[0].bits for rule in spec.rules] == [8, 8]
    other = tfc.Quantize(tune.Choice(2, 8, name="bits"))
    with pytest.raises(tfc.SpecError, match="under one name; expected a name of its own"):
        tfc.Spec([tfc.rule(TABLE, tfc.Quantize(bits)), tfc.rule(DENSE, other)])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_what_is_drawn_is_a_spec_of_the_space(seed):
    space = whole_space()
    values = space.draw(random.Random(seed))
    assert set(values) == {v.name for v in space.variables if v.matters(values)}
    try:
        spec = space.sample(values)
    except tfc.SpecError as error:
        assert "bits=2 with PerBlock" in str(error)
        return
    assert tfc.Spec.from_json(spec.to_json()) == spec
    wanted = values["table/Factorize"] == "on"
    kinds = [type(technique).__name__ for technique in spec.rules[0].techniques]
    assert kinds == (["Factorize"] if wanted else []) + ["Quantize"]


def test_a_space_survives_json():
    space = whole_space()
    again = tfc.Space.from_json(space.to_json())
    assert again == space and again.variables == space.variables
    assert again.default() == space.default()
    plain = tfc.Spec([tfc.rule(DENSE, tfc.Quantize(8))])
    assert tfc.Space.from_json(plain.to_json()).default() == plain
    with pytest.raises(tfc.SpecError, match="Received a Space; expected a Spec"):
        tfc.Spec.from_json(space.to_json())
    with pytest.raises(tfc.SpecError, match="expected a spec with open values"):
        tfc.Space.from_json('{"version": 1, "type": "PerTensor"}')


def test_a_rule_all_of_whose_techniques_are_off_is_gone():
    space = tfc.Spec(
        [tfc.rule(TABLE, tune.Optional(tfc.Quantize(8))), tfc.rule(DENSE, tfc.Quantize(8))]
    )
    assert len(space.sample({"table/Quantize": False}).rules) == 1
    assert len(space.sample({"table/Quantize": "on"}).rules) == 2


def test_the_default_is_every_lower_bound_or_what_was_said():
    rank = tune.Int(2, 8, default=5)
    assert tfc.Factorize(rank).default_value().rank == 5
    assert tfc.Factorize(tune.Int(2, 8)).default_value().rank == 2
    assert tfc.Quantize(tune.Choice(2, 8, default=8)).default_value().bits == 8


def test_an_end_may_need_another_value_than_the_default():
    grids = tune.Choice(tfc.PerBlock(), tfc.PerChannel())
    assert tfc.Quantize(tune.Choice(4, 2), grids).default_value().bits == 4
    with pytest.raises(tfc.SpecError, match="bits=2 with PerBlock"):
        tfc.Quantize(tune.Choice(4, 2), tfc.PerBlock())


REFUSED = {
    "bits of no kernel": (lambda: tfc.Quantize(tune.Choice(4, 5)), "bits=5"),
    "an upper bound": (lambda: tfc.Prune(tune.Float(0.5, 1.0)), "sparsity=1.0"),
    "a lower bound": (lambda: tfc.Factorize(tune.Int(0, 8)), "rank=0"),
    "bounds the wrong way": (lambda: tune.Int(8, 4), "expected low < high"),
    "half a number": (lambda: tune.Int(1, 4.5), "expected whole numbers"),
    "no number": (lambda: tune.Float(0.1, "a"), "expected numbers"),
    "a logarithm of zero": (lambda: tune.Float(0.0, 1.0, log=True), "expected low above 0"),
    "a step too far": (lambda: tune.Int(1, 4, step=9), "expected a step above 0 that fits"),
    "a default outside": (lambda: tune.Int(1, 4, default=9), "expected a default between"),
    "one option": (lambda: tune.Choice(1), "at least two options"),
    "an option twice": (lambda: tune.Choice(1, 1), "no option twice"),
    "a default that is none": (lambda: tune.Choice(1, 2, default=3), "default=3; expected one of"),
    "no technique": (lambda: tune.Optional(tfc.PerTensor()), "expected a technique"),
    "no rule": (lambda: tfc.Space([tfc.Quantize(8)]), "expected rules"),
    "no rules": (lambda: tfc.Space([]), "received no rules"),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_cannot_be_is_refused_at_once(case):
    make, message = REFUSED[case]
    with pytest.raises(tfc.SpecError, match=message):
        make()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "none of 'Dense/Prune/sparsity'"),
        ({"Dense/Prune/sparsity": 0.95}, "Dense/Prune/sparsity = 0.95; expected a value of Float"),
        ({"Dense/Prune/sparsity": 0.4}, "Dense/Prune/sparsity = 0.4; expected a value of Float"),
    ],
)
def test_values_that_do_not_fit_are_refused(values, message):
    space = tfc.Spec([tfc.rule(DENSE, tfc.Prune(tune.Float(0.5, 0.9)))])
    with pytest.raises(tfc.SpecError, match=message):
        space.sample(values)


def test_an_unknown_key_is_refused():
    space = whole_space()
    values = space.draw(random.Random(1)) | {"table/Quantize/bits": 3}
    with pytest.raises(tfc.SpecError, match="table/Quantize/bits = 3; expected one of"):
        space.sample(values)
    with pytest.raises(tfc.SpecError, match="Dense/Quantize = 'maybe'; expected 'on' or 'off'"):
        space.sample(space.draw(random.Random(1)) | {"Dense/Quantize": "maybe"})


def test_keras_tuner_fills_a_space():
    space, hp = whole_space(), kt.HyperParameters()
    spec = space.sample(hp)
    assert spec == space.default()
    assert len(hp.space) == len(space.variables)
    sent = kt.HyperParameters.from_proto(hp.to_proto())
    assert space.sample(sent) == spec


def test_a_step_is_kept():
    drawn = {tune.Int(4, 17, step=4).draw(random.Random(seed)) for seed in range(50)}
    assert drawn == {4, 8, 12, 16}
    assert tune.Int(4, 17, step=4).ends() == (4, 16)


def test_the_plan_of_a_space_shows_its_ends():
    space = tfc.Spec(
        [
            tfc.rule(TABLE, tfc.Factorize(tune.Int(2, 8)), tfc.Quantize(tune.Choice(8, 4))),
            tfc.rule(DENSE, tune.Optional(tfc.Quantize(8))),
        ]
    )
    model = network()
    found = tfc.plan(model, space)
    drawn = [tfc.plan(model, space.sample(space.draw(random.Random(s)))) for s in range(10)]
    for planned in drawn:
        assert found.smallest.costs.bytes <= planned.bytes_after <= found.largest.costs.bytes
    assert found.smallest.values == {
        "table/Factorize/rank": 2,
        "table/Quantize/bits": 4,
        "Dense/Quantize": "on",
    }
    assert tfc.plan(model, found.smallest.spec).bytes_after == found.smallest.costs.bytes
    text = str(found)
    assert "smallest" in text and "table/Factorize/rank = 2" in text
    assert found.to_data()["before"]["bytes"] == drawn[0].bytes_before


def test_the_ends_of_a_large_space_are_found_one_by_one():
    model = network()
    ranks, bits = tune.Int(2, 8), tune.Choice(4, 8)
    table = tfc.rule(TABLE, tune.Optional(tfc.Factorize(ranks)), tfc.Quantize(bits))
    dense = tfc.rule(DENSE, tfc.Prune(tune.Float(0.5, 0.9)), tune.Optional(tfc.Quantize(bits)))
    space = tfc.Spec([table, dense])
    found = tfc.plan(model, space)
    assert found.smallest.costs.bytes < found.largest.costs.bytes
    assert found.lightest.costs.multiply_adds < found.heaviest.costs.multiply_adds
    for seed in range(8):
        planned = tfc.plan(model, space.sample(space.draw(random.Random(seed))))
        assert found.smallest.costs.bytes <= planned.bytes_after <= found.largest.costs.bytes


def test_a_file_cannot_be_smaller_than_its_nonzeros():
    model = network()
    spec = tfc.Spec([tfc.rule(tfc.by_name("hidden"), tfc.Prune(0.75))])
    costs = tfc.Costs.of(tfc.plan(model, spec))
    assert costs.bytes - costs.least_bytes == 128 * 64 * 4 * 3 // 4


def test_what_cannot_be_planned_at_any_end_is_an_error():
    space = tfc.Spec([tfc.rule(tfc.by_name("nobody"), tfc.Quantize(tune.Choice(4, 8)))])
    with pytest.raises(tfc.SpecError, match="matches no layer"):
        tfc.plan(network(), space)
