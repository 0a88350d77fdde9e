"""Export: what goes into the file, what is refused, and that nothing is lost."""

import json

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.export import flatbuffer, sizes
from tfcompress.export.convert import convert
from tfcompress.export.find import stored_weights
from tfcompress.export.lowering import lowered
from tfcompress.keras import keras, tf


class Tied(keras.Model):
    """A recommender that scores against the table it reads: two signatures, one table."""

    def __init__(self, items=300, width=32):
        super().__init__(name="tied")
        self.table = keras.layers.Embedding(items, width)
        self.trunk = [keras.layers.Dense(width, activation="relu"), keras.layers.Dense(width)]

    def call(self, history):
        x = tf.reduce_mean(self.table(history), axis=1)
        for layer in self.trunk:
            x = layer(x)
        return tfc.scores(x, self.table)

    def recommend(self, history):
        best, items = tf.math.top_k(self(history), 10)
        return {"items": items, "scores": best}

    def score(self, history, candidates):
        return {"scores": tf.gather(self(history), candidates, axis=1)}


HISTORY = tf.TensorSpec([1, 8], tf.int32)
SIGNATURES = {
    "recommend": tfc.Signature(Tied.recommend, {"history": HISTORY}),
    "score": tfc.Signature(
        Tied.score, {"history": HISTORY, "candidates": tf.TensorSpec([None], tf.int32)}
    ),
}


def tied_model():
    keras.utils.set_random_seed(0)
    model = Tied()
    model(tf.zeros((1, 8), tf.int32))
    model.table.embeddings.assign(tf.random.normal((300, 32)))
    return model


def calls(count=4):
    rng = np.random.default_rng(0)
    histories = [rng.integers(1, 300, (1, 8)).astype(np.int32) for _ in range(count)]
    ids = np.arange(300, dtype=np.int32)
    return {
        "recommend": [{"history": h} for h in histories],
        "score": [{"history": h, "candidates": ids} for h in histories],
    }


def spec(table, trunk=None):
    rules = [tfc.rule(tfc.by_type("Embedding"), *table)]
    if trunk:
        rules.append(tfc.rule(tfc.by_type("Dense"), *trunk))
    return tfc.Spec(rules)


def exported(model, folder, **kwargs):
    return tfc.export(model, folder, signatures=SIGNATURES, verify_with=calls(), **kwargs)


@pytest.fixture(scope="module")
def float_file(tmp_path_factory):
    return exported(tied_model(), tmp_path_factory.mktemp("float") / "model")


def test_a_float_file_agrees_with_keras_and_stores_the_table_once(float_file):
    assert all(one["deviation"] < 1e-5 for one in float_file.report["verification"])
    assert float_file.report["parameters"] < 300 * 32 + 2 * (32 * 32 + 32) + 50
    assert float_file.report["sizes"]["bytes"] == float_file.model.stat().st_size


@pytest.mark.parametrize(
    "technique",
    [
        tfc.Quantize(8),
        tfc.Quantize(8, tfc.PerTensor()),
        tfc.Quantize(4),
        tfc.Quantize(4, tfc.PerTensor()),
        tfc.Quantize(4, tfc.PerTensor(), tfc.Deviations(2.0)),
        tfc.Quantize(4, tfc.PerBlock(32)),
        tfc.Quantize(2),
        tfc.Quantize(2, tfc.PerTensor()),
    ],
    ids=repr,
)
def test_each_grid_is_stored_in_its_bits(technique, tmp_path, float_file):
    student = tfc.apply(tied_model(), spec([technique], [technique]))
    made = exported(student, tmp_path / "m", tolerance=0.05)
    planned = sum(layer["bytes"] for layer in made.report["layers"])
    assert made.report["sizes"]["bytes"] < planned + 6000  # graph, and zero points beside scales
    model = flatbuffer.read(made.model.read_bytes())
    assert {t.type for g in model.subgraphs for t in g.tensors if t.quantization is not None} == {
        {8: 9, 4: 17, 2: 19}[technique.bits]
    }


