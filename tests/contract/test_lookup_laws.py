"""The laws of docs/design.md, held against models that look tokens up before a table."""

import numpy as np
import pytest
import tf_keras as keras
from lookup_models import FAMILIES, LOOKUPS, tokens

import tfcompress as tfc
from tfcompress.layers.lookups import LOOKUPS as LAYERS
from tfcompress.surgery import walk

SPEC = tfc.Spec(
    [
        tfc.rule(tfc.by_name("table"), tfc.Quantize(4)),
        tfc.rule(tfc.by_name("head"), tfc.Quantize(8)),
    ]
)


# Every lookup in the kind of model that Keras knows least of, and every kind of model.
CASES = [("subclassed", lookup) for lookup in LOOKUPS]
CASES += [("sequential", "masked"), ("functional", "integer"), ("functional", "adapted")]


@pytest.mark.parametrize(("family", "lookup"), CASES)
def test_the_laws_hold_behind_a_lookup(family, lookup, tmp_path):
    keras.utils.set_random_seed(1)
    model, x = FAMILIES[family](lookup), tokens(lookup)
    before = model(x).numpy()
    rows = {type(row.before.layer): row for row in tfc.plan(model, SPEC).layers}
    notes = [row.notes for kind, row in rows.items() if issubclass(kind, LAYERS)]
    assert len(notes) == 1 and "takes its ids" in notes[0][0]  # law 2

    student = tfc.apply(model, SPEC)
    student.compile("adam", "mse")
    student.fit(x, np.zeros((4, 3)), verbose=0)
    np.testing.assert_array_equal(model(x), before)  # law 1
    student.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), student(x))  # law 4

    made = tfc.export(loaded, tmp_path / "m", tolerance=0.05)  # law 7
    assert made.report["operators"]["EMBEDDING_LOOKUP"] == 1
    assert not {"HASHTABLE_FIND", "CAST"} & set(made.report["operators"])
    found = made.report["sizes"]
    parts = ("weights", "scales", "graph", "metadata")
    assert found["bytes"] == sum(found[part] for part in parts)
    assert found["metadata"] > 500
    vocabulary = next(iter(tfc.read_vocabularies(made.model)["serve"].values()))
    lifted = next(h.layer for h in walk(student) if isinstance(h.layer, LAYERS))
    np.testing.assert_array_equal(vocabulary(x.numpy()), lifted(x))


def test_every_kind_of_lookup_and_model_is_under_contract():
    assert {family for family, _ in CASES} == set(FAMILIES)
    assert {type(LOOKUPS[lookup]()) for _, lookup in CASES} == set(LAYERS)
