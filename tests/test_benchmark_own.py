"""benchmarks.peers: the forms of the teacher that other tools take, and what is made of them."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

import tfcompress as tfc
from benchmarks.peers import functional, kept, porting
from benchmarks.peers.drawing import markdown, settings
from benchmarks.peers.faiss_search import Faiss, item_vectors
from benchmarks.peers.own_systems import OWN_SYSTEMS
from benchmarks.peers.plain_distillation import Distillation, PlainDistiller, divergence
from benchmarks.peers.settings import setting_of
from benchmarks.peers.subject import Subject
from benchmarks.peers.systems import SYSTEMS
from benchmarks.peers.tfmot_ways import Clustering, Pruning, QuantizationAware, table
from benchmarks.peers.turns import take_turns
from experiments.models import files, store
from experiments.models.sasrec import SASRecConfig

CONFIG = SASRecConfig(150, length=6, dim=8, blocks=2, heads=2, feedforward=16, dropout=0.1)
SMALL = replace(CONFIG, blocks=1)
HISTORIES = np.random.default_rng(0).integers(1, 151, (5, 6)).astype(np.int32)
HISTORIES[0, :3] = 0


def trained(config):
    tf.keras.utils.set_random_seed(0)
    model, random = store.build(config), np.random.default_rng(1)
    weights = [w + 0.1 * random.normal(size=w.shape) for w in model.get_weights()]
    model.set_weights(weights)
    return model


@pytest.fixture(scope="module")
def teacher():
    return trained(CONFIG)


@pytest.fixture(scope="module")
def small():
    return trained(SMALL)


@pytest.fixture(scope="module")
def subject(teacher):
    calls = [{"history": row[None]} for row in HISTORIES]
    return Subject(
        "retrieval", "closeness", teacher, files.signatures(CONFIG), {"recommend": calls},
        "recommend", lambda _: calls, lambda _: 0.0, {},
    )  # fmt: skip


def around(teacher, way, rows):
    graph = functional.taught(functional.trunk(SMALL, rows), teacher)
    return functional.Rebuilt(SMALL, way.wrap(graph, 40), teacher.item_bias, table)


def test_the_rebuilt_graph_answers_as_the_teacher(teacher):
    for rows in (1, 6):
        graph = functional.taught(functional.trunk(CONFIG, rows), teacher)
        expected = teacher.hidden(HISTORIES, rows=rows)
        np.testing.assert_allclose(graph(HISTORIES), expected, atol=1e-5)


def test_what_a_graph_learnt_is_handed_back(teacher):
    graph = functional.taught(functional.trunk(CONFIG, 6), teacher)
    back = functional.returned(graph, teacher.item_bias.numpy(), CONFIG)
    for found, expected in zip(back.get_weights(), teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_pruning_makes_zeros_and_keeps_them(small):
    way = Pruning(0.5)
    model = around(small, way, 6)
    distiller = PlainDistiller(model, small, Distillation(0.1, 1.0, 16))
    distiller.compile("adam")
    windows = np.hstack([HISTORIES, HISTORIES[:, :1]])
    distiller.fit(windows, batch_size=1, epochs=6, verbose=0, callbacks=way.callbacks())
    stripped = way.strip(model.graph)
    kernel = stripped.get_layer("block_0_ff1").get_weights()[0]
    for matrix in (kernel, table(stripped).numpy()):
        assert np.mean(matrix == 0) == pytest.approx(0.5, abs=0.01)
    assert small.item_table.get_weights()[0].all()


def test_clustering_leaves_so_many_values(small):
    way = Clustering(4)
    model = around(small, way, 6)
    model(HISTORIES)
    assert len(np.unique(table(way.strip(model.graph)).numpy())) <= 4


def test_quantized_graphs_of_one_row_and_of_all_take_the_same_weights(small):
    whole, one = (around(small, QuantizationAware(), rows) for rows in (6, 1))
    one.set_weights(whole.get_weights())
    expected = whole.hidden(HISTORIES)[:, -1:]
    np.testing.assert_allclose(one.hidden(HISTORIES), expected, atol=1e-5)


def test_a_graph_without_a_table_is_refused():
    with pytest.raises(ValueError, match="Received a graph of 1 layers, expected one 'item_table'"):
        table(tf.keras.Sequential([tf.keras.layers.Dense(1)]))


def test_divergence_is_that_of_numpy():
    taught, said = np.random.default_rng(2).normal(size=(2, 3, 7)).astype(np.float32)

    def shares(scores):
        return np.exp(scores / 2) / np.exp(scores / 2).sum(-1, keepdims=True)

    p, q = shares(taught), shares(said)
    expected = 4 * (p * np.log(p / q)).sum(-1)
    np.testing.assert_allclose(divergence(taught, said, 2.0), expected, rtol=1e-4)


def test_a_student_alone_is_trained(small):
    student = store.build(SMALL)
    distiller = PlainDistiller(student, small, Distillation(0.0, 1.0, 16))
    distiller.compile(tf.keras.optimizers.Adam(0.02))
    windows = np.hstack([HISTORIES, HISTORIES[:, :1]])
    assert len(distiller.trainable_variables) == len(student.trainable_variables)
    losses = distiller.fit(windows, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ((1.5, 1.0, 8), "Received alpha=1.5, expected 0 to 1"),
        ((0.5, 0.0, 8), "Received temperature=0.0, expected more than 0"),
        ((0.5, 1.0, 0), "Received positions=0, expected at least 1"),
    ],
)
def test_a_distillation_that_is_none_is_refused(fields, text):
    with pytest.raises(ValueError, match=text):
        Distillation(*fields)


def test_the_port_to_keras_3_is_checked_and_converts(subject, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(porting.keras3("float32")(subject, b""))
    found = tfc.LiteModel(path).run("recommend", {"history": HISTORIES[:1]})
    expected = subject.model.recommend(tf.constant(HISTORIES[:1]))
    np.testing.assert_array_equal(found["items"], expected["items"])
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-4)


def test_what_fails_in_keras_3_is_an_error_here(subject, monkeypatch):
    answers = [(0, 'much else\n"KeyError: 1"\n'), (9, "")]

    def run(command, **_):
        code, said = answers.pop(0)
        return subprocess.CompletedProcess(command, code, said, "killed")

    monkeypatch.setattr(porting.subprocess, "run", run)
    with pytest.raises(RuntimeError, match="in Keras 3, KeyError: 1"):
        porting.keras3("float32")(subject, b"")
    with pytest.raises(RuntimeError, match="Keras 3 ended with 9: killed"):
        porting.keras3("float32")(subject, b"")


def test_faiss_finds_what_the_teacher_recommends(subject):
    pytest.importorskip("faiss")
    searched = Faiss("Flat")(subject, b"")
    assert len(searched.contents()) > item_vectors(subject.model).nbytes
    scores = searched._scores(HISTORIES)
    expected = subject.model.logits(subject.model.last(HISTORIES)).numpy()
    np.testing.assert_allclose(scores[:, 1:], expected[:, 1:], atol=1e-4)
    assert np.isneginf(scores[:, 0]).all()


def test_faiss_that_is_not_installed_is_an_error_for_its_rows(subject, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match="faiss"):
        Faiss("SQ8")(subject, b"")


def test_what_an_inverted_file_does_not_find_is_last(subject):
    pytest.importorskip("faiss")
    scores = Faiss("IVF2,Flat", probes=1)(subject, b"")._scores(HISTORIES)
    assert np.isneginf(scores[:, 1:]).any() and np.isfinite(scores[:, 1:]).any()


def test_taking_turns_times_the_call_and_not_what_prepares_it():
    order = []

    def prepared(name):
        order.append(f"prepare {name}")
        return lambda: order.append(name)

    times = take_turns({"a": [lambda: prepared("a")] * 2, "b": [lambda: prepared("b")]}, rounds=1)
    assert order[:6] == ["prepare a", "a", "prepare a", "a", "prepare b", "b"]
    assert len(order) == 6 * 4 and 0 < times["a"] < 1000


@pytest.mark.parametrize(
    ("name", "script"), [("narrow-0", "smaller"), ("tfmot-pruned-50", "tfmot_training")]
)
def test_a_peer_that_is_not_trained_says_how_it_is(name, script, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "KEPT", tmp_path)
    with pytest.raises(FileNotFoundError, match=f"{name} is not trained .*peers.{script}"):
        kept.folder_of(name)


def test_what_was_not_timed_is_no_number():
    row = {"system": "a", "bytes": 1, "gzip_bytes": 1, "quality": 0.5, "error": None}
    assert "| 0.5000 | not timed |" in markdown([{**row, "p50_us": None, "p50_us_float32": None}])


def test_every_system_has_a_sentence():
    for name in (*SYSTEMS, *OWN_SYSTEMS["retrieval"]):
        assert setting_of(name)
    with pytest.raises(KeyError, match="Received the system 'unheard of'"):
        setting_of("unheard of")


def test_systems_of_one_setting_share_a_sentence():
    rows = [{"system": "a", "setting": "s"}, {"system": "b", "setting": "s"}]
    assert settings(rows) == "- **a; b**: s.\n"
