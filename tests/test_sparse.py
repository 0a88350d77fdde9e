"""save_sparse and load_sparse: few bytes, exact to the last bit, whole or not at all."""

import os

import numpy as np
import pytest
import small_models
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.sparse import checkpoint, codec
from tfcompress.surgery import walk

DTYPES = ["float32", "float16", "float64", "int8", "int64", "uint8", "bool"]


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 3000), st.floats(0, 1), st.sampled_from(DTYPES), st.integers(0, 99))
def test_every_encoding_gives_back_the_very_bits(size, share, dtype, seed):
    rng = np.random.default_rng(seed)
    dense = (rng.random(size) >= share).astype(dtype)
    values = (rng.integers(1, 100, size).astype(dtype) * dense).astype(dtype)
    name, where, entries = codec.encode(values)
    present = codec.ENCODINGS[name].read(where, size)
    again = codec.decode(present, entries, values.dtype, values.shape)
    assert again.tobytes() == values.tobytes()
    assert len(where) + len(entries) <= values.nbytes
    for way in (codec.Bits(), codec.Gaps()):
        nonzero = values != 0
        np.testing.assert_array_equal(way.read(way.write(nonzero), size), nonzero)


def test_minus_zero_nan_and_infinity_are_entries():
    values = np.array([0.0, -0.0, np.nan, np.inf, 1e-45] + [0.0] * 50, np.float32)
    name, where, entries = codec.encode(values)
    present = codec.ENCODINGS[name].read(where, values.size)
    assert codec.decode(present, entries, values.dtype, values.shape).tobytes() == values.tobytes()
    assert present.sum() == 4


@pytest.mark.parametrize(("share", "name"), [(0.0, "dense"), (0.5, "bits"), (0.99, "gaps")])
def test_the_smallest_encoding_is_taken(share, name):
    rng = np.random.default_rng(0)
    values = np.where(rng.random(10_000) < share, 0.0, rng.normal(size=10_000)).astype(np.float32)
    assert codec.encode(values)[0] == name


def test_content_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="2 bytes of bits for 30 entries"):
        codec.Bits().read(b"ab", 30)
    with pytest.raises(ValueError, match="an entry at 10 of 5"):
        codec.Gaps().read(bytes([10]), 5)
    with pytest.raises(ValueError, match="1 entries for 2 places"):
        codec.decode(np.ones(2, bool), bytes(4), np.float32, (2,))


SPECS = {
    "plain": (),
    "pruned": (tfc.Prune(0.9),),
    "pruned, 4 bits": (tfc.Prune(0.8, (2, 1)), tfc.Quantize(4)),
    "below a limit": (tfc.Sparsify(tfc.OfMean(1.5)),),
    "by chance": (tfc.Sparsify(tfc.ByProbability(0.9, rescale=True)),),
    "on a schedule": (tfc.Prune(0.9, schedule=tfc.ConstantSparsity(0, frequency=1)),),
}


def student_of(family, techniques):
    model = family.build()
    kinds = tfc.by_type("Dense") | tfc.by_type("Embedding")
    return tfc.apply(model, tfc.Spec([tfc.rule(kinds, *techniques)])) if techniques else model


@pytest.mark.parametrize("name", SPECS)
def test_a_trained_model_is_saved_and_loaded(family, name, tmp_path):
    student = student_of(family, SPECS[name])
    family.compiled(student).fit(family.data(), verbose=0)
    size = tfc.save_sparse(student, tmp_path / "deep" / "weights.sparse")
    assert size == (tmp_path / "deep" / "weights.sparse").stat().st_size
    assert os.listdir(tmp_path / "deep") == ["weights.sparse"]
    fresh = student_of(family, SPECS[name])
    for variable in fresh.variables:
        variable.assign(variable * 0)
    tfc.load_sparse(fresh, tmp_path / "deep" / "weights.sparse")
    np.testing.assert_array_equal(family.outputs(fresh), family.outputs(student))
    for one, other in zip(walk(fresh), walk(student), strict=True):
        if "Dense" in one.info.types:
            kernels = np.array(one.layer.kernel), np.array(other.layer.kernel)
            np.testing.assert_array_equal(*kernels)
    if name in ("plain", "on a schedule"):  # weights under such a mask may come back
        assert all(map(np.array_equal, fresh.get_weights(), student.get_weights()))
    family.compiled(fresh).fit(family.data(), verbose=0)


def large(*techniques):
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.layers.Dense(256, input_shape=(256,), name="head")])
    return tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), *techniques)]))


@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_only_what_is_not_zero_takes_bytes_and_plan_says_how_many(sparsity, tmp_path):
    student = large(tfc.Prune(sparsity))
    size = tfc.save_sparse(student, tmp_path / "w")
    (row,) = tfc.plan(student, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(32))])).layers
    planned = row.to_data()["sparse_bytes"]
    header = 700
    assert planned * 0.9 - header < size <= planned + header
    assert planned < row.before.bytes * (1 - sparsity + 0.04)


