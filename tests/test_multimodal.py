"""experiments.systems.multimodal: towers, folding, what they learn, and a whole run on little data."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

import tfcompress as tfc
from experiments.data.cold import cold_start
from experiments.data.film_facts import FilmFacts
from experiments.data.movielens import MovieLens
from experiments.models.multimodal import MultimodalConfig, built, folded
from experiments.systems import fused_running, multimodal
from experiments.systems.fused_measuring import POPULARITY, table
from experiments.systems.fused_quality import file_scorer, model_scorer, qualities
from experiments.systems.fused_running import FusedRun, Trainings
from experiments.systems.fusing import Fusing, share_of_variance, taught_on
from experiments.systems.multimodal import Alone
from experiments.training import TrainingConfig
from tfcompress.report import text_of

BRIEF = TrainingConfig(seed=0, batch=16, epochs=4, peak_learning_rate=5e-3, warmup_steps=2)
ALL = Alone("all")


def little():
    """60 items of two kinds; a user sees those of one kind, and words tell the kinds apart."""
    random = np.random.default_rng(0)
    kinds = np.arange(60) % 2
    histories = [
        (random.permutation(np.flatnonzero(kinds == user % 2))[:24] + 1).astype(np.int32)
        for user in range(64)
    ]
    data = cold_start(MovieLens(("", *(f"{n:02d}" for n in range(60))), histories), seed=1)
    tables = {
        "words": np.stack([1 + kinds, 3 + random.integers(0, 40, 60)], 1),
        "people": random.integers(0, 8, (60, 3)),
        "kinds": random.integers(1, 5, (60, 1)),
    }
    padded = {
        name: np.vstack([0 * rows[:1], rows]).astype(np.int32) for name, rows in tables.items()
    }
    sizes = {"words": 64, "people": 8, "kinds": 5}
    facts = FilmFacts(**padded, sizes=sizes, coverage={"text": 1.0})
    return Fusing(data, facts.renumbered(data.old_numbers), length=8, positions=48, without_id=0.3)


SUBJECT = little()
WARM = SUBJECT.data.n_warm
WAYS = tuple(replace(way, training=BRIEF) for way in multimodal.WAYS)


def test_an_item_without_an_id_has_the_vector_of_its_facts():
    model = built(multimodal.sizes(SUBJECT, ALL))
    model.gates.assign(2.0 * tf.ones_like(model.gates))
    known = np.arange(61) != 3
    vectors, described = model.vectors(SUBJECT.all_facts, tf.constant(known))
    alike = np.isclose(vectors, described).all(axis=1)
    assert set(np.flatnonzero(alike)) == {3, *range(WARM + 1, 61)}
    facts = {name: rows[3:4] for name, rows in SUBJECT.all_facts.items()}
    np.testing.assert_allclose(model.describe(facts), vectors[3:4], atol=1e-6)


def test_facts_that_are_none_say_nothing():
    model = built(multimodal.sizes(SUBJECT, ALL))
    tower = model.towers["words"]
    tower.table.set_weights([np.ones((64, 32), np.float32)])
    one, padded = (tower(tf.constant([numbers])) for numbers in ([5, 7], [5, 7, 0]))
    np.testing.assert_allclose(one, padded, atol=1e-6)


@pytest.mark.parametrize("alone", [ALL, *multimodal.BASELINES])
def test_folding_leaves_all_scores_as_they_are(alone):
    model = built(multimodal.sizes(SUBJECT, alone))
    model.gates_beside_id.assign(0.3 * tf.ones_like(model.gates_beside_id))
    model.scale.assign(2.0 * model.scale)
    whole = folded(model, SUBJECT.warm_facts())
    history = SUBJECT.data.asked_warm("validation", 8).history
    before, after = (model_scorer(one, SUBJECT)(history) for one in (model, whole))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        whole.item_logits(whole.last(history))[:, 1:], after[:, 1 : WARM + 1], rtol=1e-4, atol=1e-5
    )


def test_training_sees_no_cold_item():
    assert SUBJECT.windows.max() <= WARM
    assert {len(rows) for rows in SUBJECT.warm_facts().values()} == {WARM + 1}
    assert len(SUBJECT.draw(tf.constant(SUBJECT.windows[:16])).known) == WARM + 1


def test_windows_decide_what_is_drawn():
    first, again = (SUBJECT.draw(tf.constant(SUBJECT.windows[:16])) for _ in range(2))
    other = SUBJECT.draw(tf.constant(SUBJECT.windows[16:32]))
    np.testing.assert_array_equal(first.places, again.places)
    np.testing.assert_array_equal(first.known, again.known)
    assert (np.asarray(first.known) != np.asarray(other.known)).any()
    targets = SUBJECT.windows[:16, 1:].ravel()
    assert (targets[np.asarray(first.places)] > 0).all() and len(
        set(np.asarray(first.places))
    ) == 48


def test_the_cross_modal_loss_is_what_its_weight_says():
    teacher = folded(built(multimodal.sizes(SUBJECT, ALL)), SUBJECT.warm_facts())
    student = folded(built(multimodal.sizes(SUBJECT, replace(ALL))), SUBJECT.warm_facts())
    for tower in student.towers.values():
        for drop in (tower.drop_table, tower.drop_inner):
            drop.rate = 0.0
    student.drop.rate = student.reading.rate = 0.0
    windows = tf.constant(SUBJECT.windows[:16])
    described = student.describe(SUBJECT.warm_facts())
    expected = share_of_variance(described[1:], teacher.item_table.embeddings[1:])
    for drop in (student.reading.drop_attention, student.reading.drop1, student.reading.drop2):
        drop.rate = 0.0
    losses = [
        float(taught_on(SUBJECT, weight)(student, teacher, windows).loss) for weight in (0.0, 2.0)
    ]
    assert losses[1] - losses[0] == pytest.approx(2.0 * float(expected), rel=1e-3)


def test_sizes_are_checked():
    sizes = {"n_items": 5, "length": 4, "dim": 8, "heads": 2, "feedforward": (8,)}
    with pytest.raises(ValueError, match="expected ids or facts"):
        MultimodalConfig(**sizes, ids=False)
    with pytest.raises(ValueError, match="tower_dropout=1.0"):
        MultimodalConfig(**sizes, tower_dropout=1.0)
    config = MultimodalConfig(**sizes, facts=(("words", 9, 2),))
    model = built(config)
    assert type(model).from_config(json.loads(json.dumps(model.get_config()))).config == config


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("multimodal")


@pytest.fixture(scope="module")
def found(work):
    trainings = Trainings(BRIEF, multimodal.BASELINES[:1], WAYS[-1:])
    return fused_running.record(None, [3], work, trainings=trainings, load=lambda folder: SUBJECT)


def test_a_record_has_all_models_on_warm_and_cold_films(found, work):
    rows = {row["way"]: row for row in found["rows"]}
    assert list(rows) == [POPULARITY, "teacher", "id_only", "own"]
    assert json.loads(json.dumps(found)) == found
    own, teacher = (work / "seed-3" / name / "model.tflite" for name in ("own", "teacher"))
    assert found["size_reduction"] == pytest.approx(1 - own.stat().st_size / teacher.stat().st_size)
    assert found["size_reduction"] > 0.5 and found["multiply_adds_reduction"] >= 0
    assert found["data"]["synthetic"] is False and found["metric"] == "ndcg@10"
    assert rows["own"]["cross_modal"] > 0 == multimodal.WITHOUT.to_data()["cross_modal"]
    assert rows[POPULARITY]["cold"]["quality"] == 0 == rows["id_only"]["cold"]["quality"]
    assert rows["teacher"]["cold"]["quality"] > 0.05  # a film's kind is in its words
    assert "speedup_describe" in rows["own"] and "speedup_describe" not in rows["id_only"]
    text = text_of(table(found))
    assert "id_only" in text and f"-{found['size_reduction']:.1%}" in text


def test_a_file_scores_as_its_model(found, work):
    run = FusedRun(SUBJECT, Trainings(BRIEF, (), WAYS), 3, work / "seed-3", stop=lambda: True)
    teacher = run.alone(multimodal.TEACHER).network
    history = SUBJECT.data.asked_cold("test", 8).history[:4]
    by_file = file_scorer(work / "seed-3" / "teacher" / "model.tflite", SUBJECT)(history)
    by_model = model_scorer(teacher, SUBJECT)(history)
    np.testing.assert_allclose(by_file[:, 1:], by_model[:, 1:], rtol=1e-3, atol=1e-3)


def test_every_question_is_asked_of_those_who_can_answer_it():
    best = qualities(lambda history: np.tile(np.arange(61.0), (len(history), 1)), SUBJECT, "test")
    assert best["cold"].mean() > 0.3 and best["among_cold"].mean() >= best["cold"].mean()
    assert len(best["warm"]) == 64


def test_each_tower_has_a_technique_of_its_own():
    sizes = multimodal.sizes(SUBJECT, ALL)
    real = (("words", 4096, 32), ("people", 5674, 16), ("kinds", 37, 7))
    model = folded(
        built(replace(sizes, n_items=3151, facts=real, folded=True)),
        {name: tf.zeros([3152, slots], tf.int32) for name, _, slots in real},
    )
    done = {
        layer.path: [type(step).__name__ for step in layer.steps]
        for layer in tfc.plan(model, multimodal.SPEC).layers
    }
    assert done["item_table"] == ["Factorize", "Quantize"]
    assert done["towers.words.table"] == ["Quantize"]
    assert done["towers.people.table"] == ["Code", "Quantize"]
    assert done["towers.words.inner"] == ["Prune", "Quantize"]
    assert all(steps for steps in done.values())
