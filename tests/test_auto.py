"""Auto on a toy: it reaches a budget, says what is out of reach, resumes, and starts warm."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from tfcompress.auto import AsIs, FineTune, Taught
from tfcompress.auto.attempts import Proposal
from tfcompress.auto.display import Display
from tfcompress.auto.efforts import Effort, Run
from tfcompress.auto.trying import Trier
from tfcompress.export.contract import contract_of
from tfcompress.page import search_page
from tfcompress.search.weights import take_weights
from tfcompress.sensitivity import Whole

CLASSES, IDS = 10, 400
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
TRIED = (
    tfc.Quantize(8, tfc.PerTensor()),
    tfc.Quantize(4, tfc.PerTensor(), tfc.MeanSquare()),
    tfc.Quantize(2, tfc.PerTensor(), tfc.MeanSquare()),
    tfc.Factorize(tfc.Fraction(0.5)),
    tfc.Factorize(tfc.Fraction(0.25)),
)


def histories(count, seed):
    """Five ids of a class each, some of them noise: float32 `[count, 5]`, int32 `[count]`."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, CLASSES, count)
    ids = CLASSES * rng.integers(0, IDS // CLASSES, (count, 5)) + classes[:, None]
    ids = np.where(rng.random((count, 5)) < 0.3, rng.integers(0, IDS, (count, 5)), ids)
    return ids.astype(np.float32), classes.astype(np.int32)


TRAIN, VALID = histories(2048, 0), histories(150, 1)


def fresh():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.layers.Embedding(IDS, 16, input_length=5, name="table"),
            keras.layers.GlobalAveragePooling1D(name="mean"),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(CLASSES, name="head"),
        ]
    )


@functools.cache
def weights():
    model = fresh()
    model.compile("adam", loss=LOSS)
    model.fit(*TRAIN, epochs=12, batch_size=64, verbose=0)
    return model.get_weights()


def trained():
    model = fresh()
    model.set_weights(weights())
    return model


def quality(path):
    """Accuracy of the file alone."""
    model = tfc.LiteModel(path)
    (name,) = model.inputs("serve")
    answers = [next(iter(model.run("serve", {name: row[None]}).values())) for row in VALID[0]]
    return float(np.mean([answer.argmax() for answer in answers] == VALID[1]))


def data(training=True):
    batches = tf.data.Dataset.from_tensor_slices(TRAIN).batch(64)
    train = tfc.Training(batches, epochs=2, learning_rate=3e-3, loss=LOSS) if training else None
    return tfc.AutoData(tfc.Probe([TRAIN[0][:128]], harm=tfc.Divergence()), quality, train)


