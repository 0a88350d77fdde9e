"""What two signatures compute alike stands in a file once, wherever the converter put the rest."""

import numpy as np

import tfcompress as tfc
from tfcompress.export import flatbuffer
from tfcompress.keras import keras, tf

HISTORY = tf.TensorSpec([1, 8], tf.float32)
CHOSEN = tf.TensorSpec([None], tf.int32)


def _scores(model, history):
    return model(tf.nn.relu(history - 1.0))


def _chosen(model, history, chosen):
    # The converter runs this before the layers, though nothing waits for it until the end.
    places = tf.math.floormod(chosen * 3 + 1, 5)
    return {"chosen": tf.gather(_scores(model, history), places, axis=1)}


def test_operators_of_one_signature_alone_come_last(tmp_path):
    model = keras.Sequential([keras.Input(8), *(keras.layers.Dense(5) for _ in range(12))])
    one = {
        "all": tfc.Signature(lambda m, history: {"all": _scores(m, history)}, {"history": HISTORY})
    }
    two = {"chosen": tfc.Signature(_chosen, {"history": HISTORY, "chosen": CHOSEN})}
    history, chosen = np.ones((1, 8), np.float32), np.array([4, 0, 2], np.int32)
    calls = {"all": [{"history": history}], "chosen": [{"history": history, "chosen": chosen}]}
    alone = tfc.export(model, tmp_path / "one", one, {"all": calls["all"]})
    both = tfc.export(model, tmp_path / "both", one | two, calls)
    content = flatbuffer.read(both.model.read_bytes())
    kinds = [
        [flatbuffer.operator_name(content, op) for op in g.operators] for g in content.subgraphs
    ]
    few, many = sorted(kinds, key=len)
    assert many[: len(few)] == few and "FLOOR_MOD" in many[len(few) :]
    assert both.report["graph_bytes"]["operators"] < 1.7 * alone.report["graph_bytes"]["operators"]
    found = tfc.LiteModel(both.model).run("chosen", calls["chosen"][0])["chosen"]
    expected = _scores(model, history).numpy()[:, (chosen * 3 + 1) % 5]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
