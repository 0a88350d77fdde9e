"""Reports keep to their published schema, and the schema says something."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import reports
import small_models
from jsonschema import Draft202012Validator

import tfcompress as tfc
from tfcompress.keras import keras
from tfcompress.page.schema import report_schema, violations

SAVED = sorted((Path(__file__).parents[1] / "saved_models").glob("*/report.json"))
KNOWN = {*Draft202012Validator.VALIDATORS, "$schema", "title", "description", "$defs"}


def broken(report):
    return list(violations(report, report_schema(), closed=True))


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.parent.name)
def test_saved_reports_keep_to_it(path):
    assert broken(json.loads(path.read_text())) == []


def test_a_fresh_report_keeps_to_it():
    found = json.loads((reports.exported().folder / "report.json").read_text())
    assert broken(found) == []
    assert {"done", "skipped", "bytes_before", "histograms"} <= set(found["layers"][0])


def lookups():
    layers = keras.layers
    lookup = layers.StringLookup(vocabulary=["drama", "crime"])
    return keras.Sequential([keras.Input((2,), dtype="string"), lookup, layers.Embedding(3, 4)])


def pruned():
    model = keras.Sequential([keras.layers.Dense(64, input_shape=(64,))])
    return tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.9))]))


@pytest.mark.parametrize("build", [lookups, pruned, small_models.sequential])
def test_other_models_reports_keep_to_it(build, tmp_path):
    assert broken(tfc.export(build(), tmp_path / "m").report) == []


def test_an_inspection_keeps_to_it():
    made = reports.exported()
    found = json.loads(json.dumps(asdict(tfc.inspect_file(made.model, repeats=1))))
    assert broken({**made.report, "inspection": found}) == []


def words(schema):
    yield from schema
    for name in ("properties", "$defs"):
        for one in schema.get(name, {}).values():
            yield from words(one)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from words(schema[name])
    for one in schema.get("anyOf", []):
        yield from words(one)


def test_it_uses_words_that_are_checked():
    Draft202012Validator.check_schema(report_schema())
    assert set(words(report_schema())) <= KNOWN  # of an unknown one nothing would be checked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("verification"), "$: 'verification' is a required property"),
        (lambda r: r.update(parameters="9"), "$.parameters: '9' is not of type 'integer'"),
        (lambda r: r.update(parameters=True), "$.parameters: True is not of type 'integer'"),
        (lambda r: r["sizes"].update(bytes=-1), "$.sizes.bytes: -1 is less than the minimum of 0"),
        (lambda r: r.update(verification=[]), "$.verification: [] should be non-empty"),
        (
            lambda r: r["layers"][0]["weights"][0].update(bits=64),
            "[0].bits: 64 is greater than the maximum of 32",
        ),
        (
            lambda r: r["layers"][0].update(histograms={"after": {"kernel": {}}}),
            "kernel: 'low' is a required property",
        ),
        (lambda r: r.update(colour=1), "$: Additional properties are not allowed ('colour' was"),
        (
            lambda r: r.update(search={"points": [{**POINT, "kind": "lost"}]}),
            "points[0].kind: 'lost' is not one of ['front'",
        ),
        (lambda r: r["operators"].update(ADD=1.5), "$.operators.ADD: 1.5 is not of type 'integer'"),
    ],
)
def test_what_is_wrong_is_named(change, said):
    report = json.loads(json.dumps(reports.exported().report))
    change(report)
    found = broken(report)
    assert len(found) >= 1 and any(said in one for one in found), found


POINT = {"name": "a", "bytes": 1, "quality": 0.5, "kind": "front"}


def test_later_reports_may_have_more():
    report = {**reports.exported().report, "colour": 1}
    assert list(violations(report, report_schema())) == []


def test_a_long_value_is_shown_by_its_ends():
    (said,) = violations({"sizes": ["part"] * 500}, {"properties": {"sizes": {"type": "object"}}})
    assert said.startswith("$.sizes: ['part', 'part'") and said.endswith("is not of type 'object'")
    assert len(said) < 250
