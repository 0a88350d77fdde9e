"""Shrink: smaller layers that compute what the masked model computes, or a named reason."""

import numpy as np
import pytest
import shrinkable
import small_models
import tensorflow as tf
import tf_keras as keras
from shrinkable import CASES, network, plans, spec_of

import tfcompress as tfc
from tfcompress.surgery import walk

L = keras.layers
every_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


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
    assert any(
        "inputs are left" in note or "query" in note for r in planned.layers for note in r.notes
    )


def set_norm(model, gamma):
    model.get_layer("n").gamma.assign(gamma)
    return model


def test_by_scale_keeps_the_units_of_the_largest_scales():
    gamma = np.array([0.1, -5, 0.2, 4, 3, 0.3, -0.4, 2], np.float32)
    model = set_norm(network(L.BatchNormalization(name="n")), gamma)
    small = tfc.apply(model, spec_of(["d"], tfc.Shrink(0.5, importance=tfc.ByScale())))
    np.testing.assert_array_equal(small.get_layer("n").gamma, [-5, 4, 3, 2])
    np.testing.assert_array_equal(
        small.get_layer("d").kernel, model.get_layer("d").kernel.numpy()[:, [1, 3, 4, 7]]
    )


def test_by_norm_of_order_1_differs_from_order_2():
    model = keras.Sequential([L.Dense(2, name="d", input_shape=(2,)), L.Dense(1)])
    model.get_layer("d").kernel.assign([[3.0, 2.0], [0.0, 2.0]])  # L1 3 and 4; L2 3 and 2.83
    for order, column in ((1, [2, 2]), (2, [3, 0])):
        small = tfc.apply(
            model, spec_of(["d"], tfc.Shrink(0.5, importance=tfc.ByNorm(order=order)))
        )
        np.testing.assert_array_equal(small.get_layer("d").kernel[:, 0], column)


def test_by_activation_measures_what_numpy_measures():
    model = network(L.ReLU())
    batches = [np.random.default_rng(i).normal(size=(5, 4)).astype(np.float32) for i in range(3)]
    measured = tfc.ByActivation.measure(model, batches)
    kernel, bias = model.get_layer("d").get_weights()
    expected = np.abs(np.concatenate(batches) @ kernel + bias).mean(axis=0)
    np.testing.assert_allclose(dict(measured.measured)["d"], expected, rtol=1e-5)
    shrink = tfc.Shrink(0.25, importance=measured)
    small = tfc.apply(model, spec_of(["d"], shrink))
    best = np.sort(np.argsort(-expected)[:2])
    np.testing.assert_array_equal(small.get_layer("d").kernel, kernel[:, best])
    again = tfc.Spec.from_json(spec_of(["d"], shrink).to_json())
    assert again == spec_of(["d"], shrink)
    assert "call" not in vars(model.get_layer("d"))


def test_by_activation_measures_heads_and_towers():
    model = shrinkable.built("attention")
    measured = dict(tfc.ByActivation.measure(model, [shrinkable.ids()]).measured)
    assert len(measured["heads"]) == 4
    assert len(measured["table"]) == 12
    towers = small_models.two_tower()
    found = tfc.ByActivation.measure(
        towers, small_models.interactions(), lambda m, batch: m.user_tower(batch["user"])
    )
    assert set(dict(found.measured)) == {"user_tower.table", "user_tower.out"}


def test_a_shared_layer_loses_the_same_everywhere():
    x, y = keras.Input((4,)), keras.Input((4,))
    shared, deep = L.Dense(8, activation="relu", name="d"), L.Dense(6, name="deep")
    both = L.Add()([deep(shared(x)), L.ReLU()(deep(shared(y)))])
    model = shrinkable.moved(keras.Model([x, y], L.Dense(2, name="head")(both), name="two"))
    small = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Shrink(0.5))]))
    assert small.get_layer("d").kernel.shape == (4, 4)
    assert small.get_layer("deep").kernel.shape == (4, 3)
    assert small.get_layer("head").kernel.shape == (3, 2)


