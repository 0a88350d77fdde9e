"""The system search_ranker: its loss, its metric, its lists, and what is done to which layer."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import ndcg_score

import tfcompress as tfc
from experiments.data.letor import Judged, Judgements
from experiments.models.letor import NOWHERE, PADDING, ListwiseSoftmax, logarithms, tower
from experiments.systems import measuring, search_ranker
from experiments.systems.judging import LIST, Ranked, Tables, answerable, calls_of, ndcg
from experiments.systems.running import record
from experiments.systems.system import Goal
from experiments.systems.table import table
from experiments.training import TrainingConfig
from tfcompress.report import text_of

RANDOM = np.random.default_rng(0)
BRIEF = TrainingConfig(seed=0, batch=4, epochs=3, peak_learning_rate=3e-3, warmup_steps=2)


def judged(n_queries, first, longest=150):
    """Lists whose documents' relevance shows in two features; the last one has none relevant."""
    lengths = RANDOM.integers(20, longest, n_queries)
    features = RANDOM.gamma(1.0, 20.0, (lengths.sum(), 136)).astype(np.float32)
    relevance = np.clip(features[:, 3] // 20 - (features[:, 7] > 40), 0, 4).astype(np.int8)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    relevance[starts[-2] :] = 0
    return Judged(features, relevance, np.arange(first, first + n_queries), starts)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFCOMPRESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def subject():
    data = Judgements("lists", judged(9, 0), judged(4, 10), judged(5, 20, longest=300))
    made = functools.partial(tower, widths=(64, 32, 32), dropout=0.1)
    return Ranked(data, Tables(3000, 1000), made, noise=0.1)


@pytest.fixture(scope="module")
def found(subject, tmp_path_factory):
    ways = (replace(search_ranker.OWN, training=BRIEF),)
    system = replace(search_ranker.SYSTEM, load=lambda folder: subject, teaching=BRIEF, ways=ways)
    work = tmp_path_factory.mktemp("work")
    return record(system, None, [5], work), work / "seed-5"


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("n", [2, 10, 40])
def test_ndcg_is_scikit_learns_of_the_gains(n, k):
    relevance, scores = RANDOM.integers(0, 5, n), RANDOM.normal(size=n)
    relevance[0] = 3
    expected = ndcg_score([2.0**relevance - 1], [scores], k=k)
    assert ndcg(scores, relevance, k) == pytest.approx(expected)


def test_ndcg_of_equal_scores_keeps_the_order_and_of_no_relevance_is_refused():
    assert ndcg(np.zeros(3), np.array([0, 0, 2]), 2) == 0.0
    with pytest.raises(ValueError, match="3 documents, none relevant"):
        ndcg(np.zeros(3), np.zeros(3))


def test_the_loss_is_numpys():
    relevance = np.array([[3.0, 0.0, 1.0], [0.0, 2.0, PADDING], [0.0, 0.0, 0.0]])
    scores = np.array([[0.3, -1.0, 2.0], [1.0, 0.5, NOWHERE], [1.0, 2.0, 3.0]])
    first = np.array([7.0, 0.0, 1.0]) / 8
    logs = scores[0] - np.log(np.exp(scores[0]).sum())
    expected = [-(first * logs).sum(), np.log(1 + np.exp(0.5)), 0.0]
    losses = ListwiseSoftmax(reduction="none")(relevance, scores)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_a_batch_has_whole_lists_and_the_same_noise_again(subject):
    rows = tf.constant(subject.rows[[2, 0]])
    (lists, wanted), (again, _) = subject.batch(rows), subject.batch(rows)
    np.testing.assert_array_equal(lists["features"], again["features"])
    split = subject.data.train
    lengths = split.lengths[[2, 0]]
    assert (lists["places"].numpy() >= 0).sum(axis=1).tolist() == lengths.tolist()
    places = np.concatenate([np.arange(split.starts[q], split.starts[q + 1]) for q in (2, 0)])
    moved = logarithms(lists["features"]) - logarithms(split.features[places])
    deviations = logarithms(split.features).numpy().std(axis=0)
    assert (moved / deviations).numpy().std() == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(
        np.concatenate([wanted[i, :n] for i, n in enumerate(lengths)]), split.relevance[places]
    )
    assert (wanted.numpy()[0, lengths[0] :] == PADDING).all()
    logits = subject.network()(lists).numpy()
    assert (logits == NOWHERE).sum() == (wanted.numpy() == PADDING).sum()


def test_a_query_without_a_relevant_document_is_left_out(subject):
    assert answerable(subject.data.train).tolist() == list(range(8)) == subject.rows.tolist()
    described = subject.described
    assert (described["train_without_relevant"], described["test_without_relevant"]) == (1, 1)
    assert described["synthetic"] is False and described["tables"]["synthetic"] is True


def test_a_long_list_is_asked_in_several_calls(subject):
    split = subject.data.test
    query = int(split.lengths.argmax())
    calls = calls_of(split, subject._ids(split), query)
    assert len(calls) == -(-split.lengths[query] // LIST) > 1
    features = np.concatenate([call["features"] for call in calls])
    own = split.features[split.starts[query] : split.starts[query + 1]]
    np.testing.assert_array_equal(features[: len(own)], own)
    assert {call["features"].shape for call in calls} == {(LIST, 136)}


def test_files_rank_as_their_models_do(found, subject):
    result, work = found
    teacher = subject.network()
    names = {weight.name for weight in teacher.weights}
    assert not any("documents" in name for name in names)  # the tables stay in their files
    assert result["way"] == "own" and result["rows"][0]["gzip_bytes"]["file"] == [None]
    assert result["size_reduction"] > 0.8
    (row,) = result["rows"]
    assert row["teachers"] == 3 and row["training"][0]["best_epoch"] == BRIEF.epochs
    assert result["goal"]["relative"] is True
    for name in ("teacher", "own"):
        quality = subject.quality(work / name / "model.tflite")
        assert quality.shape == (4,) and (quality > 0).all() and (quality <= 1).all()
    text = text_of(table(result))
    assert "-0.5%" in text and "lists (real)" in text


def test_the_techniques_are_each_done(subject):
    teacher = subject.network()
    first, second = search_ranker.PUBLISHED.specs
    done = {
        layer.path: [type(step).__name__ for step in layer.steps]
        for model, spec in ((teacher, first), (tfc.apply(teacher, first), second))
        for layer in tfc.plan(model, spec).layers
        if layer.steps
    }
    assert {"Sparsify"} == {step for path in ("tower.deep2", "tower.deep3") for step in done[path]}
    assert done["tower.deep1"] == ["Prune"]
    assert done["documents"] == done["queries"] == ["Factorize"]
    (own,) = search_ranker.OWN.specs
    rows = {layer.path: layer for layer in tfc.plan(teacher, own).layers}
    assert [type(step).__name__ for step in rows["documents"].steps] == ["Factorize", "Quantize"]
    assert rows["documents"].after.bytes == 3000 * 18 + 4 * 32 * 64
    assert all("Shrink" in str(rows[f"tower.deep{n}"].steps) for n in (1, 2, 3))


def test_a_loss_may_be_a_share_of_the_teachers_quality():
    goal = Goal(size_reduction=0.9, speedup=2.0, quality_loss=0.005, relative=True)
    row = {"size_reduction": 0.9, "speedup": 2.0, "quality_teacher": 0.4}
    for difference, kept in ((-0.0019, True), (-0.0021, False)):
        assert measuring.reached({**row, "quality_difference": difference}, goal)["quality"] is kept
