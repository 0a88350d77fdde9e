"""What LiteRT stores and runs: the table in the package, and what is concluded from it."""

from __future__ import annotations

import json
from importlib import metadata

import pytest

import tfcompress as tfc
from tfcompress.export import modes as probe
from tfcompress.export import sparse
from tfcompress.keras import keras
from tfcompress.layers.kinds import LOOP
from tfcompress.techniques.modes import DYNAMIC, STATIC, Mode, measured, versions
from tfcompress.techniques.storable import Storable, storable


def test_the_table_has_all_that_is_tried_and_was_made_with_what_is_installed():
    assert set(measured()) == set(probe.tried())
    assert versions() == {name: metadata.version(name) for name in versions()}


def test_what_runs_agrees_and_what_does_not_has_a_reason():
    for row in measured().values():
        assert (row.deviation is not None and row.deviation <= 0.05) if row.runs else row.reason


def test_what_can_be_stored_follows_from_it():
    assert {name: storable(name) for name in probe.SUBJECTS} == {
        "FULLY_CONNECTED": Storable((2, 4, 8, 16), blocks=(4,)),
        "EMBEDDING_LOOKUP": Storable((2, 4, 8, 16), blocks=(4,)),
        "CONV_2D": Storable((4, 8, 16)),
        "CONV_2D in groups": Storable((4, 8, 16), one_scale=False),
        "DEPTHWISE_CONV_2D": Storable((8, 16), one_scale=False),
        "TRANSPOSE_CONV": Storable((8, 16)),
        "BATCH_MATMUL": Storable((8,)),
        LOOP: Storable((16,), instead="; give the layer unroll=True"),
    }
    assert storable("an operator of one's own") is None


@pytest.mark.parametrize(
    "mode",
    [
        Mode("FULLY_CONNECTED", 4, "block", DYNAMIC),
        Mode("CONV_2D", 2, "channel", DYNAMIC),
        Mode("DEPTHWISE_CONV_2D", 4, "channel", STATIC),
    ],
    ids=str,
)
def test_trying_again_gives_the_same(mode):
    again, before = probe.found(mode), measured()[mode]
    assert (again.runs, again.reason) == (before.runs, before.reason)
    assert (again.deviation is None) == (before.deviation is None)
    assert again.deviation == pytest.approx(before.deviation or 0.0, abs=1e-3) or not again.runs


def test_rows_of_other_versions_are_tried_again(tmp_path):
    path = tmp_path / "modes.json"
    assert probe.kept(path, versions()) == {}
    some = dict(list(measured().items())[:3])
    probe.write(path, versions(), some)
    assert probe.kept(path, versions()) == some
    assert probe.kept(path, {**versions(), "ai-edge-litert": "0"}) == {}
    assert json.loads(path.read_text())["versions"] == versions()


def test_a_file_that_does_not_load_is_a_finding(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"TFL3 nothing")
    with pytest.raises(RuntimeError, match="could not load the file"):
        probe._in_a_process(path, [])


def test_a_plan_leaves_out_what_does_not_run_before_anything_is_trained():
    model = keras.Sequential([keras.layers.Conv2D(4, 3, input_shape=(8, 8, 4), name="image")])
    planned = tfc.plan(model, tfc.Spec([tfc.rule(tfc.by_type("Conv2D"), tfc.Quantize(2))]))
    assert planned.layers[0].skipped == (
        "Quantize: LiteRT holds the kernel of CONV_2D in 4 or 8 or 16 bits, not 2",
    )


def test_the_reason_for_no_sparse_kernels_in_few_bits_is_what_was_measured():
    reason = sparse.in_few_bits()["reason"]
    assert "weights are stored in few bits" in reason
    for row in measured().values():
        if row.zeros and row.bits == 8:
            assert (f"{row.operator} in {row.zeros}" in reason) == row.runs
