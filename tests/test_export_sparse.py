"""Sparse kernels in a file: written, run, compared and timed; else the dense file, with a reason."""

import numpy as np
import pytest
import small_models
import tf_keras as keras

import tfcompress as tfc
from tfcompress.export import flatbuffer, sparse


def pruned(*techniques, units=256):
    keras.utils.set_random_seed(4)
    layers = [keras.layers.Dense(units, "relu", name=f"layer{i}") for i in range(3)]
    model = keras.Sequential([keras.Input((units,)), *layers])
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), *techniques)])
    return tfc.apply(model, spec)


def test_blocks_run_as_they_are_and_are_faster(tmp_path):
    student = pruned(tfc.Prune(0.95, (16, 1)), units=512)
    made = tfc.export(student, tmp_path / "m")
    found = made.report["sparse_kernels"]
    assert found["used"] and found["filled_up"] == 0
    assert made.report["sizes"]["bytes"] == found["bytes"]["sparse"] < found["bytes"]["dense"] / 8
    assert found["microseconds"]["sparse"] < found["microseconds"]["dense"]
    assert made.report["operators"] == {"FULLY_CONNECTED": 3}
    assert made.report["verification"][0]["deviation"] < 1e-5


def test_single_weights_make_the_file_smaller(tmp_path):
    student = pruned(tfc.Prune(0.9))
    made = tfc.export(student, tmp_path / "m")
    found = made.report["sparse_kernels"]
    if found["used"]:  # a busy machine may time it otherwise
        assert found["filled_up"] == 3
        assert made.model.stat().st_size < found["bytes"]["dense"] / 5
    x = np.random.default_rng(0).normal(size=(1, 256)).astype(np.float32)
    lite = tfc.LiteModel(made.model)
    (name,) = lite.inputs("serve")
    (output,) = lite.run("serve", {name: x}).values()
    np.testing.assert_allclose(output, student(x), rtol=1e-4, atol=1e-6)


def test_a_file_without_zeros_says_nothing_and_one_in_few_bits_says_why(tmp_path):
    plain = tfc.export(pruned(tfc.Quantize(8)), tmp_path / "a")
    assert "sparse_kernels" not in plain.report
    both = tfc.export(pruned(tfc.Prune(0.9), tfc.Quantize(8)), tmp_path / "b")
    assert both.report["sparse_kernels"] == sparse.in_few_bits()


def test_what_takes_more_bytes_is_left(tmp_path):
    student = tfc.apply(
        small_models.sequential(), tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Prune(0.3))])
    )
    found = tfc.export(student, tmp_path / "m").report["sparse_kernels"]
    assert not found["used"] and "indices take more than the zeros" in found["reason"]


def test_a_file_that_does_not_convert_load_or_keep_up_is_left(monkeypatch):
    def refuses(*_):
        raise tfc.ExportError("no such kernel")

    dense = bytes(100)
    assert sparse.chosen(dense, refuses, print, {}) == (
        dense,
        {"used": False, "reason": "it does not convert: no such kernel"},
    )
    found, report = sparse.chosen(dense, lambda: bytes(50), refuses, {})
    assert found is dense and "the sparse file is no good: no such kernel" in report["reason"]
    monkeypatch.setattr(sparse, "compare_latency", lambda *_, **__: {"dense": 10.0, "sparse": 12.0})
    found, report = sparse.chosen(dense, lambda: bytes(50), lambda path: None, {"serve": []})
    assert found is dense and report["reason"] == "the sparse file is slower"
    assert report["microseconds"] == {"dense": 10.0, "sparse": 12.0}


@pytest.mark.parametrize("signatures", [1, 2])
def test_two_signatures_share_their_sparse_kernels(signatures, tmp_path):
    student = pruned(tfc.Prune(0.9, (4, 1)))
    call = tfc.Signature(lambda m, x: m(x), {"x": tfc.keras.tf.TensorSpec([1, 256])})
    made = tfc.export(student, tmp_path / "m", {f"s{i}": call for i in range(signatures)})
    model = flatbuffer.read(made.model.read_bytes())
    sparse_tensors = [t for g in model.subgraphs for t in g.tensors if t.sparsity is not None]
    if made.report["sparse_kernels"]["used"]:
        assert len(sparse_tensors) == 3 * signatures
        assert len({t.buffer for t in sparse_tensors}) == 3
