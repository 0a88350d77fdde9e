"""The laws for QuantizeActivations on models whose layers it knows, and files of integers.

On the small models of the other contract tests it is held to the laws in test_laws.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tests.integer_models import MODELS, exported, inputs_of, spec_of, student_of, trained
from tfcompress.export import flatbuffer, sizes
from tfcompress.keras import keras, tf
from tfcompress.layers import Integer
from tfcompress.surgery import walk

OBSERVERS = [tfc.MovingAverage(0.9), tfc.MinMax(), tfc.Percentile(99.0, 0.9)]
every_model = pytest.mark.parametrize("name", MODELS)


def integer_layers(model: Any) -> list[Any]:
    return [held.layer for held in walk(model) if isinstance(held.layer, Integer)]


@every_model
def test_laws_1_and_2_the_old_model_stays_and_every_layer_is_done_or_skipped(name):
    small = MODELS[name]
    model, inputs = small.build(), inputs_of(small)
    weights, outputs = model.get_weights(), model(inputs).numpy()
    planned = tfc.plan(model, spec_of(small))
    assert all(row.steps or row.skipped for row in planned.layers)
    student = trained(small, tfc.apply(model, spec_of(small)))
    assert len(integer_layers(student)) == sum(bool(row.steps) for row in planned.layers)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(model(inputs), outputs)


@every_model
def test_law_4_a_trained_model_survives_saving_and_finalizing_and_trains_on(name, tmp_path):
    small, inputs = MODELS[name], inputs_of(MODELS[name])
    student = trained(small, student_of(small))
    for model in (student, tfc.finalize(student)):
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(inputs), model(inputs))
        assert [one.ranges for one in integer_layers(loaded)] == [
            one.ranges for one in integer_layers(model)
        ]
        np.testing.assert_allclose(loaded(inputs), student(inputs), atol=1e-5)
    student.save(tmp_path / "model.keras")
    before = [one.ranges for one in integer_layers(student)]
    loaded = trained(small, keras.models.load_model(tmp_path / "model.keras"))
    assert [one.ranges for one in integer_layers(loaded)] != before


@every_model
def test_law_5_bits_of_32_and_ranges_that_saw_nothing_leave_outputs_as_they_are(name):
    small, inputs = MODELS[name], inputs_of(MODELS[name])
    alone = tfc.apply(small.build(), spec_of(small, tfc.Quantize(32), tfc.QuantizeActivations(32)))
    np.testing.assert_array_equal(alone(inputs), small.build()(inputs))
    unseen = student_of(small)
    quantized = tfc.apply(small.build(), spec_of(small, None, tfc.QuantizeActivations(32)))
    np.testing.assert_allclose(unseen(inputs), quantized(inputs), atol=1e-6)


def test_law_6_one_after_another_gives_the_same_as_both_at_once():
    small, inputs = MODELS["cnn"], inputs_of(MODELS["cnn"])
    prune, quantize, rounded = tfc.Prune(0.5), tfc.Quantize(4), tfc.QuantizeActivations()

    def spec(*techniques: Any) -> tfc.Spec:
        return tfc.Spec([tfc.rule(tfc.by_type("Dense"), *techniques)])

    once = tfc.apply(small.build(), spec(prune, quantize, rounded))
    step_by_step = tfc.apply(small.build(), spec(quantize))
    for one in (rounded, prune):
        step_by_step = tfc.apply(step_by_step, spec(one))
    for model in (once, step_by_step):
        tfc.observe(model, [inputs])
    np.testing.assert_array_equal(step_by_step(inputs), once(inputs))
    for a, b in zip(step_by_step.get_weights(), once.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "observer"),
    [(name, OBSERVERS[0]) for name in MODELS] + [("cnn", one) for one in OBSERVERS[1:]],
    ids=str,
)
def test_law_7_what_training_saw_is_what_ships_in_integers(name, observer, tmp_path):
    small = MODELS[name]
    student = student_of(small, None, tfc.QuantizeActivations(observer=observer))
    made = exported(small, trained(small, student), tmp_path / "m")
    assert made.report["verification"][0]["deviation"] < 0.02
    rows = made.report["activations"]
    whole = [row["operator"] for row in rows if set(row["inputs"] + row["outputs"]) == {"int8"}]
    assert tuple(whole) == small.integers
    content = made.model.read_bytes()
    assert made.report["sizes"] == sizes.byte_counts(content)
    assert tfc.Spec.from_json((made.folder / "spec.json").read_text())


@every_model
def test_law_7_without_training_the_ranges_come_from_observed_batches(name, tmp_path):
    small = MODELS[name]
    student = tfc.observe(student_of(small), [inputs_of(small)])
    made = exported(small, student, tmp_path / "m")
    # A sum in integers is rounded once more; all else is what Keras computes.
    assert made.report["verification"][0]["deviation"] < (0.015 if name == "residual" else 0.002)


def test_law_7_a_small_network_is_integers_from_its_first_operator_to_its_last(tmp_path):
    for name in ("mlp", "cnn", "cnn with batch normalization", "residual"):
        small = MODELS[name]
        made = exported(small, trained(small, student_of(small)), tmp_path / "m")
        rows = made.report["activations"]
        assert [row["operator"] for row in (rows[0], rows[-1])] == ["QUANTIZE", "DEQUANTIZE"]
        assert [row["operator"] for row in rows[1:-1]] == list(small.integers)


def test_law_7_the_file_holds_the_scale_and_zero_point_of_the_report(tmp_path):
    small = MODELS["mlp"]
    made = exported(small, trained(small, student_of(small)), tmp_path / "m")
    graph = flatbuffer.read(made.model.read_bytes()).subgraphs[0]
    held = {}
    for tensor in graph.tensors:
        grid = tensor.quantization
        if tensor.type == flatbuffer.schema.TensorType.INT8 and len(grid.scale) == 1:
            held[float(grid.scale[0])] = int(grid.zeroPoint[0])
    for layer in made.report["layers"]:
        for grid in layer["activations"].values():
            near = min(held, key=lambda scale: abs(scale - grid["scale"]))
            assert near == pytest.approx(grid["scale"], rel=1e-5)
            assert held[near] == grid["zero_point"]


def test_law_7_other_layers_stay_dynamic_or_float(tmp_path):
    small = MODELS["mlp"]
    model = small.build()
    first, second, _ = (layer.name for layer in model.layers)
    spec = tfc.Spec(
        [
            tfc.rule(tfc.by_name(first), tfc.Quantize(8), tfc.QuantizeActivations()),
            tfc.rule(tfc.by_name(second), tfc.Quantize(8)),
        ]
    )
    made = exported(small, trained(small, tfc.apply(model, spec)), tmp_path / "m")
    rows = [r for r in made.report["activations"] if r["operator"] == "FULLY_CONNECTED"]
    assert [row["inputs"] for row in rows] == [["int8"], ["float32"], ["float32"]]


def test_law_7_two_signatures_share_weights_in_integers(tmp_path):
    small = MODELS["mlp"]
    student = trained(small, student_of(small))
    one, two = (
        tfc.Signature(lambda m, x: m(x), {"x": tf.TensorSpec([count, 12])}) for count in (1, 2)
    )
    made = tfc.export(student, tmp_path / "m", {"one": one, "two": two}, tolerance=0.02)
    alone = exported(small, student, tmp_path / "alone")
    assert made.report["sizes"]["weights"] < alone.report["sizes"]["weights"] + 100


def test_law_8_a_kernel_read_from_outside_is_the_quantized_one():
    small = MODELS["mlp"]
    student = trained(small, student_of(small))
    layer = student.layers[0]
    assert len(np.unique(np.array(layer.kernel)[:, 0])) <= 255
    np.testing.assert_array_equal(layer.kernel, layer.effective("kernel"))
