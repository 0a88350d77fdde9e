"""tfcompress.export.vocabularies: ids as Keras's layers give them, and read back from a file."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.export.attachments import INDEX, files_of, read_vocabularies
from tfcompress.export.lookups import vocabulary_of
from tfcompress.export.metadata import attached

layers = keras.layers
TERMS = ["a", "b b", "zü", "[x]", "\N{SNOWMAN}"]
texts = st.lists(st.one_of(st.sampled_from([*TERMS, "", "[UNK]"]), st.text(max_size=6)))
numbers = st.lists(st.one_of(st.sampled_from([5, -7, 0]), st.integers(-(2**40), 2**40)))
STRINGS = [
    layers.StringLookup(vocabulary=TERMS),
    layers.StringLookup(vocabulary=TERMS, mask_token="", num_oov_indices=4),
    layers.StringLookup(vocabulary=TERMS, mask_token="a a", oov_token="?"),
    layers.Hashing(13),
    layers.Hashing(13, mask_value=""),
    layers.Hashing(1, mask_value=""),
    layers.Hashing(13, salt=[3, 2**40]),
    layers.Hashing(13, mask_value="a", salt=7),
]
INTEGERS = [
    layers.IntegerLookup(vocabulary=[5, -7, 2**33]),
    layers.IntegerLookup(vocabulary=[5, -7], mask_token=0, num_oov_indices=3),
    layers.Hashing(9),
    layers.Hashing(9, mask_value=5),
    layers.Hashing(9, salt=2),
]


def same(layer, tokens, dtype):
    found = vocabulary_of(layer, "lookup")
    if tokens:
        expected = layer(tf.constant([tokens], dtype)).numpy()
        np.testing.assert_array_equal(found([tokens]), expected)
        assert found([tokens]).dtype == np.int32
        assert expected.min() >= 0 and expected.max() < found.size
    assert found([]).shape == (0,)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(STRINGS), texts)
def test_texts_get_the_ids_that_keras_gives(layer, tokens):
    same(layer, tokens, tf.string)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(INTEGERS), numbers)
def test_integers_get_the_ids_that_keras_gives(layer, tokens):
    same(layer, tokens, tf.int64)


def test_bytes_that_are_no_text_are_hashed_as_they_are():
    layer = layers.Hashing(1000)
    tokens = np.array([b"\xff\xfe", b"a"], dtype=object)
    np.testing.assert_array_equal(vocabulary_of(layer, "x")(tokens), layer(tf.constant(tokens)))


def test_a_token_without_an_id_is_an_error():
    found = vocabulary_of(layers.StringLookup(vocabulary=["a"], num_oov_indices=0), "genre")
    with pytest.raises(tfc.ExportError, match="genre received the token 'b'.*expected one of its"):
        found(["a", "b"])
    assert found.default == 0


def siphash(key, message):
    """SipHash-2-4 (Aumasson and Bernstein, 2012), written from the paper."""
    full = 2**64 - 1
    turn = lambda x, by: (x << by | x >> (64 - by)) & full  # noqa: E731
    v = [c ^ key[i % 2] for i, c in enumerate(
        (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    )]  # fmt: skip

    def rounds(count):
        for _ in range(count):
            for a, b, by, half in ((0, 1, 13, True), (2, 3, 16, False)):
                v[a] = (v[a] + v[b]) & full
                v[b] = turn(v[b], by) ^ v[a]
                if half:
                    v[a] = turn(v[a], 32)
            for a, b, by, half in ((0, 3, 21, False), (2, 1, 17, True)):
                v[a] = (v[a] + v[b]) & full
                v[b] = turn(v[b], by) ^ v[a]
                if half:
                    v[a] = turn(v[a], 32)

    padded = message + b"\0" * (7 - len(message) % 8) + bytes([len(message) % 256])
    for place in range(0, len(padded), 8):
        word = int.from_bytes(padded[place : place + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def test_the_salted_hash_is_the_one_that_the_file_names():
    tokens = ["", "a", "item 12345678"]
    found = vocabulary_of(layers.Hashing(97, salt=[3, 2**40]), "x")
    assert found.to_data()["hash"] == "siphash-2-4"
    expected = [siphash((3, 2**40), token.encode()) % 97 for token in tokens]
    assert found(tokens).tolist() == expected


def test_a_list_has_a_line_for_each_id():
    found = vocabulary_of(
        layers.StringLookup(vocabulary=["a", "b c"], mask_token=""), "towers/x.lookup"
    )
    index, tokens = files_of({"serve": {"x": found}})
    assert tokens.name == "towers_x.lookup.vocabulary.txt"
    assert tokens.content == b"\n[UNK]\na\nb c\n"
    assert found(["b c"]).tolist() == [tokens.content.decode().split("\n").index("b c")]
    assert index.name == INDEX


@pytest.mark.parametrize(
    ("lookup", "ending"),
    [
        (
            lambda: layers.StringLookup(vocabulary=["a\nb", "\r", "c\u2028"], num_oov_indices=2),
            "json",
        ),
        (
            lambda: layers.StringLookup(vocabulary=["a", " b ", "", "\u00e4"], mask_token=None),
            "txt",
        ),
    ],
)
def test_tokens_of_any_kind_are_read_back(lookup, ending, tmp_path):
    layer = lookup()
    model = keras.Sequential(
        [keras.Input((2,), dtype="string", name="x"), layer, layers.Embedding(9, 4)]
    )
    made = tfc.export(model, tmp_path / "m")
    found = read_vocabularies(made.model)["serve"]["x"]
    assert list(found.terms) == layer.get_vocabulary(include_special_tokens=False)
    beside = {path.name: path.read_bytes() for path in made.folder.iterdir()}
    inside = attached(made.model.read_bytes())
    assert any(name.endswith(f".vocabulary.{ending}") for name in inside)
    assert all(beside[name] == content for name, content in inside.items())


def test_a_version_that_is_not_known_is_refused(tmp_path):
    from tfcompress.export.metadata import DESCRIPTIONS, Attached, _zipped

    file = Attached(INDEX, b'{"version": 9}', "", DESCRIPTIONS)
    (tmp_path / "x.tflite").write_bytes(_zipped(b"", [file]))
    with pytest.raises(tfc.ExportError, match="version 9; expected 1"):
        read_vocabularies(tmp_path / "x.tflite")
    (tmp_path / "y.tflite").write_bytes(b"no archive")
    assert read_vocabularies(tmp_path / "y.tflite") == {}
