"""Tables that stay in their files: what Keras computes with, and the file that is streamed."""

import copy
import json

import numpy as np
import pytest

import tfcompress as tfc
from benchmarks.dequantize import FileTable
from tfcompress.export import flatbuffer, write
from tfcompress.export.extrapolate import Other, extrapolate
from tfcompress.keras import keras, tf
from tfcompress.streaming import StoredTable, magnitudes

ROWS, WIDTH = 3000, 64
GRIDS = {
    "4 bits, rows": tfc.Quantize(4),
    "4 bits, blocks": tfc.Quantize(4, tfc.PerBlock(32)),
    "4 bits, one scale": tfc.Quantize(4, tfc.PerTensor(), tfc.Deviations(3.0)),
    "8 bits, one scale": tfc.Quantize(8, tfc.PerTensor()),
    "2 bits": tfc.Quantize(2),
    "float32": None,
}


class Model(keras.Model):
    def __init__(self, items):
        super().__init__()
        self.items = items
        self.out = keras.layers.Dense(WIDTH, name="out")

    def call(self, ids):
        return self.out(tf.reduce_mean(self.items(ids), 1))


def recommend(model, ids):
    vector = model(ids)
    items, scores = tfc.top_k(vector, model.items, 20)
    return {"items": items, "scores": scores, "vector": vector}


def score(model, ids):
    return {"scores": tfc.scores(model(ids), model.items)}


SPEC = {"ids": tf.TensorSpec([1, 5], tf.int32)}
SIGNATURES = {"recommend": tfc.Signature(recommend, SPEC), "score": tfc.Signature(score, SPEC)}
ASKED = {"ids": np.array([[0, 2, 2, 4, ROWS - 1]], np.int32)}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    norms = rng.lognormal(0, 0.3, (ROWS, 1))
    return (rng.normal(size=(ROWS, WIDTH)) * norms).astype(np.float32)


@pytest.fixture
def path(rows, tmp_path):
    np.save(tmp_path / "table.npy", rows)
    return tmp_path / "table.npy"


def built(items, technique):
    model = Model(items)
    model(ASKED["ids"])
    model.out.set_weights([np.eye(WIDTH, dtype=np.float32), np.zeros(WIDTH, np.float32)])
    if technique is None:
        return model
    return tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("items"), technique)]))


@pytest.mark.parametrize("name", GRIDS)
def test_the_file_is_that_of_an_embedding_of_the_same_rows(name, rows, path, tmp_path):
    technique = GRIDS[name]
    mapped = built(tfc.MappedEmbedding(path), technique)
    plain = built(keras.layers.Embedding(ROWS, WIDTH, weights=[rows]), technique)
    np.testing.assert_allclose(
        score(mapped, ASKED["ids"])["scores"], score(plain, ASKED["ids"])["scores"], atol=1e-4
    )
    calls = {key: [ASKED] for key in SIGNATURES}
    made = tfc.export(mapped, tmp_path / "mapped", SIGNATURES, calls)
    other = tfc.export(plain, tmp_path / "plain", SIGNATURES, calls)
    ours, theirs = tfc.LiteModel(made.model), tfc.LiteModel(other.model)
    for signature in SIGNATURES:
        found, expected = ours.run(signature, ASKED), theirs.run(signature, ASKED)
        for output, value in found.items():
            np.testing.assert_array_equal(value, expected[output])
    sizes = made.report["sizes"]
    assert sizes["bytes"] == made.model.stat().st_size
    assert abs(sizes["bytes"] - other.report["sizes"]["bytes"]) < 600
    assert sizes["bytes"] == sizes["weights"] + sizes["scales"] + sizes["graph"]
    assert made.report["layers"][0]["bytes"] == other.report["layers"][0]["bytes"]
    assert made.report["parameters"] == other.report["parameters"]
    assert made.report["peak_bytes_of_litert"] > 0
    if technique is not None:
        saved = tfc.Spec.from_json((tmp_path / "mapped" / "spec.json").read_text())
        assert saved.rules[0].techniques[0].bits == technique.bits