def test_a_nested_network_is_followed_to_its_outputs_and_keeps_its_inputs():
    x = keras.Input((4,))
    inner_in = keras.Input((8,))
    hidden = L.Dense(6, name="hidden")(L.ReLU()(inner_in))
    inner = keras.Model(inner_in, L.Dense(5, name="last")(hidden), name="inner")
    y = inner(L.Dense(8, name="d")(x))
    model = shrinkable.moved(keras.Model(x, L.Dense(2, name="head")(y)))
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Shrink(0.5))])
    rows = plans(model, *spec.rules)
    assert [p for p, row in rows.items() if row.steps] == ["inner.hidden", "inner.last"]
    assert "they are the inputs of 'inner'" in rows["d"].skipped[0]
    small = tfc.apply(model, spec)
    assert small.get_layer("inner").get_layer("last").kernel.shape == (3, 3)
    assert small.get_layer("head").kernel.shape == (3, 2)


def test_parts_of_a_layer_are_cut_with_what_they_are_added_to():
    x = keras.Input((4,), name="x")
    a, b = L.Dense(4, name="a")(x), L.Dense(6, name="b")(x)
    joined = L.Concatenate()([a, b, x])
    c = L.Dense(14, name="c")(x)
    model = keras.Model(x, L.Dense(2, name="head")(joined + c), name="net")
    rows = plans(model, tfc.rule(tfc.by_type("Dense"), tfc.Shrink(0.5)))
    assert rows["c"].notes == (
        "9 of 14 outputs are left",
        "4 of its units must stay: they are the inputs of 'net'",
    )
    small = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Shrink(0.5))]))
    shapes = {layer.name: layer.kernel.shape[1] for layer in small.layers if layer.weights}
    assert shapes == {"a": 2, "b": 3, "c": 9, "head": 2}


def test_operators_in_a_graph_are_followed():
    x = keras.Input((5, 4), name="x")
    y = L.Dense(8, name="d")(x)
    y = tf.nn.relu(y) * 2.0 + tf.sigmoid(y)
    y = tf.concat([tf.reduce_mean(y, axis=1), y[:, 0], y[:, -1, :]], axis=-1)
    model = shrinkable.moved(keras.Model(x, L.Dense(2, name="head")(y), name="net"))
    small = tfc.apply(model, spec_of(["d"], tfc.Shrink(0.5)))
    norms = np.linalg.norm(model.get_layer("d").kernel, axis=0)
    mask = np.zeros(8, bool)
    mask[np.argsort(-norms)[:4]] = True
    kernel = model.get_layer("head").kernel
    kernel.assign(kernel.numpy() * np.tile(mask, 3)[:, None])
    inputs = shrinkable.floats(5, 4)()
    np.testing.assert_allclose(small(inputs), model(inputs), rtol=1e-5, atol=1e-5)


def test_a_mask_of_one_channel_is_spread_over_those_that_are_left():
    x, mask = keras.Input((5, 4)), keras.Input((5, 1))
    y = tf.reduce_sum(L.Dense(8, name="d")(x) * mask, axis=1)
    model = keras.Model([x, mask], L.Dense(2, name="head")(y))
    small = tfc.apply(model, spec_of(["d"], tfc.Shrink(0.5)))
    assert small.get_layer("head").kernel.shape == (4, 2)


def test_two_tables_in_a_product_lose_the_same_dimensions():
    x, y = keras.Input((1,), dtype="int32"), keras.Input((1,), dtype="int32")
    users, items = L.Embedding(20, 8, name="users"), L.Embedding(30, 8, name="items")
    product = L.Dot(axes=1)([L.Flatten()(users(x)), L.Flatten()(items(y))])
    model = keras.Model([x, y], product)
    small = tfc.apply(model, spec_of(["users", "items"], tfc.Shrink(0.5)))
    a, b = model.get_layer("users").embeddings.numpy(), model.get_layer("items").embeddings.numpy()
    best = np.argsort(-(np.linalg.norm(a, axis=0) + np.linalg.norm(b, axis=0)))[:4]
    ids = np.arange(6)[:, None]
    expected = (a[:6, best] * b[:6, best]).sum(axis=1)
    np.testing.assert_allclose(small([ids, ids])[:, 0], expected, rtol=1e-5, atol=1e-7)


def test_a_normalization_over_positions_is_followed():
    x = keras.Input((5, 4))
    y = L.LayerNormalization(axis=1, name="n")(L.Dense(8, name="d")(x))
    model = shrinkable.moved(keras.Model(x, L.Dense(2, name="head")(y)))
    small = tfc.apply(model, spec_of(["d"], tfc.Shrink(0.5)))
    assert small.get_layer("head").kernel.shape == (4, 2)
    assert small.get_layer("n").gamma.shape == (5,)


