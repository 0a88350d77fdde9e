"""What layers see is recorded, and weighs the errors of Factorize."""

import numpy as np
import pytest
import scipy.linalg
import small_models
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from tfcompress.calibration import Counts, SecondMoments

RNG = np.random.default_rng(0)
EXACT = tfc.OutputError(smoothing=0.0)


def one_layer(layer, *shape):
    """A model of one layer with random weights."""
    model = keras.Sequential([keras.Input(shape), layer])
    for variable in model.variables:
        variable.assign(RNG.normal(size=variable.shape))
    return model


def skewed(*shape):
    """Inputs of very different size along the last axis, and correlated."""
    size = 0.7 ** np.arange(shape[-1])
    mix = RNG.normal(size=(shape[-1],) * 2) * 0.2 + np.eye(shape[-1])
    return ((RNG.normal(size=shape) * size) @ mix).astype(np.float32)


def factorized(model, batches, technique):
    spec = tfc.Spec([tfc.rule(~tfc.by_name("nothing"), technique)])
    seen = tfc.calibrate(model, batches)
    return tfc.apply(model, spec, calibration=seen).layers[-1], seen


LAYERS = [
    (lambda: keras.layers.Dense(9), (12,)),
    (lambda: keras.layers.Dense(20), (3, 12)),  # more outputs than inputs
    (lambda: keras.layers.EinsumDense("abcd,cde->abe", (None, 8), bias_axes="e"), (4, 2, 5)),
    (lambda: keras.layers.Conv2D(7, (3, 2), strides=2, padding="same"), (6, 6, 3)),
    (lambda: keras.layers.Conv2D(7, 3, dilation_rate=2), (8, 8, 3)),
]


@pytest.mark.parametrize(("make", "shape"), LAYERS)
@pytest.mark.parametrize("rank", [1, 4])
def test_no_layer_of_the_rank_has_a_smaller_error_of_outputs(make, shape, rank):
    layer = make()
    model = one_layer(layer, *shape)
    batches = [skewed(8, *shape), skewed(5, *shape)]
    new, _ = factorized(model, batches, tfc.Factorize(rank, error=EXACT))
    plain = tfc.apply(model, tfc.Spec([tfc.rule(~tfc.by_name("x"), tfc.Factorize(rank))])).layers[
        -1
    ]
    x = np.concatenate(batches)
    outputs = (layer(x) - layer.bias).numpy()
    flat = outputs.reshape(-1, layer.bias.shape[-1])
    best = (scipy.linalg.svdvals(flat)[rank:] ** 2).sum()
    error = ((new(x) - layer(x)).numpy() ** 2).sum()
    # The outputs of a product of rank r have rank r: none comes closer than their own SVD does.
    assert error == pytest.approx(best, rel=1e-3)
    assert error < ((plain(x) - layer(x)).numpy() ** 2).sum()


def test_rows_of_a_table_weigh_as_much_as_they_are_looked_up():
    model = one_layer(keras.layers.Embedding(60, 10), 4)
    batches = [(60 * RNG.random((32, 4)) ** 3).astype(np.int32) for _ in range(3)]
    new, seen = factorized(model, batches, tfc.Factorize(3, error=EXACT))
    (counts,) = seen.inputs.values()
    ids = np.concatenate(batches).ravel()
    np.testing.assert_array_equal(counts.total, np.bincount(ids, minlength=60))
    table = model.layers[-1].embeddings.numpy()
    best = (scipy.linalg.svdvals(table[ids])[3:] ** 2).sum()
    assert ((new.embeddings.numpy()[ids] - table[ids]) ** 2).sum() == pytest.approx(best, rel=1e-3)
    unseen = counts.total == 0
    assert unseen.any()  # and they are approximated too, not forgotten
    directions = np.linalg.svd(table[ids], full_matrices=False)[2][:3]
    expected = table[unseen] @ directions.T @ directions
    np.testing.assert_allclose(new.embeddings.numpy()[unseen], expected, atol=1e-3)


