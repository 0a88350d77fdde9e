"""tfcompress.export.runtimes: what an older run time can do, and what of a file stands in its way."""

import json
import sys
from importlib import resources

import numpy as np
import pytest

import tfcompress as tfc
from tests import small_models
from tfcompress.export import flatbuffer
from tfcompress.export.runtimes import (
    LITERT,
    Mode,
    measured,
    mode_of,
    modes,
    probe,
    runtime_lines,
    runtimes,
)
from tfcompress.keras import tf

OLDER = "tflite-runtime 2.14.0"
SIGNATURE = {
    "serve": tfc.Signature(lambda m, ids: m(ids), {"ids": tf.TensorSpec([1, 5], tf.int32)})
}


def exported(folder, *techniques):
    model = small_models.tied()
    if techniques:
        rule = tfc.rule(tfc.by_type("Embedding") | tfc.by_type("Dense"), *techniques)
        model = tfc.apply(model, tfc.Spec([rule]))
    return tfc.export(model, folder / "m", SIGNATURE, tolerance=1.0)


def test_the_table_agrees_with_whole_files():
    table = json.loads(resources.files(runtimes.__module__).joinpath("table.json").read_text())
    assert table["runtime"] == OLDER and len(table["files"]) > 30
    wrong = [one for one in table["files"] if one["derived"] is not one["runs"]]
    assert not wrong
    assert {one["runs"] for one in table["files"]} == {True, False}


EXPECTED = {
    "float32": ((), True, set()),
    "float16": ((tfc.Quantize(16),), True, set()),
    "8 bits, one scale": ((tfc.Quantize(8, tfc.PerTensor()),), True, set()),
    "8 bits": ((tfc.Quantize(8),), False, {"EMBEDDING_LOOKUP", "FULLY_CONNECTED"}),
    "4 bits": ((tfc.Quantize(4),), False, {"EMBEDDING_LOOKUP"}),
    "2 bits": ((tfc.Quantize(2),), False, {"EMBEDDING_LOOKUP", "FULLY_CONNECTED"}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_report_says_what_needs_a_newer_run_time(name, tmp_path):
    techniques, runs, operators = EXPECTED[name]
    made = exported(tmp_path, *techniques)
    found = made.report["runtimes"]
    (newest, older) = found
    assert newest.startswith(f"{LITERT} ") and found[newest] == {"runs": True}
    assert older == OLDER
    assert found[older]["runs"] is runs
    assert {one["operator"] for one in found[older]["needs_newer"]} == operators
    assert not found[older]["not_measured"]
    assert all(one["reason"] for one in found[older]["needs_newer"])


def test_a_mode_is_what_decides(tmp_path):
    content = exported(tmp_path, tfc.Quantize(4)).model.read_bytes()
    model = flatbuffer.read(content)
    graph = model.subgraphs[0]
    found = [mode_of(model, graph, one) for one in graph.operators]
    (look_up,) = [one for one in found if one.operator == "EMBEDDING_LOOKUP"]
    assert (look_up.types, look_up.scales) == ("int32, int4 -> float32", "channel")
    assert not look_up.sparse and set(found) == set(modes(content))


def test_what_was_not_measured_is_said():
    content = tf.lite.TFLiteConverter.from_keras_model(small_models.sequential()).convert()
    model = flatbuffer.read(content)
    code = next(c for c in model.operatorCodes if c.builtinCode == 9)
    code.version = 99
    found = runtimes(flatbuffer.pack(model))[OLDER]
    assert found["runs"] is None
    assert {(one["operator"], one["version"]) for one in found["not_measured"]} == {
        ("FULLY_CONNECTED", 99)
    }
    lines = runtime_lines({OLDER: found})
    assert any("FULLY_CONNECTED of version 99" in line for line in lines)


def test_modes_read_well():
    row = Mode("FULLY_CONNECTED", 5, "float32, int4 -> float32", "block")
    assert str(row) == (
        "FULLY_CONNECTED of version 5 (float32, int4 -> float32, a scale for each block)"
    )
    newer = [{**vars(row), "reason": "it crashes"}]
    lines = runtime_lines({"old": {"runs": False, "needs_newer": newer, "not_measured": []}})
    assert lines == ["old: does not run it", f"  {row} needs a newer one: it crashes"]


def test_every_row_is_a_mode_and_says_why():
    older, rows = measured()
    assert older == OLDER and len(rows) > 100
    for mode, row in rows.items():
        assert isinstance(mode, Mode) and bool(row["reason"]) != row["runs"]


def test_files_are_compared_in_an_interpreter_of_their_own(tmp_path, monkeypatch):
    # The older run time is not installed here; LiteRT itself stands in for it.
    monkeypatch.setitem(probe._MODULES, probe.OLDER, "ai_edge_litert")
    model = flatbuffer.read(exported(tmp_path).model.read_bytes())
    broken = flatbuffer.read(exported(tmp_path).model.read_bytes())
    broken.operatorCodes[0].version = 99
    pieces = {"good": probe.first_operators(model, 0, 10**9)}
    assert probe.compared(pieces, sys.executable) == {"good": probe.Found(True, "", 0.0)}
    pieces = {"broken": probe.first_operators(broken, 0, 10**9)}
    assert probe.compared(pieces, sys.executable) == {}  # LiteRT cannot run it either


def test_what_differs_is_found():
    one = np.ones(4, np.float32)
    assert probe._compare([one], [one]).runs
    assert probe._compare([one], [one * 2]).reason == "outputs differ"
    assert probe._compare([one], [np.full(4, np.nan, np.float32)]).deviation is None
    assert probe._compare([one], [one[:2]]).reason == "outputs have another shape"
    assert probe._compare([one], "in /a/b.cc:1 Node number 0").reason == "in b.cc:1"
    assert not probe._compare([np.arange(4)], [np.arange(4) + 2]).runs
