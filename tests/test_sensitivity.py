"""Sensitivity: the same as applying by hand, resumable, and nothing left out in silence."""

import json

import numpy as np
import pytest
import small_models
import tf_keras as keras

import tfcompress as tfc
from tfcompress.sensitivity import Probe, Whole
from tfcompress.sensitivity.bench import Bench, exactly
from tfcompress.sensitivity.journal import FILE
from tfcompress.surgery.walk import variables

BATCH = small_models.ids(16)
TRIED = (
    tfc.Quantize(4),
    tfc.Quantize(2, tfc.PerTensor(), tfc.MeanSquare()),
    tfc.Prune(0.5),
    tfc.Factorize(tfc.Fraction(0.25)),
)


def found_in(model, techniques=TRIED, **settings):
    return tfc.sensitivity(model, [BATCH], techniques, show=False, **settings)


@pytest.mark.parametrize(
    ("build", "where", "tried"),
    [
        (small_models.sequential, tfc.by_name("hidden"), (*TRIED, tfc.Shrink(0.5))),
        (small_models.functional, tfc.by_name("shared"), TRIED[2:]),
        (small_models.subclassed, tfc.by_name("enter"), TRIED[:1]),
        (small_models.tied, tfc.by_name("table") | tfc.by_name("out"), TRIED[1:]),
    ],
)
def test_it_agrees_with_applying_by_hand(build, where, tried):
    model = build()
    kept = [variable.numpy() for variable in variables(model)]
    found = found_in(model, tried, where=where)
    before = model(BATCH, training=False).numpy().astype(np.float64)
    assert {cell.technique for cell in found.cells} == set(tried)
    for cell in found.cells:
        spec = tfc.Spec([tfc.rule(exactly(cell.path), cell.technique)])
        planned = tfc.plan(model, spec)
        row = next(row for row in planned.layers if row.path == cell.path)
        if cell.skipped is not None:
            assert cell.skipped == "; ".join(row.skipped) and not row.steps
            continue
        assert cell.whole.bytes == planned.bytes_after
        after = tfc.apply(model, spec)(BATCH, training=False).numpy().astype(np.float64)
        harm = np.mean(np.square(after - before), axis=-1).mean()
        assert cell.harm == pytest.approx(harm, rel=1e-3, abs=1e-10)
    for variable, value in zip(variables(model), kept, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_the_copy_is_as_it_was_after_every_cell():
    model = small_models.tied()
    bench = Bench(model, Probe([BATCH]))
    first = bench.tried("table", tfc.Factorize(3))
    for technique in (tfc.Quantize(2), tfc.Quantize(4, scale=tfc.Learned()), tfc.Prune(0.9)):
        bench.tried("hidden", technique)
    assert bench.tried("table", tfc.Factorize(3)) == first


def test_a_layer_that_is_compressed_already_is_tried_on_a_copy():
    quantized = tfc.Spec([tfc.rule(tfc.by_name("hidden"), tfc.Quantize(4))])
    model = tfc.apply(small_models.sequential(), quantized)
    pruned, again = found_in(
        model, (tfc.Prune(0.5), tfc.Quantize(2)), where=tfc.by_name("hidden")
    ).cells
    assert pruned.harm > 0 and again.skipped == "Quantize: it is quantized already"
    assert len(model.get_layer("hidden").transforms["kernel"]) == 1


def test_quality_is_measured_where_there_is_a_metric_and_seen_in_the_rows(tmp_path):
    model = small_models.sequential()
    probe = Probe([BATCH], metric=lambda m: -float(np.abs(m.get_layer("head").kernel).sum()))
    found = tfc.sensitivity(model, probe, (tfc.Prune(0.5),), tfc.by_name("head"), show=False)
    (row,) = found.rows()
    assert row["quality_lost"] == found.before.quality - row["quality"] < 0
    assert tfc.Sensitivity.from_json(found.to_json()) == found
    text = str(found)
    assert "Prune: harm" in text and f"{row['quality']:.4f}" in text
    found.picture(tmp_path / "harm.png")
    assert (tmp_path / "harm.png").read_bytes()[:4] == b"\x89PNG"


def test_a_call_that_no_graph_can_make_is_made_without_one():
    def call(model, batch):
        return model(batch).numpy() * 2.0

    model = small_models.sequential()
    probe = Probe([BATCH], call=call)
    (cell,) = tfc.sensitivity(
        model, probe, (tfc.Quantize(2),), tfc.by_name("head"), show=False
    ).cells
    (single,) = found_in(model, (tfc.Quantize(2),), where=tfc.by_name("head")).cells
    assert cell.harm == pytest.approx(4 * single.harm, rel=1e-5)


def test_it_goes_on_where_it_was_and_drops_a_torn_line(tmp_path, monkeypatch):
    model = small_models.tied()
    techniques = (tfc.Quantize(4), tfc.Prune(0.5))
    whole = found_in(model, techniques)
    found_in(model, techniques[:1], folder=tmp_path)
    file = tmp_path / FILE
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3]) + lines[3][:10])
    tried = []
    real = Bench.tried
    monkeypatch.setattr(Bench, "tried", lambda *args: tried.append(args[1:]) or real(*args))
    again = found_in(model, techniques, folder=tmp_path)
    assert len(tried) == 4  # of six; two were finished
    harms = [[cell.harm for cell in one.cells] for one in (again, whole)]
    np.testing.assert_allclose(*harms, rtol=1e-6)
    assert all(json.loads(line) for line in file.read_text().splitlines())