def test_what_is_stored_is_what_training_saw(tmp_path):
    student = tfc.apply(tied_model(), spec([tfc.Quantize(4)]))
    made = exported(student, tmp_path / "m")
    model = flatbuffer.read(made.model.read_bytes())
    graph = model.subgraphs[0]
    table = next(t for t in graph.tensors if list(t.shape) == [300, 32] and t.type == 17)
    packed = np.asarray(model.buffers[table.buffer].data, np.uint8)
    low, high = (packed & 15).astype(np.int8), (packed >> 4).astype(np.int8)
    levels = np.stack([low, high], 1).reshape(300, 32)
    levels = np.where(levels > 7, levels - 16, levels)
    stored = levels * np.asarray(table.quantization.scale)[:, None]
    np.testing.assert_allclose(stored, student.table.embeddings.numpy(), rtol=1e-5, atol=1e-7)


def test_a_factorized_tied_table_is_never_multiplied_out(tmp_path):
    student = tfc.apply(tied_model(), spec([tfc.Factorize(4)]))
    made = exported(student, tmp_path / "m")
    assert made.report["sizes"]["weights"] < 4 * (300 * 4 + 4 * 32 + 2 * (32 * 32 + 32)) + 2000


def test_a_second_signature_costs_a_fraction_of_the_first(tmp_path, float_file):
    one = tfc.export(
        tied_model(),
        tmp_path / "one",
        signatures={"recommend": SIGNATURES["recommend"]},
        verify_with=calls(),
    )
    extra = float_file.report["sizes"]["bytes"] - one.report["sizes"]["bytes"]
    assert extra < 0.5 * one.report["sizes"]["graph"]


def test_compaction_changes_bytes_and_not_outputs(tmp_path):
    content = convert(lowered(tfc.finalize(tied_model())), SIGNATURES)
    small = flatbuffer.compact(content)
    assert len(small) < len(content) - 2000
    outputs = []
    for name, file in (("large", content), ("small", small)):
        (tmp_path / name).write_bytes(file)
        outputs.append(tfc.LiteModel(tmp_path / name).run("recommend", calls()["recommend"][0]))
    for name, value in outputs[0].items():
        np.testing.assert_array_equal(value, outputs[1][name])
    assert flatbuffer.compact(small) == small
    assert sizes.multiply_adds(small) == sizes.multiply_adds(content)


def test_a_table_that_is_taken_back_takes_its_layout_along():
    builder = flatbuffer._SharingBuilder(64)

    def table(value):
        builder.StartObject(2)
        builder.PrependInt64Slot(0, value, 0)
        builder.PrependInt8Slot(1, 1, 0)
        return builder.EndObject()

    first = table(7)
    builder.PrependInt8(0)  # the next one is padded otherwise
    layouts = dict(builder.vtables)
    assert table(7) == first
    assert builder.vtables == layouts


def test_multiply_adds_are_those_of_the_matrix_products(float_file):
    assert float_file.report["multiply_adds"]["recommend"] == 2 * 32 * 32 + 32 * 300


def test_the_folder_holds_spec_report_and_files(tmp_path):
    student = tfc.apply(
        tied_model(), spec([tfc.Factorize(8), tfc.Quantize(8)], [tfc.Prune(0.5), tfc.Quantize(4)])
    )
    made = exported(
        student, tmp_path / "m", files={"items.txt": "one\n"}, evaluate=lambda path: {"quality": 1}
    )
    assert sorted(p.name for p in made.folder.iterdir()) == [
        "items.txt", "model.tflite", "report.html", "report.json", "spec.json",
    ]  # fmt: skip
    assert json.loads((made.folder / "report.json").read_text()) == made.report
    assert made.report["evaluation"] == {"quality": 1}
    again = tfc.apply(tied_model(), tfc.Spec.from_json((made.folder / "spec.json").read_text()))
    assert type(again.table.layer).__name__ == "FactorizedEmbedding"
    assert [type(t).__name__ for t in again.trunk[0].transforms["kernel"]] == [
        "Mask",
        "FakeQuantizer",
    ]
    assert "left 300x8 at 8 bits" in str(made)


def test_a_distiller_is_exported_as_its_student(tmp_path):
    distiller = tfc.distill(tied_model(), tied_model())
    assert exported(distiller, tmp_path / "m").report["verification"][0]["calls"] == 4