def test_a_mask_takes_no_bytes_of_its_own(tmp_path):
    student = large(tfc.Prune(0.9))
    tfc.save_sparse(student, tmp_path / "w")
    header, _ = checkpoint._read(tmp_path / "w")
    (mask,) = [row for row in header["weights"] if "like" in row]
    assert mask["bytes"] == [0, 0]
    # A weight that was kept and is zero now stays in the mask, which then is written.
    kernel = student.get_layer("head").layer.kernel
    values = np.array(student.get_layer("head").kernel)
    place = tuple(np.argwhere(values)[0])
    values[place] = 0.0
    kernel.assign(values)
    tfc.save_sparse(student, tmp_path / "w")
    fresh = large(tfc.Prune(0.9))
    tfc.load_sparse(fresh, tmp_path / "w")
    assert fresh.get_layer("head").transforms["kernel"][0]._mask.numpy()[place] == 1.0


def test_what_does_not_fit_leaves_the_model_as_it_was(tmp_path):
    student = large(tfc.Prune(0.9))
    tfc.save_sparse(student, tmp_path / "w")
    other = small_models.sequential()
    before = other.get_weights()
    with pytest.raises(tfc.ExportError, match="holds 4 weights, and the model has 5"):
        tfc.load_sparse(other, tmp_path / "w")
    narrow = keras.Sequential([keras.layers.Dense(3, input_shape=(256,))])
    narrow = tfc.apply(narrow, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.9))]))
    with pytest.raises(tfc.ExportError, match=r"holds float32 \[256, 256\] as .*head.* \[256, 3\]"):
        tfc.load_sparse(narrow, tmp_path / "w")
    with pytest.raises(tfc.ExportError, match="Could not read"):
        tfc.load_sparse(other, tmp_path / "missing")
    content = (tmp_path / "w").read_bytes()
    for place in (30, len(content) - 1):
        broken = bytearray(content)
        broken[place] ^= 1
        (tmp_path / "broken").write_bytes(bytes(broken))
        with pytest.raises(tfc.ExportError, match="is damaged"):
            tfc.load_sparse(student, tmp_path / "broken")
    (tmp_path / "cut").write_bytes(content[:-100])
    with pytest.raises(tfc.ExportError, match="is damaged"):
        tfc.load_sparse(student, tmp_path / "cut")
    (tmp_path / "text").write_text("weights")
    with pytest.raises(tfc.ExportError, match="was not written by save_sparse"):
        tfc.load_sparse(student, tmp_path / "text")
    assert all(map(np.array_equal, other.get_weights(), before))


def test_a_file_stays_what_it_was_where_writing_fails(tmp_path, monkeypatch):
    student = large(tfc.Prune(0.9))
    tfc.save_sparse(student, tmp_path / "w")
    before = (tmp_path / "w").read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        tfc.save_sparse(student, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == before
    assert os.listdir(tmp_path) == ["w"]


def test_weights_that_are_no_numbers_are_refused():
    with pytest.raises(tfc.ExportError, match="holds object; expected numbers"):
        checkpoint._written("names", np.array(["a"], object), None)


# --- vocabularies -------------------------------------------------------------------------------


def reads_tokens(kind, tokens=(), **more):
    """A lookup, adapted to tokens if there are any, and a table behind it."""
    lookup = kind(name="lookup", max_tokens=8, **more)
    if len(tokens):
        lookup.adapt(np.array(tokens))
    inputs = keras.Input((2,), dtype="string" if kind is keras.layers.StringLookup else "int64")
    rows = keras.layers.Embedding(8, 4, name="table")(lookup(inputs))
    return keras.Model(inputs, rows)


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [
        (keras.layers.StringLookup, ["ä", "b", "b", "c"]),
        (keras.layers.IntegerLookup, [700, -3, 700, 12]),
    ],
)
def test_an_adapted_vocabulary_is_saved_with_the_weights(kind, tokens, tmp_path):
    first, second = reads_tokens(kind, tokens), reads_tokens(kind)
    tfc.save_sparse(first, tmp_path / "w")
    tfc.load_sparse(second, tmp_path / "w")
    x = np.array([tokens[:2], tokens[2:]])
    np.testing.assert_array_equal(second(x), first(x))
    again = second.get_layer("lookup").get_vocabulary()
    assert list(again) == list(first.get_layer("lookup").get_vocabulary())


def test_other_lookups_are_refused(tmp_path):
    first = reads_tokens(keras.layers.StringLookup, ["a", "b"])
    tfc.save_sparse(first, tmp_path / "w")
    other = keras.Sequential([keras.layers.Embedding(8, 4, input_length=2)])
    before = other.get_weights()
    with pytest.raises(tfc.ExportError, match=r"the vocabularies of \['lookup'\], and the model"):
        tfc.load_sparse(other, tmp_path / "w")
    np.testing.assert_array_equal(other.get_weights()[0], before[0])