def test_a_tall_table_is_weighted_the_same_through_its_gram_matrix():
    model = one_layer(keras.layers.Embedding(900, 8), 4)
    batches = [(900 * RNG.random((400, 4)) ** 3).astype(np.int32)]
    new, _ = factorized(model, batches, tfc.Factorize(3, error=EXACT))
    ids, table = batches[0].ravel(), model.layers[-1].embeddings.numpy()
    best = (scipy.linalg.svdvals(table[ids])[3:] ** 2).sum()
    assert ((new.embeddings.numpy()[ids] - table[ids]) ** 2).sum() == pytest.approx(best, rel=1e-3)


def test_energy_is_that_of_the_outputs():
    layer = keras.layers.Dense(20)
    model, x = one_layer(layer, 20), skewed(100, 20)
    new, _ = factorized(model, [x], tfc.Factorize(tfc.KeptEnergy(0.95), error=EXACT))
    energy = scipy.linalg.svdvals(x @ layer.kernel.numpy()) ** 2
    assert energy[: new.rank].sum() >= 0.95 * energy.sum() > energy[: new.rank - 1].sum()
    assert new.rank < tfc.KeptEnergy(0.95).of(layer.kernel.numpy())


def test_smoothing_between_outputs_alone_and_weights_alone():
    layer = keras.layers.Dense(9)
    model, x = one_layer(layer, 12), skewed(50, 12)
    kernel = layer.kernel.numpy()
    errors = []
    for smoothing in (0.0, 0.1, 1e6):
        new, _ = factorized(model, [x], tfc.Factorize(3, error=tfc.OutputError(smoothing)))
        change = new.kernel.numpy() - kernel
        errors.append((np.linalg.norm(x @ change), np.linalg.norm(change)))
    assert errors[0][0] < errors[1][0] < errors[2][0]
    assert errors[0][1] > errors[1][1] > errors[2][1]
    assert errors[2][1] == pytest.approx(
        np.sqrt((scipy.linalg.svdvals(kernel)[3:] ** 2).sum()), rel=1e-3
    )


# --- recording ----------------------------------------------------------------------------------


def test_every_call_of_every_layer_is_seen_and_nothing_is_changed(family):
    model = family.build()
    weights, outputs = model.get_weights(), family.outputs(model)
    seen = tfc.calibrate(model, [small_models.ids(8), small_models.ids(4)])
    table = next(one for one in seen.inputs.values() if isinstance(one, Counts))
    assert table.count == table.total.sum() == 12 * small_models.LENGTH
    calls = 2 if family.name in ("functional", "subclassed") else 1  # the shared layer's
    assert seen.inputs[family.dense].count == 12 * calls
    assert all(map(np.array_equal, model.get_weights(), weights))
    np.testing.assert_array_equal(family.outputs(model), outputs)
    assert not tf.config.functions_run_eagerly()
    assert "call" not in vars(
        next(h for h in tfc.surgery.walk(model) if h.path == family.dense).layer
    )


