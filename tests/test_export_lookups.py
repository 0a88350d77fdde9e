"""Lookups of tokens in exported models: what is lifted, what is refused, what ids may be."""

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tf_keras as keras
from flatbuffers import number_types, table
from lookup_models import LENGTH, NAMES, subclassed

import tfcompress as tfc
from tfcompress.export import flatbuffer, metadata

layers = keras.layers
ENDS = np.iinfo(np.int32)
FOUR_BITS = tfc.Spec([tfc.rule(tfc.by_type("Embedding"), tfc.Quantize(4))])
TEXT = tf.TensorSpec([1, LENGTH], tf.string)


def score(model, user, item):
    """Both towers of the TFRS tutorial's model, the user's traced by a function of its own."""
    users = tf.function(model.user_tower)(user)
    return {"score": tf.reduce_sum(users * model.item_tower(item[:, 0]), -1)}


@pytest.fixture(scope="module")
def two_tower(tmp_path_factory):
    signature = {"user": tf.TensorSpec([1], tf.string), "item": tf.TensorSpec([1, 2], tf.string)}
    model = tfc.apply(small_models.two_tower(), FOUR_BITS)
    folder = tmp_path_factory.mktemp("towers") / "m"
    return model, tfc.export(model, folder, {"score": tfc.Signature(score, signature)})


def test_signatures_of_a_tfrs_model_take_ids(two_tower):
    model, made = two_tower
    rows = {row["layer"].split(".")[0]: row for row in made.report["lookups"]}
    assert rows["user_tower"]["inputs"] == ["score.user"]
    assert rows["item_tower"]["inputs"] == ["score.item"] and rows["item_tower"]["size"] == 41
    assert "Lookups that the app does" in str(made) and "score.item" in str(made)
    found, lite = tfc.read_vocabularies(made.model)["score"], tfc.LiteModel(made.model)
    for user, item in (("user 3", "item 7"), ("nobody", "item 39")):
        tokens = {"user": np.array([user]), "item": np.array([[item, "x"]])}
        ids = {name: found[name](value) for name, value in tokens.items()}
        expected = score(model, **{k: tf.constant(v) for k, v in tokens.items()})["score"]
        np.testing.assert_allclose(lite.run("score", ids)["score"], expected, rtol=0.05, atol=1e-3)


def test_metadata_names_inputs_and_their_files(two_tower):
    content = two_tower[1].model.read_bytes()
    model = flatbuffer.read(content)
    entry = next(e for e in model.metadata if e.name == metadata.ENTRY)
    data = bytes(bytearray(model.buffers[entry.buffer].data))
    assert data[4:8] == b"M001"
    root = table.Table(data, int.from_bytes(data[:4], "little"))
    assert text(root, 7) == "1.0.1"
    (graph,) = many(root, 3)
    tensors = {text(one, 0): one for one in many(graph, 2)}
    assert set(tensors) == {"user", "item"} and len(many(graph, 3)) == 1
    (file,) = many(tensors["user"], 6)
    assert text(file, 0).startswith("user_tower.") and text(file, 0).endswith(".vocabulary.txt")
    assert file.Get(number_types.Int8Flags, file.Pos + file.Offset(8)) == metadata.VOCABULARY
    assert {text(one, 0) for one in many(root, 6)} == set(metadata.attached(content))


def text(row, slot):
    place = row.Offset(4 + 2 * slot)
    return row.String(row.Pos + place).decode() if place else ""


def many(row, slot):
    place = row.Offset(4 + 2 * slot)
    start, count = row.Vector(place), row.VectorLen(place)
    return [table.Table(row.Bytes, row.Indirect(start + 4 * i)) for i in range(count)]


@pytest.mark.parametrize(("lookup", "default"), [("string", 0), ("masked", 1), ("salted", 0)])
def test_malformed_ids_give_the_default(lookup, default, tmp_path):
    model = tfc.apply(subclassed(lookup), FOUR_BITS)
    signature = {"serve": tfc.Signature(lambda m, x: m(x), {"x": TEXT})}
    made = tfc.export(model, tmp_path / "m", signature, tolerance=0.05)
    lite, (name,) = tfc.LiteModel(made.model), tfc.read_vocabularies(made.model)["serve"]
    assert made.report["lookups"][0]["default"] == default
    size = made.report["lookups"][0]["size"]
    run = lambda ids: lite.run("serve", {name: np.array([ids], np.int32)})["output"]  # noqa: E731
    for wrong in (-1, size, ENDS.min, ENDS.max):
        expected = run([3, default, size - 1, 2, default])
        np.testing.assert_array_equal(run([3, wrong, size - 1, 2, wrong]), expected)


