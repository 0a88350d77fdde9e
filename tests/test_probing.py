"""experiments.probing: what a retrieval model is asked, and how auto trains it."""

import numpy as np
import pytest

import tfcompress as tfc
from experiments import compression, ranking
from experiments.data.movielens import MovieLens
from experiments.models import store, tf
from experiments.models.linear import Linear
from experiments.models.sasrec import SASRecConfig
from experiments.probing import Ndcg, logits, probe, training
from experiments.training import TrainingConfig
from tfcompress.auto import Taught
from tfcompress.auto.efforts import Run

ITEMS, LENGTH = 60, 6
SPEC = tfc.Spec([tfc.rule(tfc.by_type("Embedding"), tfc.Quantize(4, tfc.PerTensor()))])
RECIPE = compression.Recipe(
    student={"length": 4, "feedforward": [8, 8]},
    spec=SPEC,
    linear=Linear(penalty=10.0, decay=0.9, factor=1.0),
    temperature=1.0,
    weight=1.0,
    positions=16,
    fresh=3,
    dropped=0.0,
    training=TrainingConfig(1, 8, 2, 0.003, 2),
)


@pytest.fixture(scope="module")
def data():
    starts = np.random.default_rng(0).integers(0, ITEMS, 30)
    walks = [((start + np.arange(12)) % ITEMS + 1).astype(np.int32) for start in starts]
    return MovieLens(("", *(f"item {i}" for i in range(ITEMS))), walks)


@pytest.fixture(scope="module")
def teacher():
    tf.keras.utils.set_random_seed(0)
    model = store.build(SASRecConfig(ITEMS, length=LENGTH, dim=8, feedforward=16, dropout=0.0))
    random = np.random.default_rng(0)
    model.set_weights([w + random.normal(0, 0.1, w.shape) for w in model.get_weights()])
    return model


def test_a_model_is_asked_for_logits_and_its_quality(data, teacher):
    asked = probe(data, LENGTH, users=20, quality=True)
    assert asked.examples == 20 and asked.batches[0].shape[1] == LENGTH
    assert logits(teacher, asked.batches[0]).shape == (20, ITEMS)
    ranks = ranking.evaluate(store.scorer(teacher), data, "validation", LENGTH)
    assert asked.metric(teacher) == ranking.hr_ndcg(ranks)[1]
    assert probe(data, LENGTH, users=20, quality=False).metric is None
    where = tfc.by_name("item_table")
    (cell,) = tfc.sensitivity(teacher, asked, [tfc.Prune(0.9)], where, show=False).cells
    assert cell.harm > 0 and cell.whole.quality is not None


def test_a_scorer_is_kept_for_the_model_it_was_made_for(data, teacher, monkeypatch):
    made = []
    real = store.scorer
    monkeypatch.setattr(store, "scorer", lambda model: made.append(model) or real(model))
    measure = Ndcg(data, LENGTH)
    assert measure(teacher) == measure(teacher) and made == [teacher]


def test_a_recipe_trains_a_student(data, teacher, tmp_path):
    store.save_model(teacher, tmp_path)
    config = {name: value for name, value in teacher.get_config().items() if name != "name"}
    (tmp_path / "config.json").write_text(compression.json.dumps({"model": config}))
    start = compression.started(RECIPE, tmp_path, data)
    student = tfc.apply(start.student, SPEC)
    before = student.get_weights()
    heard = []
    given = training(RECIPE, start.teacher, start.data, epochs=1)
    Taught().carry_out(student, start.teacher, given, Run(tmp_path / "run", heard.append))
    assert heard and "epoch 1 of 1" in heard[-1] and "nan" not in heard[-1]
    changed = [np.abs(a - b).max() for a, b in zip(student.get_weights(), before, strict=True)]
    assert max(changed) > 0
