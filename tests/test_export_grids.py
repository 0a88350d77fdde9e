"""Weights in a file: the codes and steps that training saw, in the bits that the plan counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tf_keras as keras
from grids import integers_in

import tfcompress as tfc
from tfcompress.export import flatbuffer
from tfcompress.export.find import Stored, stored_weights
from tfcompress.export.grids import grid_ends
from tfcompress.layers import FakeQuantizer

RNG = np.random.default_rng(2)
KINDS = flatbuffer.schema.TensorType
SCALES = [tfc.AbsMax(), tfc.Deviations(2.0), tfc.MeanSquare(), tfc.Fixed(1 / 32)]
GRIDS = [
    (2, tfc.PerTensor()),
    (2, tfc.PerChannel()),
    (3, tfc.PerTensor()),
    (3, tfc.PerChannel()),
    (3, tfc.PerBlock(32)),
    (4, tfc.PerChannel()),
    (4, tfc.PerBlock(32)),
    (8, tfc.PerTensor()),
    (8, tfc.PerChannel()),
]
CASES = [tfc.Quantize(bits, granularity, tfc.Learned()) for bits, granularity in GRIDS] + [
    tfc.Quantize(bits, granularity, scale)
    for bits, granularity in ((8, tfc.PerChannel()), (3, tfc.PerTensor()), (4, tfc.PerBlock(32)))
    for scale in SCALES
]


def model() -> Any:
    """A table and two kernels whose widths 32 divides."""
    keras.utils.set_random_seed(3)
    table = keras.layers.Embedding(50, 32, input_length=4, name="table")
    layers = [
        table,
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(64, activation="relu", name="hidden"),
        keras.layers.Dense(32, name="head"),
    ]
    made = keras.Sequential(layers)
    table.embeddings.assign(RNG.normal(size=(50, 32)))
    return made


def trained(*techniques: Any) -> Any:
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense") | tfc.by_type("Embedding"), *techniques)])
    student = tfc.apply(model(), spec)
    student.compile(keras.optimizers.Adam(0.01), "mse")
    x = RNG.integers(0, 50, (40, 4)).astype(np.int32)
    student.fit(x, RNG.normal(size=(40, 32)), epochs=2, verbose=0)
    return student


def trained_grids(student: Any) -> list[tuple[Any, Any]]:
    """Codes and steps of each weight, as a file has them: outputs by inputs, ids by width."""
    found = []
    for name, weight in (("table", "embeddings"), ("hidden", "kernel"), ("head", "kernel")):
        layer = student.get_layer(name)
        (grid,) = layer.transforms[weight]
        value = layer.before(weight, grid)
        pair = grid.codes(value).numpy(), grid.steps(value).numpy()
        found.append(pair if weight == "embeddings" else (pair[0].T, pair[1].T))
    return found


@pytest.mark.parametrize("technique", CASES, ids=repr)
def test_a_file_holds_the_codes_and_steps_that_training_saw_in_the_planned_bytes(
    technique, tmp_path
):
    student = trained(technique)
    made = tfc.export(student, tmp_path / "m")
    shipped = integers_in(made.model.read_bytes())
    assert len(shipped) == 3
    for codes, steps in trained_grids(student):
        ((found, found_steps, _),) = [s for s in shipped if s[0].shape == codes.shape]
        np.testing.assert_array_equal(found, codes)
        # Nobody asks for the step of a row of zeros.
        ratio = (np.broadcast_to(found_steps, codes.shape) / steps)[codes != 0]
        np.testing.assert_allclose(ratio, 1, rtol=3e-7)
    check_bytes(technique, made)
    (rule,) = tfc.Spec.from_json((made.folder / "spec.json").read_text()).rules
    assert rule.techniques == (technique,)


def check_bytes(technique: Any, made: Any) -> None:
    """The bytes of each weight are those of plan and report."""
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense") | tfc.by_type("Embedding"), technique)])
    planned = tfc.plan(model(), spec)
    held = flatbuffer.read(made.model.read_bytes())
    weights = {
        t.buffer: len(held.buffers[t.buffer].data)
        for t in held.subgraphs[0].tensors
        if t.type in (KINDS.INT2, KINDS.INT4, KINDS.INT8, KINDS.FLOAT16)
        and held.buffers[t.buffer].data is not None
        and int(np.prod(t.shape)) in (50 * 32, 32 * 64)
    }
    asked = [w for row in planned.layers for w in row.after.weights]
    bits = 4 if technique.bits == 3 else technique.bits
    assert [w.bits for w in asked] == [bits] * 3
    assert sorted(weights.values()) == sorted(w.parameters * bits // 8 for w in asked)
    assert [w["bits"] for row in made.report["layers"] for w in row["weights"]] == [bits] * 3
    found = made.report["sizes"]
    # biases in float, shapes and other integers, and zero points that grids share
    assert abs(found["weights"] + found["scales"] - planned.bytes_after) < 200 + 8 * 50


def test_float16_ships_as_float16_and_computes_what_training_saw(tmp_path):
    student = trained(tfc.Quantize(16))
    made = tfc.export(student, tmp_path / "m", tolerance=1e-5)
    held = flatbuffer.read(made.model.read_bytes())
    found = [
        np.asarray(held.buffers[t.buffer].data, np.uint8).view(np.float16).reshape(t.shape)
        for t in held.subgraphs[0].tensors
        if t.type == KINDS.FLOAT16
    ]
    for weight in stored_weights(student):
        values = [f for f in found if f.shape in (weight.value.shape, weight.value.T.shape)]
        assert any(
            np.array_equal(f.astype(np.float32), v)
            for f in values
            for v in (weight.value, weight.value.T)
        )
    assert made.report["operators"]["DEQUANTIZE"] == 3
    check_bytes(tfc.Quantize(16), made)
    (rule,) = tfc.Spec.from_json((made.folder / "spec.json").read_text()).rules
    assert rule.techniques == (tfc.Quantize(16),)


def test_corrected_weights_ship_as_they_were_rounded(tmp_path):
    plain = model()
    x = RNG.integers(0, 50, (60, 4)).astype(np.int32)
    technique = tfc.Quantize(4, rounding=tfc.ErrorCorrecting(damping=0.02))
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), technique)])
    student = tfc.apply(plain, spec, calibration=tfc.calibrate(plain, [x]))
    made = tfc.export(student, tmp_path / "m")
    (rule,) = tfc.Spec.from_json((made.folder / "spec.json").read_text()).rules
    assert rule.techniques == (technique,)
    shipped = integers_in(made.model.read_bytes())
    for name in ("hidden", "head"):
        kernel = student.get_layer(name).kernel.numpy().T
        (found,) = [codes * steps for codes, steps, _ in shipped if codes.shape == kernel.shape]
        np.testing.assert_allclose(found, kernel, rtol=1e-6, atol=1e-8)


def test_a_kernel_of_channels_that_are_multiplied_keeps_its_codes(tmp_path):
    keras.utils.set_random_seed(3)
    layers = [
        keras.layers.Conv2D(8, 3, input_shape=(6, 6, 4), use_bias=False, name="conv"),
        keras.layers.BatchNormalization(),
    ]
    plain = keras.Sequential(layers)
    plain.layers[1].set_weights([RNG.uniform(0.5, 2, 8) for _ in range(4)])
    one_scale = tfc.Quantize(8, tfc.PerTensor())
    for technique in (tfc.Quantize(4, scale=tfc.Learned()), one_scale, tfc.Quantize(16)):
        student = tfc.apply(plain, tfc.Spec([tfc.rule(tfc.by_type("Conv2D"), technique)]))
        made = tfc.export(student, tmp_path / f"m{technique.bits}", tolerance=0.02)
        if technique.bits < 16:
            ((codes, _, _),) = integers_in(made.model.read_bytes())
            layer = student.layers[0]
            (grid,) = layer.transforms["kernel"]
            expected = grid.codes(layer.before("kernel", grid)).numpy().transpose(3, 0, 1, 2)
            np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("kind", ["Dense", "Conv2D"])
def test_plan_counts_the_scales_that_a_file_has_before_a_batch_normalization(kind, tmp_path):
    keras.utils.set_random_seed(3)
    make = {
        "Dense": lambda: keras.layers.Dense(16, input_shape=(12,)),
        "Conv2D": lambda: keras.layers.Conv2D(16, 3, input_shape=(5, 5, 4)),
    }[kind]
    norm = keras.layers.BatchNormalization()
    plain = keras.Sequential([make(), norm])
    norm.set_weights([RNG.uniform(0.5, 2, 16) for _ in range(4)])
    asked = tfc.Spec([tfc.rule(tfc.by_type(kind), tfc.Quantize(8, tfc.PerTensor()))])
    student = tfc.apply(plain, asked)
    ((_, steps, bits),) = integers_in(
        tfc.export(student, tmp_path / "m", tolerance=0.05).model.read_bytes()
    )
    assert (bits, steps.size) == (8, 16)
    for row in (tfc.plan(plain, asked).layers[0].after, tfc.plan(student, asked).layers[0].before):
        assert [weight.scales for weight in row.weights] == [16]
    alone = keras.Sequential([make()])
    assert tfc.plan(alone, asked).layers[0].after.weights[0].scales == 1


def test_the_ends_of_grids_need_no_weight_on_them():
    codes = np.array([[1, -3], [0, 0], [2, 0]], np.int32)
    value = (codes * [[0.5], [1.0], [0.25]]).astype(np.float32)
    by_row = Stored("table.embeddings", value, FakeQuantizer(4, 0), 0, codes)
    ends = grid_ends(value, by_row, turned=False)
    np.testing.assert_allclose(ends[[0, 2]], [[3.5], [1.75]])
    assert ends[1] > 0
    whole = Stored("layer.kernel", codes * np.float32(0.5), FakeQuantizer(3), 1, codes)
    np.testing.assert_allclose(grid_ends(codes.T * np.float32(0.5), whole, True), [[3.5]])