def settings(folder, techniques=TRIED, **others):
    return tfc.AutoSettings(folder, techniques, show=False, **others)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run that meets its budget without training."""
    how = settings(tmp_path_factory.mktemp("auto") / "first", TRIED[:3])
    return tfc.auto(trained(), data(training=False), tfc.Budget(bytes=7500), settings=how)


def test_a_budget_is_met_by_the_file_and_the_spec_makes_it(first, tmp_path):
    assert first.met and first.file.stat().st_size <= 7500
    assert quality(first.file) >= first.budget.quality >= 0.9
    assert first.budget.quality == pytest.approx(0.99 * first.baseline.quality)
    student = tfc.export(tfc.apply(trained(), first.spec), tmp_path / "again")
    assert student.model.stat().st_size == first.file.stat().st_size
    assert tfc.AutoResult.load(first.folder) == first
    assert "weights in fewer bits" in str(first)
    assert first.rows()[-1]["met"] and json.dumps(first.rows())
    drawn = first.page_data()
    assert drawn["points"][0]["kind"] == "before" and first.number
    assert f"attempt {first.number}: {first.attempts[first.number - 1].measured.bytes:,} bytes" in (
        search_page(drawn, "auto")
    )


def test_it_says_what_it_tries_and_why(first, capsys):
    how = tfc.AutoSettings(first.folder, TRIED[:3])  # all of it is there already
    assert tfc.auto(trained(), data(training=False), tfc.Budget(bytes=7500), settings=how) == first
    shown = capsys.readouterr().out
    assert "Without fine-tuning: there is no Training" in shown
    assert "weights in fewer bits" in shown and "the budget holds" in shown


def test_it_trains_where_it_has_to_and_goes_on_after_an_interruption(tmp_path, monkeypatch):
    budget, how = tfc.Budget(bytes=3700), settings(tmp_path, TRIED[2:3])
    real, made = Trier.run, []

    def run(self, number, proposal, *others):
        if "interrupted" not in made and number == 2:
            made.append("interrupted")
            raise KeyboardInterrupt
        made.append(number)
        return real(self, number, proposal, *others)

    monkeypatch.setattr(Trier, "run", run)
    with pytest.raises(KeyboardInterrupt):
        tfc.auto(trained(), data(), budget, settings=how)
    (kept,) = json.loads((tmp_path / "history.json").read_text())["attempts"]
    done = tfc.auto(trained(), data(), budget, settings=how)
    assert made[:3] == [1, "interrupted", 2] and made[3:] == [*range(3, len(done.attempts) + 1)]
    assert done.met and done.rows()[0]["seconds"] == kept["seconds"]
    efforts = [type(attempt.proposal.effort) for attempt in done.attempts]
    assert efforts in ([AsIs, FineTune], [AsIs, FineTune, Taught])
    with pytest.raises(tfc.SpecError, match="is of another run: budget differ"):
        tfc.auto(trained(), data(), tfc.Budget(bytes=9), settings=how)


def test_a_training_goes_on_after_its_last_epoch(tmp_path):
    model, heard, effort = trained(), [], Taught()

    def note(text):
        heard.append(text.split(",")[0])
        if text.startswith("epoch 2 of 2, step 3,") and heard.count("epoch 2 of 2") == 3:
            raise KeyboardInterrupt

    few = tf.data.Dataset.from_tensor_slices(TRAIN).batch(256)
    training = tfc.Training(few, epochs=2, learning_rate=0.01, loss=LOSS)
    spec = tfc.Spec([tfc.rule(tfc.by_name("table"), tfc.Quantize(2, tfc.PerTensor()))])
    student = tfc.apply(model, spec)
    with pytest.raises(KeyboardInterrupt):
        effort.carry_out(student, model, training, Run(tmp_path, note))
    heard.clear()
    again = tfc.apply(model, spec)
    before = again.get_layer("table").embeddings.numpy()
    effort.carry_out(again, model, training, Run(tmp_path, heard.append))
    assert {text.split(",")[0] for text in heard} == {"epoch 2 of 2"}
    assert np.abs(again.get_layer("table").embeddings - before).max() > 0


class Raises(Effort):
    """Adds one to each bias of the head."""

    words = "raising"

    def why_not(self, training):
        return None

    def carry_out(self, student, model, training, run):
        student.get_layer("head").bias.assign_add(tf.ones(CLASSES))


def test_a_training_begins_with_what_an_earlier_one_at_the_spec_left(tmp_path):
    trier = Trier(trained(), data(False), tfc.Budget(bytes=9), tmp_path, 0, Display(False))
    spec = tfc.Spec([tfc.rule(tfc.by_name("table"), tfc.Quantize(8))])
    proposal, whole = Proposal(spec, Raises(), 0, "why"), Whole(0, 0, 0)
    runs = [trier.run(number, proposal, whole, warm) for number, warm in ((1, 7), (2, 1))]
    assert [one.warm_from for one in runs] == [None, 1]  # of attempt 7 there are no weights
    assert all(one.measured is not None for one in runs)
    before = trained().get_layer("head").bias.numpy()
    for number in (1, 2):
        student = tfc.apply(trained(), spec)
        take_weights(student, tmp_path / "training" / f"0{number}" / "weights.npz")
        after = student.get_layer("head").bias.numpy()
        np.testing.assert_allclose(after - before, number, atol=1e-5)


def test_what_is_out_of_reach_is_said_with_what_it_would_take(tmp_path):
    small = tfc.auto(
        trained(), data(), tfc.Budget(bytes=400), settings=settings(tmp_path / "a", TRIED[2:4])
    )
    assert not small.met and small.attempts == () and small.number == 0 and small.spec is None
    assert f"has {small.least_bytes:,} bytes by plan" in small.verdict
    budget = tfc.Budget(bytes=3600, quality=0.999)
    how = settings(tmp_path / "b", TRIED[2:3], attempts=1)
    poor = tfc.auto(trained(), data(training=False), budget, settings=how)
    assert not poor.met and poor.number == 1
    assert "short of 0.9990" in poor.verdict and "Stopped after 1 attempt." in poor.verdict


def test_it_starts_warm_with_a_drifted_model_and_keeps_the_contract(first, tmp_path):
    drifted = trained()
    drifted.get_layer("head").kernel.assign_add(0.01 * tf.ones((32, CLASSES)))
    warm = tfc.auto(
        drifted,
        data(training=False),
        tfc.Budget(bytes=7500),
        start=first.folder,
        keep_contract=True,
        settings=settings(tmp_path / "second"),
    )
    assert warm.met and len(warm.attempts) == 1 and warm.spec == first.spec
    assert not (tmp_path / "second" / "sensitivity").exists()
    assert contract_of(warm.file) == first.contract


def test_a_model_that_cannot_keep_the_contract_is_refused(first, tmp_path):
    wider = keras.Sequential([*trained().layers[:3], keras.layers.Dense(12, name="head")])
    wider.build((None, 5))
    refused = functools.partial(tfc.auto, wider, data(False), tfc.Budget(bytes=7500))
    with pytest.raises(
        tfc.SpecError, match="cannot keep the contract .* float32 \\[1, 10\\] is gone"
    ):
        refused(start=first, keep_contract=True, settings=settings(tmp_path / "third"))
    with pytest.raises(
        tfc.SpecError, match="keep_contract=True and start=None; expected the result"
    ):
        refused(keep_contract=True, settings=settings(tmp_path / "fourth"))
    assert not (tmp_path / "fourth").exists()


SPEC = tfc.Spec([tfc.rule(tfc.by_name("nowhere"), tfc.Quantize(8))])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, tfc.Budget(bytes=1)), "received data=None; expected AutoData"),
        ((data(), 100), "received budget=100; expected a limit"),
        ((data(), tfc.Budget()), "quality=None\\); expected a limit"),
        ((data(), tfc.Budget(bytes=1), 5), "received start=5; expected a Spec"),
        ((data(), tfc.Budget(bytes=1), SPEC), "matches no layer"),
        ((data(), tfc.Budget(bytes=1), "nowhere"), "result.json is not there"),
    ],
)
def test_what_is_refused_before_anything_is_made(tmp_path, arguments, message):
    with pytest.raises(tfc.SpecError, match=message):
        tfc.auto(fresh(), *arguments, settings=settings(tmp_path / "work"))
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.AutoData([np.ones(3)], quality=0.5), "quality=0.5; expected a function"),
        (lambda: tfc.Training([], epochs=0), "epochs=0; expected more than 0"),
        (lambda: tfc.Training([], teaching=1), "teaching=1; expected Teaching"),
        (lambda: tfc.AutoSettings(keep=1.5), "keep=1.5; expected 0 < keep <= 1"),
        (lambda: tfc.AutoSettings(attempts=0), "attempts=0; expected some"),
        (lambda: tfc.AutoResult.from_json('{"version": 7}'), "version 7; expected 1"),
        (
            lambda: tfc.AutoResult.from_json('{"version": 1, "type": "AsIs"}'),
            "Received a AsIs; expected an AutoResult",
        ),
    ],
)
def test_fields_are_checked(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()
