"""benchmarks.peers: a row for each system, with its figures or with its error."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from benchmarks.peers import drawing, measuring
from benchmarks.peers.subject import Subject
from benchmarks.peers.systems import SYSTEMS

X = np.random.default_rng(0).normal(size=(6, 64)).astype(np.float32)
BATCHES = [{"x": row[None]} for row in X]


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64), keras.layers.Dense(64)])
    signatures = {"serve": tfc.Signature(lambda m, x: m(x), {"x": tf.TensorSpec([1, 64])})}
    expected = model(X).numpy()

    def quality(path):
        file = tfc.LiteModel(path)
        found = np.vstack([file.run("serve", batch)["output"] for batch in BATCHES])
        return float(1 - np.abs(found - expected).max())

    small = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))]))
    made = tfc.export(small, tmp_path_factory.mktemp("ours") / "m", signatures)
    return Subject(
        "tiny", "closeness", model, signatures, {"serve": BATCHES}, "serve", lambda _: BATCHES,
        quality, {"tfcompress, int8": made.model},
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows(subject, tmp_path_factory):
    chosen = (
        "TFLite, float32", "TFLite, float16", "TFLite, int8 only",
        "litert-quantizer, dynamic int8", "litert-quantizer, dynamic int4, GPTQ",
        "TF-MOT, pruning", "Keras, quantize int8",
    )  # fmt: skip
    systems = {name: SYSTEMS[name] for name in chosen}
    systems["TFLite, broken"] = lambda *_: b"no file"
    made = measuring.measure(subject, tmp_path_factory.mktemp("files"), systems, rounds=2)
    return {row["system"]: row for row in measuring.record(made)}


def test_a_system_that_works_has_all_figures(rows):
    for name in ("TFLite, float16", "litert-quantizer, dynamic int8", "tfcompress, int8"):
        row = rows[name]
        assert row["error"] is None and row["model"] == "tiny"
        assert row["gzip_bytes"] > 0 and row["bytes"] < rows["TFLite, float32"]["bytes"]
        assert row["quality"] > 0.9
        assert row["p50_us"] > 0
        assert row["p50_us_float32"] == rows["TFLite, float32"]["p50_us"]


def test_a_system_that_fails_has_its_error(rows):
    assert rows["Keras, quantize int8"]["error"].startswith("AttributeError: ")
    assert "could not load" in rows["TFLite, broken"]["error"]
    assert rows["TFLite, broken"]["p50_us"] is None and rows["TFLite, broken"]["bytes"] == len(
        b"no file"
    )


def test_a_row_without_a_file_says_whose_fault_it_is(rows):
    assert "it takes the model" in rows["TF-MOT, pruning"]["error"]


def test_the_table_has_the_smallest_first_and_errors_last(rows):
    lines = drawing.markdown(list(rows.values())).splitlines()[2:]
    assert len(lines) == len(rows)
    assert "fails: " in lines[-1]
    sizes = [int(line.split("|")[2].replace(",", "")) for line in lines if "fails" not in line]
    assert sizes == sorted(sizes)


def test_the_picture_is_a_png(rows, tmp_path):
    drawing.picture(list(rows.values()), tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