@pytest.mark.parametrize("name", ["4 bits, rows", "4 bits, blocks", "4 bits, one scale"])
def test_the_best_rows_are_those_of_numpy_on_the_files_own_table(name, path, tmp_path):
    model = built(tfc.MappedEmbedding(path), GRIDS[name])
    calls = {"recommend": [ASKED]}
    made = tfc.export(model, tmp_path / "m", {"recommend": SIGNATURES["recommend"]}, calls)
    found = tfc.LiteModel(made.model).run("recommend", ASKED)
    table = FileTable(made.model, (ROWS, WIDTH))
    np.testing.assert_allclose(table[0:ROWS], model.items(np.arange(ROWS)).numpy(), atol=1e-6)
    scores = found["vector"] @ table[0:ROWS].T
    assert found["items"][0].tolist() == np.argsort(-scores[0])[:20].tolist()
    np.testing.assert_allclose(found["scores"][0], np.sort(scores[0])[::-1][:20], rtol=1e-5)


@pytest.mark.parametrize("grid", [None, tfc.Quantize(4, tfc.PerBlock(32)), tfc.Quantize(8)])
def test_a_factorized_table_is_the_best_of_its_rank_and_streamed(grid, rows, path, tmp_path):
    model = built(tfc.MappedEmbedding(path), None)
    techniques = [tfc.Factorize(32)] if grid is None else [tfc.Factorize(32), grid]
    spec = tfc.Spec([tfc.rule(tfc.by_name("items"), *techniques)])
    (planned,) = (row for row in tfc.plan(model, spec).layers if row.path == "items")
    student = tfc.apply(model, spec)
    assert student.items.form("items").bytes == planned.after.bytes
    u, s, v = np.linalg.svd(rows, full_matrices=False)
    best = (u[:, :32] * s[:32]) @ v[:32]
    lost = 1e-4 if grid is None else 0.12 if grid.bits == 4 else 0.01
    found = student.items(np.arange(ROWS)).numpy()
    assert np.linalg.norm(found - best) <= lost * np.linalg.norm(best)
    made = tfc.export(student, tmp_path / "m", SIGNATURES, {key: [ASKED] for key in SIGNATURES})
    lite = tfc.LiteModel(made.model)
    vector = lite.run("recommend", ASKED)["vector"]
    np.testing.assert_allclose(vector, student(ASKED["ids"]), atol=1e-5)
    scores, expected = lite.run("score", ASKED)["scores"], score(student, ASKED["ids"])["scores"]
    # LiteRT rounds what it multiplies with a table in few bits to 8 bits.
    assert np.abs(scores - expected).max() <= 0.01 * np.abs(expected).max()
    assert made.report["layers"][0]["bytes"] == planned.after.bytes
    assert tfc.Spec.from_json((tmp_path / "m" / "spec.json").read_text()) == spec


def test_a_factorized_table_survives_its_config(path):
    layer = tfc.MappedEmbedding(path).factorized(8).quantized(tfc.layers.FakeQuantizer(4, 0))
    again = tfc.MappedEmbedding.from_config(json.loads(json.dumps(layer.get_config())))
    ids = np.array([[1, 7], [0, ROWS - 1]])
    np.testing.assert_array_equal(again(ids), layer(ids))
    assert (again.output_dim, again.table.shape) == (WIDTH, (ROWS, 8))
    with pytest.raises(tfc.SpecError, match=r"expected \[64, width\]"):
        tfc.MappedEmbedding(path, right=np.eye(8))