def test_a_plain_functional_model_needs_no_signature(tmp_path):
    model = keras.Sequential([keras.layers.Dense(4, input_shape=(8,)), keras.layers.Dense(2)])
    made = tfc.export(model, tmp_path / "m")
    assert tfc.LiteModel(made.model).signatures == ["serve"]


def test_a_model_with_two_inputs_and_an_embedding(tmp_path):
    ids, x = keras.Input((3,), dtype="int32", name="ids"), keras.Input((4,), name="x")
    table = keras.layers.Embedding(10, 4)(ids)
    flat = keras.layers.Flatten()(table)
    model = keras.Model([ids, x], keras.layers.Dense(2)(keras.layers.Concatenate()([flat, x])))
    made = tfc.export(model, tmp_path / "m")
    assert sorted(tfc.LiteModel(made.model).inputs("serve")) == ["ids", "x"]
    assert "GATHER" not in made.report["operators"]


def leftovers(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_that_does_not_agree_leaves_what_was_there(tmp_path):
    exported(tied_model(), tmp_path / "m")
    before = (tmp_path / "m" / "model.tflite").read_bytes()
    student = tfc.apply(tied_model(), spec([tfc.Quantize(2)], [tfc.Quantize(2)]))
    with pytest.raises(
        tfc.ExportError, match=r"deviates from the Keras model.s by .* at most 1e-09"
    ):
        exported(student, tmp_path / "m", tolerance=1e-9)
    assert leftovers(tmp_path) == ["m"]
    assert (tmp_path / "m" / "model.tflite").read_bytes() == before


def test_an_evaluation_that_fails_leaves_what_was_there(tmp_path):
    def evaluate(path):
        assert path.exists()
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        exported(tied_model(), tmp_path / "m", evaluate=evaluate)
    assert leftovers(tmp_path) == []


def test_a_file_in_the_way_is_not_overwritten(tmp_path):
    (tmp_path / "m").write_text("mine")
    with pytest.raises(tfc.ExportError, match="is a file; expected a folder"):
        exported(tied_model(), tmp_path / "m")
    assert (tmp_path / "m").read_text() == "mine"


def test_an_operator_without_a_kernel_is_refused(tmp_path):
    model = keras.Sequential([keras.layers.Lambda(tf.linalg.inv, input_shape=(4, 4))])
    with pytest.raises(tfc.ExportError, match="could not convert"):
        tfc.export(model, tmp_path / "m")
    assert leftovers(tmp_path) == []


def test_a_table_looked_up_at_fixed_ids_cannot_be_quantized(tmp_path):
    class Fixed(keras.Model):
        def __init__(self):
            super().__init__()
            self.table = keras.layers.Embedding(8, 8)

        def call(self, x):
            return x + self.table(tf.range(8))

    model = Fixed()
    model(tf.zeros((8, 8)))
    student = tfc.apply(model, spec([tfc.Quantize(8)]))
    with pytest.raises(tfc.ExportError, match=r"table.embeddings is an input of the operator ADD"):
        tfc.export(student, tmp_path / "m")


def test_a_model_that_was_never_called_needs_signatures(tmp_path):
    class Silent(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(tfc.ExportError, match="was never called"):
        tfc.export(Silent(), tmp_path / "m")


def test_verification_needs_inputs_for_each_signature(tmp_path):
    with pytest.raises(tfc.ExportError, match="no inputs for the signature 'score'"):
        tfc.export(tied_model(), tmp_path / "m", SIGNATURES, {"recommend": calls()["recommend"]})


def test_a_broken_file_and_an_unknown_signature(tmp_path, float_file):
    (tmp_path / "broken.tflite").write_bytes(b"TFL3 not a model")
    with pytest.raises(tfc.ExportError, match="could not load"):
        tfc.LiteModel(tmp_path / "broken.tflite")
    with pytest.raises(tfc.ExportError, match="no signature 'other'"):
        tfc.LiteModel(float_file.model).run("other", {})
    with pytest.raises(tfc.ExportError, match="could not run"):
        tfc.LiteModel(float_file.model).run("recommend", {"history": np.zeros((1, 8), np.float32)})


def test_latency_is_measured_side_by_side(float_file):
    files = {"a": float_file.model, "b": float_file.model}
    inputs = dict.fromkeys(files, calls()["recommend"])
    taken = tfc.compare_latency(files, "recommend", inputs, rounds=3)
    assert set(taken) == {"a", "b"} and all(0 < t < 1e5 for t in taken.values())


def test_stored_weights_are_the_effective_ones():
    student = tfc.apply(tied_model(), spec([tfc.Prune(0.5), tfc.Quantize(4)]))
    (one,) = stored_weights(student)
    assert one.path == "table.embeddings"
    np.testing.assert_array_equal(one.value, student.table.embeddings.numpy())
    assert (one.value == 0).mean() >= 0.5


@pytest.mark.parametrize(("width", "bits"), [(5, 4), (6, 2), (10, 2)])
def test_rows_that_are_no_whole_bytes_are_left_in_float(width, bits, tmp_path):
    # LiteRT would read other rows: its look-up steps from row to row in bytes.
    model = keras.Sequential([keras.layers.Embedding(20, width, input_length=3)])
    planned = tfc.plan(model, spec([tfc.Quantize(bits)]))
    assert "rows of whole bytes" in planned.layers[0].skipped[0]
    call = tfc.Signature(lambda m, ids: m(ids), {"ids": tf.TensorSpec([1, 3], tf.int32)})
    student = tfc.apply(model, spec([tfc.Quantize(bits)]))
    made = tfc.export(student, tmp_path / "m", {"serve": call})
    assert made.report["verification"][0]["deviation"] < 1e-6


class Mixed(keras.Model):
    """A kernel used again the other way round, or followed by a constant factor."""

    def __init__(self, use):
        super().__init__()
        self.kernel_layer = keras.layers.Dense(16, use_bias=False)
        self.use = use

    def call(self, x):
        return self.use(x, self.kernel_layer)


def mixed(use):
    keras.utils.set_random_seed(0)
    model = Mixed(use)
    model(tf.ones((1, 16)))
    return model


def test_a_kernel_times_a_constant_is_stored_in_few_bits(tmp_path):
    model = mixed(lambda x, layer: layer(x) * 3.0 + layer(x + 1.0))
    student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(4))]))
    made = tfc.export(student, tmp_path / "m", tolerance=0.05)
    assert made.report["sizes"]["weights"] < 16 * 16 * 2  # both in 4 bits, or one of them in both