@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_in_one_dimension_and_transposed(transposed):
    x = keras.Input((6, 6, 3) if transposed else (6, 3))
    conv = L.Conv2DTranspose(4, 3, name="c") if transposed else L.SeparableConv1D(4, 3, name="c")
    last = L.Conv2DTranspose(2, 3, name="l") if transposed else L.DepthwiseConv1D(3, name="l")
    pool = L.GlobalMaxPooling2D() if transposed else L.GlobalMaxPooling1D()
    model = shrinkable.moved(keras.Model(x, L.Dense(2)(pool(last(conv(x))))))
    small = tfc.apply(model, spec_of(["c"], tfc.Shrink(0.5)))
    assert small(np.zeros((1, *x.shape[1:]), np.float32)).shape == (1, 2)
    assert small.count_params() < model.count_params()


def test_an_initial_state_loses_the_units_of_the_layer_it_starts():
    x, z = keras.Input((5, 4)), keras.Input((3,))
    start = L.Dense(8, name="start")(z)
    y, state = L.GRU(8, return_state=True, name="g")(x, initial_state=start)
    model = shrinkable.moved(keras.Model([x, z], L.Dense(2, name="head")(y + state)))
    assert not plans(model, tfc.rule(tfc.by_name("g"), tfc.Shrink(0.5)))["g"].steps
    small = tfc.apply(model, spec_of(["g", "start"], tfc.Shrink(0.5)))
    assert small.get_layer("start").kernel.shape == (3, 4)
    assert small.get_layer("g").cell.recurrent_kernel.shape == (4, 12)


def test_reshapes_are_told_the_new_width():
    x = keras.Input((6, 4))
    y = L.Reshape((2, 3, 8), name="r")(L.Dense(8, name="d")(x))
    y = L.Reshape((48,), name="flat")(L.Permute((2, 1, 3))(y))
    model = keras.Model(x, L.Dense(2, name="head")(y))
    small = tfc.apply(model, spec_of(["d"], tfc.Shrink(0.5)))
    assert small.get_layer("r").target_shape == (2, 3, 4)
    assert small.get_layer("flat").target_shape == (24,)
    assert small.get_layer("head").kernel.shape == (24, 2)


def test_a_sequential_model_without_an_input_is_followed_once_it_was_called():
    model = keras.Sequential([L.Dense(8, name="d"), L.Dense(2, name="head")])
    with pytest.raises(tfc.SpecError, match="'d' is not built"):
        plans(model, tfc.rule(tfc.by_name("d"), tfc.Shrink(0.5)))
    model(np.zeros((1, 4), np.float32))
    small = tfc.apply(model, spec_of(["d"], tfc.Shrink(0.5)))
    assert small.get_layer("head").kernel.shape == (4, 2)


def test_after_factorizing_the_factors_are_cut():
    model = network(L.ReLU())
    techniques = (tfc.Factorize(2), tfc.Shrink(0.5), tfc.Quantize(8))
    rows = plans(model, tfc.rule(tfc.by_name("d"), *techniques))
    small = tfc.apply(model, spec_of(["d"], *techniques))
    assert rows["d"].steps == techniques
    assert [w.shape for w in rows["d"].after.weights] == [(4, 2), (2, 4)]
    assert [tuple(w.shape) for w in small.get_layer("d").weights] == [(4, 2), (2, 4), (4,)]


def test_in_place_everything_is_put_back_where_a_later_turn_fails(monkeypatch):
    from tests.contract.test_shrink_laws import HoldsATower

    model, x = HoldsATower(), shrinkable.floats(7)()
    outputs, layers = model(x).numpy(), [held.layer for held in walk(model)]

    def fail(self, layer):
        raise RuntimeError("in the last turn")

    monkeypatch.setattr(tfc.Quantize, "apply", fail)
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Shrink(0.5), tfc.Quantize(8))])
    with pytest.raises(RuntimeError, match="in the last turn"):
        tfc.apply(model, spec, in_place=True)
    assert [held.layer for held in walk(model)] == layers
    np.testing.assert_array_equal(model(x), outputs)