def test_ranks_of_a_mapped_table_are_chosen_as_of_any_other(path):
    def planned(*techniques, of=None):
        model = of or built(tfc.MappedEmbedding(path), None)
        return tfc.plan(model, tfc.Spec([tfc.rule(tfc.by_name("items"), *techniques)])).layers[0]

    size = 4 * 16 * (ROWS + WIDTH)
    for rank in (16, tfc.Fraction(0.25), tfc.ByteBudget(size)):
        assert planned(tfc.Factorize(rank)).after.bytes == size
    assert planned(tfc.Factorize(tfc.KeptEnergy(0.5))).after.bytes < 2 * ROWS * WIDTH * 1.1
    assert "would not be smaller" in planned(tfc.Factorize(WIDTH)).skipped[0]
    seen = planned(tfc.Factorize(8), tfc.Prune(0.5))
    assert len(seen.steps) == 1 and "it has no weights" in seen.skipped[0]
    once = tfc.apply(
        built(tfc.MappedEmbedding(path), None),
        tfc.Spec([tfc.rule(tfc.by_name("items"), tfc.Factorize(8))]),
    )
    assert "compressed already" in planned(tfc.Factorize(4), of=once).skipped[0]


def test_a_model_is_saved_with_the_place_of_its_table(path, tmp_path):
    layer = tfc.MappedEmbedding(path).quantized(tfc.layers.FakeQuantizer(4, 0))
    again = tfc.MappedEmbedding.from_config(layer.get_config())
    ids = np.array([[1, 7], [0, ROWS - 1]])
    np.testing.assert_array_equal(again(ids), layer(ids))
    with pytest.raises(tfc.SpecError, match="Save it with numpy.save and pass the path"):
        tfc.MappedEmbedding(np.eye(4)).get_config()
    path.unlink()
    with pytest.raises(tfc.SpecError, match="Put the file back"):
        StoredTable.from_data(layer.get_config()["table"])


