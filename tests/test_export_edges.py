"""A file that is wrong at an edge is caught, and nothing is left in place."""

from __future__ import annotations

import numpy as np
import pytest
import small_models
from patched_files import broken, in_constants, last_row_as_first

import tfcompress as tfc
from tfcompress.export import flatbuffer
from tfcompress.export.edges import edge_calls
from tfcompress.export.fed_tables import ids_read_by_tables
from tfcompress.keras import keras, tf

IDS = tf.TensorSpec([1, 5], tf.int32)
MANY = tf.TensorSpec([None, 5], tf.int32)


def fails(model, folder, match, **kwargs):
    with pytest.raises(tfc.ExportError, match=match):
        tfc.export(model, folder / "m", **kwargs)
    assert list(folder.iterdir()) == []


def called(spec):
    return {"serve": tfc.Signature(lambda m, ids: m(ids), {"ids": spec})}


def test_the_last_row_of_a_table_is_looked_up(tmp_path):
    with broken(in_constants((small_models.IDS, small_models.WIDTH), last_row_as_first)):
        match = r"with every id the last; .* first layer that deviates is 'table' \(Embedding\)"
        fails(small_models.sequential(), tmp_path, match)


def test_a_batch_size_that_was_written_down_is_caught(tmp_path):
    def fixed(model):
        for graph in model.subgraphs:
            for tensor in graph.tensors:
                data = model.buffers[tensor.buffer].data
                if data is not None and flatbuffer.type_name(tensor) == "int32":
                    values = np.frombuffer(np.array(data, np.uint8).tobytes(), np.int32).copy()
                    values[values == -1] = {3: 15}.get(len(values), 3)
                    model.buffers[tensor.buffer].data = values.view(np.uint8)

    model = keras.Sequential([keras.layers.Flatten(input_shape=(5, 2)), keras.layers.Dense(3)])
    spec = {"serve": tfc.Signature(lambda m, x: m(x), {"x": tf.TensorSpec([None, 5, 2])})}
    with broken(fixed):
        fails(model, tmp_path, "With a size of 1, which the Keras model takes", signatures=spec)


def test_a_report_says_what_was_tried(tmp_path):
    made = tfc.export(small_models.sequential(), tmp_path / "m", called(MANY))
    calls = [one["call"] for one in made.report["edges"]]
    ids = ["every id the first", "every id the last", "ids repeated"]
    assert calls == [*ids, "a size of 1"]  # examples have a size of 3
    assert all(one["deviation"] < 1e-5 and not one["reason"] for one in made.report["edges"])


def test_a_model_without_ids_and_open_sizes_has_no_edges(tmp_path):
    made = tfc.export(keras.Sequential([keras.layers.Dense(2, input_shape=(3,))]), tmp_path / "m")
    assert made.report["edges"] == []


def test_tokens_of_the_first_and_the_last_id_are_tried(tmp_path):
    names = ["a", "b", "c"]
    lookup = keras.layers.StringLookup(vocabulary=names)
    layers = [keras.Input((2,), dtype="string"), lookup, keras.layers.Embedding(4, 4, name="table")]
    model = keras.Sequential(layers)
    asked = [{"x": np.array([["a", "z"]], object)}]
    call = {"serve": tfc.Signature(lambda m, x: m(x), {"x": tf.TensorSpec([1, 2], tf.string)})}
    made = tfc.export(model, tmp_path / "made", call, {"serve": asked})
    assert len(made.report["edges"]) == 3
    (tmp_path / "left").mkdir()
    with broken(in_constants((4, 4), last_row_as_first)):
        match = "with every id the last; .* 'table'"
        fails(model, tmp_path / "left", match, signatures=call, verify_with={"serve": asked})


def test_what_keras_does_not_take_is_not_asked_of_the_file(tmp_path):
    call = {"serve": tfc.Signature(lambda m, ids: tf.gather(m(ids), 2), {"ids": MANY})}
    asked = {"serve": [{"ids": small_models.ids(3)}]}
    made = tfc.export(small_models.sequential(), tmp_path / "m", call, asked)
    last = made.report["edges"][-1]
    assert last["call"] == "a size of 1" and last["deviation"] is None
    assert "the Keras model does not take it: InvalidArgumentError" in last["reason"]
    assert "Not compared: serve with a size of 1, the Keras model does not take it" in str(made)


def test_where_keras_gives_no_number_nothing_is_compared(tmp_path):
    def call(model, ids):
        hidden = model(ids)
        return hidden / tf.cast(tf.reduce_max(ids), tf.float32)

    specs = {"serve": tfc.Signature(call, {"ids": IDS})}
    asked = {"serve": [{"ids": np.array([[1, 2, 3, 4, 5]], np.int32)}]}
    made = tfc.export(small_models.sequential(), tmp_path / "m", specs, asked)
    first = made.report["edges"][0]
    assert first["deviation"] is None and "is no finite number there" in first["reason"]


def test_ids_are_found_in_pieces_put_together_and_behind_functions():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.small, self.large = keras.layers.Embedding(9, 4), keras.layers.Embedding(90, 4)

        @tf.function
        def call(self, history, other, count):
            both = self.large(tf.concat([history[:, 1:], other], axis=1))
            return tf.reduce_sum(both) + self.small(history) + self.small(count * 0 + 2)

    specs = {"history": IDS, "other": IDS, "count": tf.TensorSpec([1, 1], tf.int32)}
    call = tfc.Signature(lambda m, **given: m(**given), specs)
    assert ids_read_by_tables(Model(), call) == {"history": 9, "other": 90}


def test_sizes_keep_the_calls_own_values():
    call = tfc.Signature(print, {"x": tf.TensorSpec([2, None])})
    given = {"x": np.array([[1.0, 2.0], [3.0, 4.0]])}
    found = {words: one["x"].tolist() for words, one in edge_calls(call, given, {})}
    assert found == {
        "a size of 1": [[1.0], [3.0]],
        "a size of 3": [[1.0, 2.0, 1.0], [3.0, 4.0, 3.0]],
    }