def test_channels_the_other_way_round_are_refused(tmp_path):
    model = mixed(lambda x, layer: tf.matmul(layer(x), layer.kernel, transpose_b=True))
    by_channel = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(4))])
    with pytest.raises(tfc.ExportError, match=r"kernel_layer.kernel is multiplied the other way"):
        tfc.export(tfc.apply(model, by_channel), tmp_path / "m")
    one_scale = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(4, tfc.PerTensor()))])
    made = tfc.export(tfc.apply(model, one_scale), tmp_path / "m", tolerance=0.05)
    assert made.report["sizes"]["weights"] < 16 * 16 * 2


@pytest.mark.parametrize("granularity", [tfc.PerTensor(), tfc.PerChannel(), tfc.PerBlock(32)])
def test_what_a_plan_counts_is_what_the_file_holds(granularity, tmp_path):
    table = keras.layers.Embedding(500, 64)
    parts = [keras.layers.Input(8, dtype="int32"), table, keras.layers.Flatten()]
    model = keras.Sequential([*parts, keras.layers.Dense(96, bias_initializer="ones")])
    every = tfc.by_type("Embedding") | tfc.by_type("Dense")
    spec = tfc.Spec([tfc.rule(every, tfc.Quantize(4, granularity))])
    planned = tfc.plan(model, spec).bytes_after
    made = tfc.export(tfc.apply(model, spec), tmp_path / "made", tolerance=0.5)
    held = made.report["sizes"]["weights"] + made.report["sizes"]["scales"]
    assert -16 <= held - planned < 200  # shapes and the like are constants, too
    assert sum(layer["bytes"] for layer in made.report["layers"]) == planned


def test_ids_that_keras_takes_as_floats_are_looked_up(tmp_path):
    model = keras.Sequential(
        [keras.layers.Embedding(50, 16, input_length=4), keras.layers.Flatten()]
    )
    assert model.input.dtype.is_floating
    made = tfc.export(model, tmp_path / "made")
    assert [one["deviation"] for one in made.report["verification"]] == [0.0]