def test_what_a_traced_function_calls_is_seen():
    class Traced(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        @tf.function
        def call(self, inputs):
            return self.dense(inputs)

    model, x = Traced(), skewed(6, 4)
    model(x)
    seen = tfc.calibrate(model, [x, x])
    np.testing.assert_allclose(seen.inputs["dense"].total, 2 * x.T @ x, rtol=1e-5)


def test_the_projections_of_an_attention_see_what_it_gives_them():
    inputs = keras.Input((5, 16))
    attention = keras.layers.MultiHeadAttention(2, 8, name="mha")
    model, x = keras.Model(inputs, attention(inputs, inputs)), skewed(3, 5, 16)
    seen = tfc.calibrate(model, [x], tfc.by_type("EinsumDense"))
    assert len(seen.inputs) == 4
    vectors = x.reshape(-1, 16)
    for path in ("mha._query_dense", "mha._key_dense", "mha._value_dense"):
        np.testing.assert_allclose(
            seen.inputs[path].total, vectors.T @ vectors, rtol=1e-4, atol=1e-3
        )
    technique = tfc.Factorize(tfc.BudgetShare(0.5), error=EXACT)
    spec = tfc.Spec([tfc.rule(tfc.by_type("EinsumDense"), technique)])
    planned = tfc.plan(model, spec, seen)
    assert planned.bytes_after < planned.bytes_before
    assert "Factorize(rank=" in str(planned)


def test_a_model_that_is_used_in_its_own_way_says_how():
    model = small_models.two_tower()
    features = {
        "user": tf.constant(small_models.USERS[:4]),
        "item": tf.constant(small_models.NAMES[:4]),
    }
    where = tfc.by_type("Embedding")
    seen = tfc.calibrate(model, [features], where, lambda m, batch: m.compute_loss(batch))
    assert {path: one.count for path, one in seen.inputs.items()} == {
        "user_tower.table": 4,
        "item_tower.table": 4,
    }


def test_a_convolution_in_groups_is_not_recorded_and_hinders_no_other_layer():
    model = keras.Sequential(
        [
            keras.layers.Conv2D(4, 2, groups=2, input_shape=(3, 3, 4), name="groups"),
            keras.layers.Conv2D(3, 2, name="whole"),
        ]
    )
    seen = tfc.calibrate(model, [np.ones((2, 3, 3, 4), np.float32)])
    assert set(seen.inputs) == {"whole"}


def test_an_error_in_a_batch_leaves_no_trace():
    model = one_layer(keras.layers.Dense(3), 4)
    with pytest.raises(ValueError, match="incompatible"):
        tfc.calibrate(model, [np.ones((2, 5), np.float32)])
    assert "call" not in vars(model.layers[0])
    assert not tf.config.functions_run_eagerly()


def test_second_moments_add_up():
    x = RNG.normal(size=(7, 3)).astype(np.float32)
    seen = SecondMoments(3)
    seen.add(x[:4]), seen.add(x[4:])
    np.testing.assert_allclose(seen.total, x.T.astype(float) @ x, rtol=1e-6)
    product = seen.weighed(np.eye(3), 0.0)
    np.testing.assert_allclose(product.T @ product, seen.total / 7, atol=1e-9)


# --- what cannot be -----------------------------------------------------------------------------


def dense_spec(technique=None):
    return tfc.Spec([tfc.rule(tfc.by_type("Dense"), technique or tfc.Factorize(2, error=EXACT))])


@pytest.mark.parametrize("act", [tfc.plan, tfc.apply])
def test_without_a_calibration_it_fails_before_the_first_change(act):
    model = small_models.sequential()
    with pytest.raises(tfc.SpecError, match="layer 'hidden', and no calibration.*calibration=tfc"):
        act(model, dense_spec())
    seen = tfc.calibrate(model, [small_models.ids()], where=tfc.by_name("head"))
    with pytest.raises(tfc.SpecError, match="layer 'hidden', and no calibration of it"):
        act(model, dense_spec(), calibration=seen)


def test_a_layer_that_was_not_called_is_skipped():
    class Unused(keras.Model):
        def __init__(self):
            super().__init__()
            self.used, self.unused = keras.layers.Dense(9), keras.layers.Dense(9)
            self.unused.build((None, 9))

        def call(self, inputs):
            return self.used(inputs)

    model, x = Unused(), skewed(5, 9)
    model(x)
    planned = tfc.plan(model, dense_spec(), calibration=tfc.calibrate(model, [x]))
    rows = {row.path: row for row in planned.layers}
    assert "it was not called in the calibration" in rows["unused"].skipped[0]
    assert rows["used"].steps


REFUSED = [
    (lambda m: tfc.calibrate(m, []), "received no batches"),
    (
        lambda m: tfc.calibrate(m, [1], tfc.by_name("nowhere")),
        "found no layer to record with where=ByName",
    ),
    (lambda m: tfc.OutputError(-1), "smoothing=-1; expected 0 or more"),
    (
        lambda m: tfc.Factorize(2, tfc.Spatial(), tfc.OutputError()),
        "with conv=Spatial.*expected Channelwise",
    ),
    (lambda m: tfc.Factorize(2, conv=3), r"conv=3; expected Channelwise\(\) or Spatial"),
    (lambda m: tfc.Factorize(2, error=3), r"error=3; expected WeightError\(\) or OutputError"),
    (lambda m: EXACT.spectrum(np.eye(2), None), "received no inputs; expected what the layer saw"),
]


@pytest.mark.parametrize(("act", "message"), REFUSED)
def test_what_cannot_be_meant_is_refused(act, message):
    with pytest.raises(tfc.SpecError, match=message):
        act(small_models.sequential())