@pytest.mark.parametrize("technique", [None, tfc.Quantize(8), tfc.Quantize(4), tfc.Code(4, 8)])
def test_a_table_without_a_lookup_refuses_ids_that_it_has_not(technique, tmp_path):
    model = keras.Sequential([keras.Input((2,), dtype="int32", name="x"), layers.Embedding(20, 8)])
    if technique:
        model = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Embedding"), technique)]))
    lite = tfc.LiteModel(tfc.export(model, tmp_path / "m").model)
    for wrong in (-1, 20, ENDS.min, ENDS.max):
        with pytest.raises(tfc.ExportError, match="could not run 'serve'.*out of bounds"):
            lite.run("serve", {"x": np.array([[1, wrong]], np.int32)})


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.StringLookup(vocabulary=NAMES, output_mode="multi_hot", mask_token=""),
        lambda: layers.Hashing(12, output_mode="count", mask_value=""),
    ],
    ids=["multi_hot", "count"],
)
def test_layers_that_count_tokens_count_their_ids(layer, tmp_path):
    model = keras.Sequential(
        [keras.Input((LENGTH,), dtype="string", name="x"), layer(), layers.Dense(3)]
    )
    made = tfc.export(model, tmp_path / "m")
    assert made.report["lookups"][0]["default"] == -1
    assert {"ONE_HOT", "FULLY_CONNECTED"} <= set(made.report["operators"])
    assert all(one["deviation"] < 1e-5 for one in made.report["verification"])


def test_categories_are_counted_in_a_file(tmp_path):
    x = keras.Input((LENGTH,), dtype="int32", name="x")
    outputs = [layers.CategoryEncoding(7, mode)(x) for mode in ("multi_hot", "count")]
    made = tfc.export(keras.Model(x, layers.Concatenate()(outputs)), tmp_path / "m")
    assert made.report["verification"][0]["deviation"] < 1e-6


class Odd(keras.Model):
    """A model that does with its texts what `function` says."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.lookup = layers.StringLookup(vocabulary=NAMES, name="first")
        self.other = layers.StringLookup(vocabulary=NAMES[:5], name="second")
        self.tokens = layers.StringLookup(vocabulary=NAMES, invert=True)
        self.whole = layers.IntegerLookup(vocabulary=[4, 9])
        self.table = layers.Embedding(40, 4)

    def call(self, inputs):
        return self.function(self, inputs)


REFUSED = {
    "reads in 'serve' what the model computes": lambda m, x: m.table(m.lookup(tf.strings.lower(x))),
    r"read by the lookups \['lookup', 'other'\]": lambda m, x: (
        m.table(m.lookup(x)) + m.table(m.other(x))
    ),
    "'x' of 'serve' is text, and no lookup reads it": lambda m, x: m.table(
        tf.strings.to_hash_bucket_fast(x, 20)
    ),
    "nothing else can read it as text": lambda m, x: (
        m.table(m.lookup(x)) * tf.cast(x == "", tf.float32)[..., None]
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_ids_cannot_stand_for_is_refused(message, tmp_path):
    model = Odd(REFUSED[message])
    model.tokens = None
    model(tf.constant([NAMES[:LENGTH]]))
    signature = {"serve": tfc.Signature(lambda m, x: m(x), {"x": TEXT})}
    with pytest.raises(tfc.ExportError, match=message):
        tfc.export(model, tmp_path / "m", signature)
    assert not (tmp_path / "m").exists()


def test_an_integer_that_is_used_otherwise_as_well_is_refused(tmp_path):
    model = Odd(lambda m, x: m.table(m.whole(x)) + tf.cast(x, tf.float32)[..., None])
    model.tokens = None
    model(tf.constant([[4, 7]]))
    signature = tfc.Signature(lambda m, x: m(x), {"x": tf.TensorSpec([1, 2], tf.int64)})
    with pytest.raises(tfc.ExportError, match="'x' of 'serve' is read by a lookup and used other"):
        tfc.export(model, tmp_path / "m", {"serve": signature})


def test_a_lookup_that_gives_tokens_is_refused(tmp_path):
    model = Odd(lambda m, x: m.table(m.lookup(x)))
    model(tf.constant([NAMES[:LENGTH]]))
    signature = {"serve": tfc.Signature(lambda m, x: m(x), {"x": TEXT})}
    with pytest.raises(tfc.ExportError, match="'tokens' is a StringLookup with invert=True"):
        tfc.export(model, tmp_path / "m", signature)


def test_tokens_in_the_code_of_a_model_are_ids_in_its_file(tmp_path):
    model = Odd(lambda m, x: m.table(m.lookup(x)) + m.table(m.lookup(tf.constant([["item 4"]]))))
    model.tokens = None
    model(tf.constant([NAMES[:LENGTH]]))
    signature = {"serve": tfc.Signature(lambda m, x: m(x), {"x": TEXT})}
    made = tfc.export(model, tmp_path / "m", signature)
    assert made.report["verification"][0]["deviation"] < 1e-5


def test_a_signature_that_takes_no_marks_says_so(tmp_path):
    def strict(model, x):
        tf.debugging.assert_equal(x, "item 1")
        return model(x)

    with pytest.raises(tfc.ExportError, match="could not be called to find out which inputs"):
        tfc.export(subclassed("string"), tmp_path / "m", {"a": tfc.Signature(strict, {"x": TEXT})})