def test_cells_of_another_model_are_refused(tmp_path):
    found_in(small_models.sequential(), TRIED[:1], folder=tmp_path)
    with pytest.raises(tfc.SpecError, match="cells of another measurement: model differ"):
        found_in(small_models.tied(), TRIED[:1], folder=tmp_path)


def test_outputs_that_are_no_numbers_are_a_reason():
    model = small_models.sequential()
    probe = Probe([BATCH], call=lambda m, batch: 1.0 / m(batch) * m.get_layer("head").kernel[0])
    model.get_layer("head").kernel.assign(np.full((16, 4), 1e-3, np.float32))
    bench = Bench(model, probe)
    bench._ask = lambda: [[np.full((16, 4), np.nan)]]
    with pytest.raises(Exception, match="outputs are no numbers"):
        bench.tried("head", tfc.Quantize(4))


def test_harms_serve_adaptive_bits():
    model = small_models.sequential()
    wanted = tfc.AdaptiveBits(tfc.BudgetShare(0.2), bits=(2, 4, 8), granularity=tfc.PerTensor())
    found = found_in(model, wanted.candidates)
    seen = tfc.Calibration({}, harm=found.harms())
    where = tfc.by_type("Dense") | tfc.by_type("Embedding")
    chosen = tfc.plan(model, tfc.Spec([tfc.rule(where, wanted)]), seen)
    measured = tfc.measure_harm(model, [BATCH], wanted)
    other = tfc.plan(model, tfc.Spec([tfc.rule(where, wanted)]), measured)
    assert [row.steps for row in chosen.layers] == [row.steps for row in other.layers]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "received no batches; expected at least one"),
        (([BATCH], []), "received no techniques; expected some"),
        (([BATCH], [8]), "received 8; expected some, such as Quantize"),
        (([BATCH], TRIED, tfc.by_name("nothing")), "found no layer to try"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(tfc.SpecError, match=message):
        tfc.sensitivity(small_models.sequential(), *arguments, show=False)


def test_a_probe_refuses_what_is_no_harm_and_a_result_another_version():
    with pytest.raises(tfc.SpecError, match="received harm='l2'; expected SquaredError"):
        Probe([BATCH], harm="l2")
    text = tfc.Sensitivity(Whole(1, 1, 1), ()).to_json().replace('"version": 1', '"version": 9')
    with pytest.raises(tfc.SpecError, match="sensitivity of version 9; expected 1"):
        tfc.Sensitivity.from_json(text)
    other = json.dumps({"version": 1, "type": "PerTensor"})
    with pytest.raises(tfc.SpecError, match="Received a PerTensor; expected a Sensitivity"):
        tfc.Sensitivity.from_json(other)


def test_layers_inside_others_are_named_exactly():
    inner = keras.Sequential([keras.layers.Dense(16, input_shape=(8,), name="one")], name="inner")
    model = keras.Sequential([inner, keras.layers.Dense(8, name="one")])
    batch = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    found = tfc.sensitivity(model, [batch], (tfc.Quantize(2),), show=False)
    assert sorted(cell.path for cell in found.cells) == ["inner.one", "one"]
    assert len({cell.whole.bytes for cell in found.cells}) == 2
