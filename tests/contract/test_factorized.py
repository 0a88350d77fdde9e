"""The laws for what Factorize alone does: convolutions, einsum layers, and calibrated factors."""

import numpy as np
import pytest
import small_models
import tf_keras as keras

import tfcompress as tfc
from tfcompress.export.find import stored_weights
from tfcompress.keras import tf
from tfcompress.surgery import walk

RNG = np.random.default_rng(3)
IMAGE, SEQUENCE = (8, 9, 6), (5, 16)


@small_models.register
class Images(keras.Model):
    """Two convolutions in a list, one in a nested network, and what is made of them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = [
            keras.layers.Conv2D(12, 3, padding="same", activation="relu", name="first"),
            keras.layers.Conv2D(16, (3, 5), strides=2, name="second"),
        ]
        self.tail = keras.Sequential([keras.layers.Conv2D(10, 2, use_bias=False, name="third")])
        self.head = keras.layers.Dense(4, name="head")

    def call(self, inputs):
        for step in self.steps:
            inputs = step(inputs)
        return self.head(tf.reduce_mean(self.tail(inputs), [1, 2]))

    def get_config(self):
        return {"name": self.name}


def images():
    keras.utils.set_random_seed(7)
    model = Images(name="images")
    model(np.zeros((1, *IMAGE), np.float32))
    return model


def sequences():
    """Heads in and out, as an attention has them, in a Functional model; one layer is shared."""
    keras.utils.set_random_seed(8)
    inputs = keras.Input(SEQUENCE)
    heads = keras.layers.EinsumDense("abc,cde->abde", (None, 4, 6), bias_axes="de", name="heads")
    both = heads(inputs) + heads(-inputs) * 0.5
    out = keras.layers.EinsumDense("abcd,cde->abe", (None, 16), bias_axes="e", name="out")(both)
    return keras.Model(inputs, keras.layers.Dense(4, name="head")(out), name="sequences")


MODELS = {"images": (images, IMAGE, "Conv2D"), "sequences": (sequences, SEQUENCE, "EinsumDense")}
OUTPUTS = tfc.OutputError()
SETTINGS = {
    "rank": (tfc.Factorize(3),),
    "spatial": (tfc.Factorize(3, tfc.Spatial()),),
    "budget": (tfc.Factorize(tfc.BudgetShare(0.5)),),
    "budget of outputs": (tfc.Factorize(tfc.BudgetShare(0.5), error=OUTPUTS),),
    "pruned": (tfc.Factorize(3), tfc.Prune(0.5)),
    "8 bits": (tfc.Factorize(4, error=OUTPUTS), tfc.Quantize(8)),
    "4 bits": (tfc.Factorize(4, tfc.Spatial()), tfc.Prune(0.5), tfc.Quantize(4, tfc.PerTensor())),
}
NEUTRAL = [
    tfc.Factorize(tfc.Fraction(1.0)),
    tfc.Factorize(tfc.Fraction(1.0), tfc.Spatial()),
    tfc.Factorize(tfc.ByteBudget(10**9)),
    tfc.Factorize(tfc.BudgetShare(1.0), error=OUTPUTS),
    tfc.Factorize(tfc.Fraction(1.0), error=OUTPUTS),
]
every_model = pytest.mark.parametrize("name", MODELS)
every_setting = pytest.mark.parametrize("setting", SETTINGS)


def data(name, count=8):
    return np.random.default_rng(1).normal(size=(count, *MODELS[name][1])).astype(np.float32)


def compressed(name, techniques, model=None):
    make, _, kind = MODELS[name]
    model = model or make()
    spec = tfc.Spec([tfc.rule(tfc.by_type(kind), *techniques)])
    return tfc.apply(model, spec, calibration=tfc.calibrate(model, [data(name)]))


@every_model
@every_setting
def test_law_1_the_old_model_is_as_it_was_while_the_new_one_trains(name, setting):
    model, x = MODELS[name][0](), data(name)
    weights, outputs = model.get_weights(), model(x).numpy()
    student = compressed(name, SETTINGS[setting], model)
    assert student.count_params() != model.count_params()
    student.compile("adam", "mse")
    student.fit(x, np.zeros_like(outputs), verbose=0)
    assert all(map(np.array_equal, model.get_weights(), weights))
    np.testing.assert_array_equal(model(x), outputs)


@every_model
@every_setting
def test_law_2_every_layer_is_done_or_skipped_and_the_plan_says_what_will_be(name, setting):
    make, _, kind = MODELS[name]
    model = make()
    spec = tfc.Spec([tfc.rule(tfc.by_type(kind), *SETTINGS[setting])])
    planned = tfc.plan(model, spec, tfc.calibrate(model, [data(name)]))
    assert all(bool(row.steps) != bool(row.skipped) for row in planned.layers)
    assert any(row.steps for row in planned.layers)
    rows = {row.path: row for row in planned.layers}
    student = compressed(name, SETTINGS[setting], model)
    nothing = tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Quantize(32))])
    for row in tfc.plan(student, nothing).layers:
        assert row.before.bytes == rows[row.path].after.bytes
        assert row.before.kind == rows[row.path].after.kind
    assert planned.bytes_after < planned.bytes_before


@every_model
@every_setting
def test_law_4_spec_layers_and_model_survive_their_round_trip(name, setting, tmp_path):
    spec = tfc.Spec([tfc.rule(tfc.by_type(MODELS[name][2]), *SETTINGS[setting])])
    assert tfc.Spec.from_json(spec.to_json()) == spec
    student, x = compressed(name, SETTINGS[setting]), data(name)
    for held in walk(student):
        if type(held.layer).__module__.startswith("tfcompress"):
            again = keras.layers.deserialize(keras.layers.serialize(held.layer))
            assert again.get_config() == held.layer.get_config()
    for variable in student.trainable_variables:
        variable.assign_add(RNG.normal(0, 0.1, variable.shape))
    student.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras")(x), student(x))


@every_model
@pytest.mark.parametrize("technique", NEUTRAL, ids=repr)
def test_law_5_a_neutral_setting_leaves_the_outputs_as_they_are(name, technique):
    model, x = MODELS[name][0](), data(name)
    np.testing.assert_array_equal(compressed(name, [technique], model)(x), model(x))


@every_model
@pytest.mark.parametrize("setting", ["4 bits", "8 bits", "pruned"])
def test_law_6_any_order_gives_the_result_of_the_canonical_order(name, setting):
    model, x, techniques = MODELS[name][0](), data(name), SETTINGS[setting]
    first = compressed(name, techniques, model)
    np.testing.assert_array_equal(compressed(name, techniques[::-1], model)(x), first(x))


@every_model
@every_setting
def test_law_7_what_training_saw_is_what_ships(name, setting, tmp_path):
    student, x = compressed(name, SETTINGS[setting]), data(name)
    student.compile("adam", "mse")
    student.fit(x, np.zeros_like(student(x)), verbose=0)
    inputs = {"x": tf.TensorSpec([1, *x.shape[1:]], tf.float32)}
    calls = [{"x": one[None]} for one in x]
    signature = {"serve": tfc.Signature(lambda m, x: m(x), inputs)}
    made = tfc.export(student, tmp_path / "m", signature, {"serve": calls}, tolerance=0.05)
    lite = tfc.LiteModel(made.model)
    shipped = np.concatenate([lite.run("serve", one)["output"] for one in calls])
    seen = np.concatenate([student(one["x"]).numpy() for one in calls])
    deviation = np.linalg.norm(shipped - seen) / np.linalg.norm(seen)
    assert deviation < (0.03 if stored_weights(student) else 1e-5)
    # What the folder says was done makes the same layers of a plain model again.
    spec = tfc.Spec.from_json((made.folder / "spec.json").read_text())
    again = tfc.apply(MODELS[name][0](), spec)
    assert [w.shape for w in again.weights] == [w.shape for w in student.weights]


@every_model
@every_setting
def test_law_8_the_kernel_read_from_outside_is_the_compressed_one(name, setting):
    student, x = compressed(name, SETTINGS[setting]), data(name)
    path = "steps.0" if name == "images" else "heads"
    held = next(h.layer for h in walk(student) if h.path == path)
    kernel = np.array(held.kernel)
    if name == "images":
        expected = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME"))
    else:
        expected = tf.einsum("abc,cde->abde", x, kernel)
    np.testing.assert_allclose(held(x), expected, rtol=1e-4, atol=1e-5)


# --- calibrated, on every kind of model ---------------------------------------------------------

CALIBRATED = [
    tfc.Factorize(3, error=OUTPUTS),
    tfc.Factorize(tfc.KeptEnergy(0.6), error=OUTPUTS),
    tfc.Factorize(tfc.BudgetShare(0.6), error=tfc.OutputError(0.0)),
]


@pytest.mark.parametrize("layer", ["Dense", "Embedding"])
@pytest.mark.parametrize("technique", CALIBRATED, ids=repr)
def test_calibrated_factors_keep_the_laws(family, layer, technique, tmp_path):
    model = family.build()
    weights, outputs = model.get_weights(), family.outputs(model)
    seen = tfc.calibrate(model, [small_models.ids()])
    spec = tfc.Spec([tfc.rule(tfc.by_type(layer), technique)])
    student = tfc.apply(model, spec, calibration=seen)
    assert student.count_params() < model.count_params()  # 2
    family.compiled(student).fit(family.data(), verbose=0)
    assert all(map(np.array_equal, model.get_weights(), weights))  # 1
    np.testing.assert_array_equal(family.outputs(model), outputs)
    with pytest.raises(tfc.SpecError, match="no calibration"):  # 3
        tfc.apply(model, spec)
    assert tfc.Spec.from_json(spec.to_json()) == spec  # 4
    student.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(family.outputs(loaded), family.outputs(student))
