"""A plan says exactly what apply will do, and changes nothing."""

import json
import re
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from tfcompress.surgery import walk

planning = sys.modules["tfcompress.plan"]  # the function of that name hides it
DENSE, TABLE = tfc.by_type("Dense"), tfc.by_type("Embedding")


def rows_of(model, *rules):
    return {row.path: row for row in tfc.plan(model, tfc.Spec(rules)).layers}


def test_bytes_before_and_after_are_exact():
    # table 40x12, hidden 12x16 + 16, head 16x4 + 4
    model = small_models.sequential()
    rows = rows_of(
        model,
        tfc.rule(TABLE, tfc.Factorize(rank=4), tfc.Quantize(bits=4)),
        tfc.rule(tfc.by_name("hidden"), tfc.Prune(0.5), tfc.Quantize(bits=8)),
    )
    assert {path: row.before.bytes for path, row in rows.items()} == {
        "table": 4 * 480,
        "hidden": 4 * (192 + 16),
        "head": 4 * (64 + 4),
    }
    # factors 40x4 with 40 row scales, and 4x12 with one, at half a byte
    assert rows["table"].after.bytes == 80 + 40 * 12 + 24 + 12
    assert rows["hidden"].after.bytes == 192 + 16 * 12 + 16 * 4
    assert rows["head"].after.bytes == rows["head"].before.bytes


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [(tfc.PerTensor(), 12), (tfc.PerChannel(), 8 * 12), (tfc.PerBlock(32), 8 * 2 * 2)],
)
def test_scales_are_counted(granularity, expected):
    model = keras.Sequential([keras.layers.Dense(8, use_bias=False, input_shape=(64,))])
    (row,) = rows_of(model, tfc.rule(DENSE, tfc.Quantize(4, granularity))).values()
    assert row.after.bytes == 256 + expected


def test_what_apply_does_is_what_plan_said():
    model = small_models.subclassed()
    spec = tfc.Spec(
        [
            tfc.rule(TABLE, tfc.Factorize(rank=4), tfc.Quantize(bits=4)),
            tfc.rule(DENSE, tfc.Prune(0.5), tfc.Quantize(bits=8)),
        ]
    )
    first = tfc.plan(model, spec)
    student = tfc.apply(model, spec)
    nothing = tfc.Spec([tfc.rule(tfc.by_name("table"), tfc.Quantize(32))])
    second = {row.path: row for row in tfc.plan(student, nothing).layers}
    for row in first.layers:
        after = second[row.path].before
        assert (after.bytes, after.parameters) == (row.after.bytes, row.after.parameters), row.path
        assert after.kind == row.after.kind


SKIPS = [
    ("head", tfc.Factorize(rank=4), "rank 4 of a 16x4 matrix would not be smaller"),
    ("head", tfc.Prune(0.5, block=(32, 1)), r"block of \(32, 1\) is larger than its 16x4 matrix"),
    ("head", tfc.Quantize(4, tfc.PerBlock(32)), "blocks of 32 do not divide a width of 16"),
    ("mean", tfc.Quantize(8), "it has no weights"),
]


@pytest.mark.parametrize(("path", "technique", "reason"), SKIPS)
def test_what_is_skipped_says_why(path, technique, reason):
    rows = rows_of(small_models.sequential(), tfc.rule(tfc.by_name(path), technique))
    assert rows[path].steps == ()
    (said,) = rows[path].skipped
    assert re.search(reason, said)
    assert rows[path].after.bytes == rows[path].before.bytes


def test_layers_without_declared_weights_and_layers_of_layers_say_so():
    model = small_models.subclassed()
    rows = rows_of(model, tfc.rule(tfc.by_type("Block"), tfc.Quantize(8)))
    assert rows["blocks.0"].skipped == ("it holds other layers; write a rule for those",)
    norm = keras.Sequential([keras.layers.LayerNormalization(input_shape=(3,), name="norm")])
    rows = rows_of(norm, tfc.rule(tfc.by_name("norm"), tfc.Quantize(8)))
    assert "LayerNormalization declares no compressible weights" in rows["norm"].skipped[0]


def test_what_was_done_before_is_not_done_twice():
    student = tfc.apply(
        small_models.sequential(), tfc.Spec([tfc.rule(DENSE, tfc.Prune(0.5), tfc.Quantize(8))])
    )
    rules = [tfc.rule(DENSE, tfc.Prune(0.9), tfc.Quantize(4), tfc.Factorize(2))]
    assert rows_of(student, *rules)["hidden"].skipped == (
        "Factorize: it is compressed already; factorize the layer before that",
        "Prune: it is pruned already",
        "Quantize: it is quantized already",
    )


@pytest.mark.parametrize(
    "keyword", ["kernel_regularizer", "kernel_constraint", "activity_regularizer"]
)
def test_a_layer_whose_penalty_factors_would_lose_is_not_factorized(keyword):
    value = "non_neg" if "constraint" in keyword else "l2"
    model = keras.Sequential(
        [keras.layers.Dense(9, input_shape=(9,), name="d", **{keyword: value})]
    )
    rows = rows_of(model, tfc.rule(DENSE, tfc.Factorize(2)))
    assert f"it has a {keyword}" in rows["d"].skipped[0]


def test_a_rule_that_matches_nothing_names_itself_and_the_layers():
    with pytest.raises(tfc.SpecError, match=r"(?s)ByName\(pattern='hid'\).*matches no layer.*head"):
        rows_of(small_models.sequential(), tfc.rule(tfc.by_name("hid"), tfc.Quantize(8)))


