"""What apply notes of a model, and what a report makes of it."""

import json

import numpy as np
import pytest
import reports
import small_models

import tfcompress as tfc
from tfcompress import applied
from tfcompress.export.rows import float_bytes, layer_rows
from tfcompress.histograms import BINS, SAMPLE, histogram, places
from tfcompress.keras import keras
from tfcompress.layers import FactorizedEmbedding
from tfcompress.layers.compressed import raw
from tfcompress.layers.forms import form_of
from tfcompress.surgery import walk
from tfcompress.value import brief


def rows_of(model):
    return {row["path"]: row for row in layer_rows(model)}


def test_rows_say_what_was_done_and_what_was_there_before():
    model = reports.model()
    planned = {row.path: row for row in tfc.plan(model, reports.SPEC).layers}
    rows = rows_of(tfc.apply(model, reports.SPEC))
    for path, row in rows.items():
        assert row["bytes_before"] == planned[path].before.bytes
        assert row["bytes"] == planned[path].after.bytes
        assert row["done"] == [brief(step) for step in planned[path].steps]
        assert row["skipped"] == list(planned[path].skipped)
    assert rows["head"]["skipped"] == ["no rule is for it"]
    before, after = (rows["table"]["histograms"][when] for when in ("before", "after"))
    assert list(before) == ["embeddings"] and list(after) == ["left", "right"]
    assert before["embeddings"]["total"] == 200 * 16 and after["left"]["total"] == 200 * 4


def test_the_histogram_after_is_of_what_ships():
    student = tfc.apply(reports.model(), reports.SPEC)
    found = rows_of(student)["hidden"]["histograms"]["after"]["kernel"]
    kernel = next(held.layer for held in walk(student) if held.path == "hidden").effective("kernel")
    assert found["zeros"] == round(float(np.mean(kernel.numpy() == 0)), 4) >= 0.5
    assert sum(found["counts"]) == kernel.numpy().size


def test_turns_add_up(family):
    model = family.build()
    table = tfc.Spec([tfc.rule(tfc.by_type("Embedding"), tfc.Factorize(4))])
    first = tfc.apply(model, table)
    bits = tfc.Spec([tfc.rule(tfc.by_type("FactorizedEmbedding"), tfc.Quantize(8))])
    second = tfc.apply(first, bits)
    path = next(h.path for h in walk(second) if isinstance(raw(h.layer), FactorizedEmbedding))
    row = rows_of(second)[path]
    assert row["done"] == ["Factorize(rank=4)", brief(tfc.Quantize(8))]
    assert row["bytes_before"] == 4 * small_models.IDS * small_models.WIDTH
    assert list(row["histograms"]["before"]) == ["embeddings"]
    assert rows_of(tfc.finalize(second))[path]["done"] == row["done"]


def test_a_model_from_disk_is_told_by_what_it_is(tmp_path):
    student = tfc.apply(reports.model(), reports.SPEC)
    student.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    rows, known = rows_of(loaded), rows_of(student)
    assert {p: r["bytes_before"] for p, r in rows.items()} == {
        p: r["bytes_before"] for p, r in known.items()
    }
    assert rows["table"]["done"] == known["table"]["done"]
    assert "skipped" not in rows["head"] and "before" not in rows["table"]["histograms"]
    applied.write_notes(student, tmp_path / "notes.json")
    paths = {held.path for held in walk(loaded)}
    assert rows_of(applied.attach(loaded, tmp_path / "notes.json", paths)) == known


def test_notes_of_another_model_are_refused(tmp_path):
    path = tmp_path / "notes.json"
    applied.write_notes(tfc.apply(reports.model(), reports.SPEC), path)
    with pytest.raises(tfc.SpecError, match="is about a layer 'hidden' that the model does not"):
        applied.attach(reports.model(), path, {"head", "norm", "table"})
    path.write_text(json.dumps({"version": 99}))
    with pytest.raises(tfc.SpecError, match="version 99; expected 1"):
        applied.attach(reports.model(), path, set())


@pytest.mark.parametrize("conv", [tfc.Factorize(2), tfc.Factorize(2, tfc.Spatial())])
def test_what_a_factorized_layer_stands_for_is_known(conv):
    layers = [
        keras.layers.Conv2D(8, 3, name="conv", input_shape=(8, 8, 4)),
        keras.layers.Flatten(),
        keras.layers.Dense(16, name="dense"),
    ]
    model = keras.Sequential(layers)
    before = {held.path: form_of(held).bytes for held in walk(model)}
    rules = [tfc.rule(tfc.by_name("conv"), conv), tfc.rule(tfc.by_name("dense"), tfc.Factorize(2))]
    for held in walk(tfc.apply(model, tfc.Spec(rules))):
        assert float_bytes(held.layer, form_of(held)) == before[held.path]


def test_a_histogram_counts_every_number_once():
    values = np.random.default_rng(0).normal(size=(50, 7))
    values[0, 0] = np.nan
    found = histogram(values, values.size)
    assert len(found["counts"]) == BINS and sum(found["counts"]) == 349 == found["sampled"]
    assert found["total"] == 350 and found["low"] < 0 < found["high"]
    assert histogram(np.full(3, np.inf), 3) is None
    assert sum(histogram(np.zeros(5), 5)["counts"]) == 5


def test_a_sample_sees_every_column():
    chosen = places(1_000_000 * 64)
    assert len(chosen) == SAMPLE and len(np.unique(chosen % 64)) == 64
    assert places(SAMPLE) is None


def test_brief_is_code_without_defaults():
    assert brief(tfc.Prune(0.5, (4, 1))) == "Prune(sparsity=0.5, block=(4, 1))"
    assert brief(tuple(range(9))) == "(0, 1, 2, 3, 4, 5, ... 9 in all)"
    assert brief((1,)) == "(1,)"


def test_a_table_in_a_file_is_seen_by_some_of_its_rows(tmp_path):
    rows = np.random.default_rng(0).normal(size=(5000, 16)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    table = tfc.MappedEmbedding(str(tmp_path / "rows.npy"), name="table")
    model = keras.Sequential([keras.Input((2,), dtype="int32"), table])
    student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("table"), tfc.Quantize(4))]))
    (row,) = layer_rows(student)
    assert row["bytes_before"] == rows.nbytes
    before, after = (row["histograms"][when]["table"] for when in ("before", "after"))
    assert before["total"] == after["total"] == rows.size
    assert before["zeros"] == 0.0 < after["zeros"]