def test_what_needs_weights_is_not_for_a_mapped_table(path):
    model = built(tfc.MappedEmbedding(path), None)

    def skipped(technique):
        spec = tfc.Spec([tfc.rule(tfc.by_name("items"), technique)])
        return tfc.plan(model, spec).layers[0].skipped[0]

    assert "it has no weights" in skipped(tfc.Prune(0.5))
    assert "2, 3, 4 or 8 bits" in skipped(tfc.Quantize(16))
    assert "is not trained" in skipped(tfc.Quantize(4, scale=tfc.Learned()))
    assert "MeanSquare() is not" in skipped(tfc.Quantize(4, tfc.PerTensor(), tfc.MeanSquare()))
    assert "do not divide a width" in skipped(tfc.Quantize(4, tfc.PerBlock(256)))
    planned = tfc.plan(model, tfc.Spec([tfc.rule(tfc.by_name("items"), tfc.Quantize(4))]))
    assert planned.layers[0].before.bytes == 4 * ROWS * WIDTH
    assert planned.layers[0].after.bytes == ROWS * (WIDTH // 2 + 12)


def test_bad_tables_are_refused(tmp_path, path):
    with pytest.raises(tfc.SpecError, match="There is no file"):
        tfc.MappedEmbedding(tmp_path / "none.npy")
    (tmp_path / "bad.npy").write_bytes(b"no table")
    with pytest.raises(tfc.SpecError, match="Write it with numpy.save"):
        tfc.MappedEmbedding(tmp_path / "bad.npy")
    with pytest.raises(tfc.SpecError, match=r"shape \(3,\)"):
        StoredTable(np.zeros(3))
    with pytest.raises(tfc.SpecError, match="table of int64; expected floats"):
        StoredTable(np.zeros((2, 2), np.int64))
    with pytest.raises(tfc.SpecError, match="Row 1 of a table holds numbers that are not finite"):
        StoredTable(np.array([[0.0], [np.nan]]))[0:2]
    with pytest.raises(tfc.SpecError, match="ids from 2 to 2 for a table of 2 rows"):
        StoredTable(np.eye(2)).rows([2])
    with pytest.raises(tfc.SpecError, match=r"Score with tfcompress.scores\(vectors, layer\)"):
        _ = tfc.MappedEmbedding(path).embeddings
    with pytest.raises(tfc.SpecError, match="expected 1 <= k <= among"):
        tfc.top_k(tf.zeros((1, WIDTH)), tfc.MappedEmbedding(path), 5, among=4)


def test_nothing_is_left_where_a_row_is_not_finite_or_room_is_missing(tmp_path, rows, monkeypatch):
    wrong = rows.copy()
    wrong[2500, 3] = np.inf
    np.save(tmp_path / "wrong.npy", wrong)
    model = built(tfc.MappedEmbedding(tmp_path / "wrong.npy"), tfc.Quantize(4))
    signatures = {"embed": tfc.Signature(lambda m, ids: m(ids), SPEC)}
    with pytest.raises(tfc.SpecError, match="Row 2500 of a table"):
        tfc.export(model, tmp_path / "m", signatures)
    assert [p.name for p in tmp_path.iterdir()] == ["wrong.npy"]
    monkeypatch.setattr(write.shutil, "disk_usage", lambda place: type("", (), {"free": 10})())
    with pytest.raises(tfc.ExportError, match="has 10 free. Make room"):
        tfc.export(model, tmp_path / "m", signatures)
    assert [p.name for p in tmp_path.iterdir()] == ["wrong.npy"]


def test_a_constant_for_each_row_is_refused(path, tmp_path):
    model = built(tfc.MappedEmbedding(path), tfc.Quantize(4))

    def biased(m, ids):
        # As long as the stand-in: a bias that the converter takes, and that no table can hold.
        found = tfc.scores(m(ids), m.items)
        return found + np.linspace(0, 1, found.shape[-1], dtype=np.float32)

    with pytest.raises(tfc.ExportError, match="put a bias into a column of the table"):
        tfc.export(model, tmp_path / "m", {"s": tfc.Signature(biased, SPEC)})
    assert not (tmp_path / "m").exists()


def test_numbers_that_rows_are_seen_in_are_linear_in_them():
    def graph(rows, odd=0):
        model, sub = flatbuffer.schema.ModelT(), flatbuffer.schema.SubGraphT()
        tensor = flatbuffer.schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = np.array([rows, 64], np.int32), 2, 0
        buffer = flatbuffer.schema.BufferT()
        buffer.data = np.array([rows * 64 + 3, 7], np.int32).view(np.uint8)
        sub.tensors, sub.operators, model.buffers = [tensor], [], [buffer]
        model.subgraphs, model.version = [sub], 3 + odd
        return model

    first = graph(10)
    extrapolate(first, [Other(graph(12), 2, 990)])
    assert first.subgraphs[0].tensors[0].shape.tolist() == [1000, 64]
    assert first.buffers[0].data.view(np.int32).tolist() == [64003, 7]
    with pytest.raises(tfc.ExportError, match="cannot be carried over"):
        extrapolate(graph(10), [Other(graph(12, odd=1), 2, 991)])
    with pytest.raises(tfc.ExportError, match="LiteRT counts in 32 bits"):
        extrapolate(graph(10), [Other(graph(12), 2, 2**27)])


def test_one_pass_finds_what_numpy_does(rows, path):
    table = StoredTable(path)
    assert copy.deepcopy(table) is table
    largest, deviation = magnitudes(table)
    assert largest == np.abs(rows).max()
    assert deviation == pytest.approx(np.sqrt((rows.astype(float) ** 2).mean()), rel=1e-6)


def test_zeros_beside_a_mapped_table_stay_and_the_report_says_why(path, tmp_path):
    pruned = tfc.Spec([tfc.rule(tfc.by_name("out"), tfc.Prune(0.5))])
    student = tfc.apply(built(tfc.MappedEmbedding(path, name="items"), None), pruned)
    made = tfc.export(student, tmp_path / "m", SIGNATURES)
    assert "is not written twice" in made.report["sparse_kernels"]["reason"]


def test_lookups_of_tokens_beside_a_mapped_table_are_refused(path, tmp_path):
    lookup = keras.layers.StringLookup(vocabulary=["a", "b"], name="tokens")
    layers = [keras.Input((5,), dtype="string"), lookup, tfc.MappedEmbedding(path, name="items")]
    with pytest.raises(tfc.ExportError, match="lookups of tokens and the table 'items'"):
        tfc.export(keras.Sequential(layers), tmp_path / "m")
    assert not (tmp_path / "m").exists()