def test_rules_that_contradict_each_other_name_the_layer_and_both_settings():
    with pytest.raises(tfc.SpecError, match=r"layer 'head'.*bits=8.*bits=4.*Narrow"):
        rows_of(
            small_models.sequential(),
            tfc.rule(tfc.by_name("head"), tfc.Quantize(8)),
            tfc.rule(DENSE, tfc.Quantize(4)),
        )


def test_rules_that_agree_or_add_up_do_not_contradict():
    rows = rows_of(
        small_models.sequential(),
        tfc.rule(DENSE, tfc.Quantize(8)),
        tfc.rule(tfc.by_name("head"), tfc.Quantize(8), tfc.Prune(0.5)),
    )
    assert rows["head"].steps == (tfc.Prune(0.5), tfc.Quantize(8))


def test_an_unbuilt_layer_is_an_error_that_says_what_to_do():
    model = keras.Sequential([keras.layers.Dense(3, name="late")])
    with pytest.raises(tfc.SpecError, match="'late' is not built.*Call the model once"):
        rows_of(model, tfc.rule(DENSE, tfc.Quantize(8)))


def test_what_is_not_a_spec_is_refused():
    with pytest.raises(tfc.SpecError, match="plan received .* expected a Spec"):
        tfc.plan(small_models.sequential(), tfc.rule(DENSE, tfc.Quantize(8)))


@dataclass(frozen=True)
class Named(tfc.spec.Technique):
    """Gives each layer of its rule a technique of its own; for one of them it has none."""

    seen: ClassVar[list] = []

    def prepare(self, forms):
        self.seen.append([form.path for form in forms])
        return [
            tfc.spec.Skip("it is the head") if f.path == "head" else tfc.Prune(0.5) for f in forms
        ]

    def plan(self, form):
        return form

    def apply(self, layer):
        return layer


def test_a_technique_sees_all_layers_of_a_rule_before_one_is_planned(monkeypatch):
    # Between Factorize and Prune, so that it sees what Factorize leaves.
    monkeypatch.setattr(planning, "TECHNIQUES", (tfc.Factorize, Named, tfc.Prune, tfc.Quantize))
    Named.seen.clear()
    rows = rows_of(
        small_models.sequential(),
        tfc.rule(DENSE, Named()),
        tfc.rule(TABLE, tfc.Factorize(2), Named()),
    )
    assert Named.seen == [["hidden", "head"], ["table"]]
    assert rows["hidden"].steps == (tfc.Prune(0.5),)
    assert rows["head"].skipped == ("Named: it is the head",)
    assert [w.name for w in rows["table"].after.weights] == ["left", "right"]


def test_a_plan_changes_nothing(family):
    model = family.build()
    layers = [(h.path, h.layer, type(h.layer)) for h in walk(model)]
    weights, outputs = model.get_weights(), family.outputs(model)
    tfc.plan(model, tfc.Spec([tfc.rule(DENSE | TABLE, tfc.Factorize(2), tfc.Quantize(4))]))
    assert [(h.path, h.layer, type(h.layer)) for h in walk(model)] == layers
    assert all(map(np.array_equal, model.get_weights(), weights))
    np.testing.assert_array_equal(family.outputs(model), outputs)


def test_the_data_of_a_plan_is_json_and_adds_up():
    spec = tfc.Spec([tfc.rule(TABLE, tfc.Factorize(4)), tfc.rule(DENSE, tfc.Prune(0.5))])
    planned = tfc.plan(small_models.sequential(), spec)
    data = json.loads(json.dumps(planned.to_data()))
    assert sum(row["bytes_before"] for row in data) == planned.bytes_before == 4 * 756
    assert sum(row["bytes_after"] for row in data) == planned.bytes_after
    assert data[0]["steps"] == ["Factorize(rank=4)"]


GOLDEN = """\
Plan
┏━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━┓
┃ layer             ┃ what                                                   ┃  bytes ┃  after ┃ multiply-adds ┃ after ┃
┡━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━┩
│ table (Embedding) │ Factorize(rank=4)                                      │ 64,000 │ 16,256 │             0 │    64 │
│ head (Dense)      │ Prune(sparsity=0.5, block=(1, 1), schedule=Once())     │  2,592 │  2,592 │           640 │   640 │
│                   │ skipped: Factorize: rank 8 of a 80x8 matrix would not  │        │        │               │       │
│                   │ be smaller                                             │        │        │               │       │
├───────────────────┼────────────────────────────────────────────────────────┼────────┼────────┼───────────────┼───────┤
│ all               │                                                        │ 66,592 │ 18,848 │               │       │
└───────────────────┴────────────────────────────────────────────────────────┴────────┴────────┴───────────────┴───────┘
"""


def test_the_printed_table():
    model = keras.Sequential(
        [
            keras.Input((5,), dtype=tf.int32),
            keras.layers.Embedding(1000, 16, name="table"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(8, name="head"),
        ]
    )
    spec = tfc.Spec(
        [
            tfc.rule(TABLE, tfc.Factorize(rank=4)),
            tfc.rule(tfc.by_name("head"), tfc.Factorize(rank=8), tfc.Prune(0.5)),
        ]
    )
    text = str(tfc.plan(model, spec))
    assert "\n".join(line.strip() for line in text.splitlines()) == GOLDEN.strip()
