"""Shrink: smaller layers that compute what the masked model computes, or a named reason."""

import numpy as np
import pytest
import shrinkable
import small_models
import tensorflow as tf
import tf_keras as keras
from shrinkable import CASES

import tfcompress as tfc
from tfcompress.surgery import walk

L = keras.layers
every_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def spec_of(names, *techniques):
    return tfc.Spec([tfc.rule(tfc.by_name(name), *techniques) for name in names])


def layers_of(case):
    return [name for group in case.makes for name in dict.fromkeys(layer for layer, *_ in group)]


def shrunk(case, model, keep=0.5, **settings):
    return tfc.apply(model, spec_of(layers_of(case), tfc.Shrink(keep, **settings)))


@every_case
@pytest.mark.parametrize("keep", [0.5, 0.7])
def test_it_computes_what_the_masked_model_computes(case, keep):
    model = shrinkable.built(case.name)
    small = shrunk(case, model, keep)
    expected = shrinkable.masked(case, model, shrinkable.kept(case, model, keep))
    x = case.inputs()
    np.testing.assert_allclose(small(x), expected(x), rtol=2e-5, atol=2e-5)
    assert np.abs(small(x) - model(x)).max() > 1e-3


@every_case
def test_it_is_the_model_built_small_with_the_same_weights(case):
    model = shrinkable.built(case.name)
    small = shrunk(case, model)
    sizes = {name: int(np.ceil(size / 2)) for name, size in case.sizes.items()}
    scratch = case.build(sizes)
    assert [w.shape for w in scratch.weights] == [w.shape for w in small.weights]
    scratch.set_weights(small.get_weights())
    x = case.inputs()
    np.testing.assert_array_equal(small(x), scratch(x))
    masks = shrinkable.kept(case, model, 0.5)
    for group in case.makes:
        name, attribute, axis, tile = group[0]
        before = np.array(shrinkable.at(model, f"{name}.{attribute}"))
        left = before.compress(np.tile(masks[name], tile), axis=axis)
        after = np.array(shrinkable.at(small, f"{name}.{attribute}"))
        assert after.shape[axis] == left.shape[axis]
        assert np.isin(after, left).all()


@every_case
def test_it_trains_and_is_saved(case, tmp_path):
    small = shrunk(case, shrinkable.built(case.name))
    small.compile("adam", "mse")
    small.fit(case.inputs(), np.zeros((6, 3), np.float32), verbose=0)
    small.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = case.inputs()
    np.testing.assert_array_equal(loaded(x), small(x))


@every_case
def test_the_plan_says_what_apply_does_to_every_layer(case):
    model = shrinkable.built(case.name)
    spec = spec_of(layers_of(case), tfc.Shrink(0.5))
    planned = tfc.plan(model, spec)
    small = tfc.apply(model, spec)
    nothing = tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Quantize(32))])
    after = {row.path: row.before for row in tfc.plan(small, nothing).layers}
    for row in planned.layers:
        if row.path not in after:
            assert row.after.bytes == 0  # asked for, but its weights are in the layers below it
            continue
        assert row.after.bytes == after[row.path].bytes, row.path
        assert row.after.multiply_adds == after[row.path].multiply_adds, row.path
        assert (row.after.bytes < row.before.bytes) <= bool(row.notes), row.path
    assert planned.bytes_after < planned.bytes_before
    assert any("of" in note and "left" in note for note in planned.layers[-1].notes)
