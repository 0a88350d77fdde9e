"""experiments.train: learns, stops anywhere, resumes to the same weights, keeps the best epoch."""

import json
import os
import signal
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from absl.testing import flagsaver

from experiments import ranking
from experiments import train as script
from experiments.data import movielens
from experiments.data.movielens import MovieLens
from experiments.models import store, tf
from experiments.state import Checkpoint, Progress
from experiments.stopping import StopRequest
from experiments.training import Stopped, TrainingConfig, batches, make_optimizer

N_ITEMS = 30
CONFIG = {
    "model": {"length": 8, "dim": 8, "blocks": 1, "heads": 2, "feedforward": 16, "dropout": 0.3},
    "training": {
        "seed": 3, "batch": 16, "epochs": 4, "peak_learning_rate": 0.03, "warmup_steps": 2,
    },
}  # fmt: skip
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def data():
    """Users who walk through the items in order, from where they happen to start."""
    starts = np.random.default_rng(0).integers(0, N_ITEMS, 80)
    walks = [((start + np.arange(14)) % N_ITEMS + 1).astype(np.int32) for start in starts]
    return MovieLens(("", *(f"item {i}" for i in range(N_ITEMS))), walks)


def config_file(folder, **changes):
    path = folder / "config-to-train.json"
    path.write_text(json.dumps({**CONFIG, "training": {**CONFIG["training"], **changes}}))
    return path


def weights(folder):
    with np.load(folder / "weights.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """The folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("trained")
    script.train(config_file(folder), folder / "out", data)
    return folder / "out"


def stop_after(steps):
    calls = count()
    return lambda: next(calls) == steps


def test_it_learns(trained):
    results = json.loads((trained / "results.json").read_text())
    losses = [row["loss"] for row in results["validation"]]
    assert losses[-1] < losses[0] - 0.3
    assert results["test"]["ndcg@10"] > 0.7  # by chance 0.27: ten of the 17 items not yet seen


def test_results_say_what_made_them(trained):
    results = json.loads((trained / "results.json").read_text())
    assert [row["epoch"] for row in results["validation"]] == [1, 2, 3, 4]
    best = max(results["validation"], key=lambda row: row["ndcg"])
    assert results["best_epoch"] == best["epoch"]
    assert (results["seed"], results["test"]["users"]) == (3, 80)
    assert results["versions"]["tensorflow"] == tf.__version__
    assert results["machine"]["cpu_count"] == os.cpu_count()
    assert sorted(path.name for path in trained.iterdir()) == [
        "config.json", "results.json", "weights.npz"]  # fmt: skip


def test_the_model_loads_as_it_was_evaluated(trained, data):
    score = store.scorer(store.load_model(trained))
    results = json.loads((trained / "results.json").read_text())
    test = ranking.hr_ndcg(ranking.evaluate(score, data, "test", 8))
    assert test == (results["test"]["hr@10"], results["test"]["ndcg@10"])
    best = results["validation"][results["best_epoch"] - 1]
    validation = ranking.hr_ndcg(ranking.evaluate(score, data, "validation", 8))
    assert validation == (best["hr"], best["ndcg"])


@pytest.mark.parametrize("steps", [0, 7, 10])
def test_a_resumed_run_ends_with_the_same_weights(steps, trained, data, tmp_path):
    config, out = config_file(tmp_path), tmp_path / "out"
    with pytest.raises(Stopped, match="Stopped after . of 10 steps .* Run the same command"):
        script.train(config, out, data, stop=stop_after(steps))
    assert [path.name for path in out.iterdir()] == ["checkpoint.npz"]
    tf.keras.utils.set_random_seed(99)  # a new process would have another state
    results = script.train(config, out, data)
    expected = weights(trained)
    assert weights(out).keys() == expected.keys()
    for name, weight in weights(out).items():
        np.testing.assert_array_equal(weight, expected[name], err_msg=name)
    before = json.loads((trained / "results.json").read_text())["validation"]
    assert [row["ndcg"] for row in results["validation"]] == [row["ndcg"] for row in before]
    losses = [row["loss"] for row in results["validation"]]
    assert losses == pytest.approx([row["loss"] for row in before], rel=1e-6)


def test_the_best_epoch_is_kept_not_the_last(data, tmp_path, monkeypatch):
    values = iter([0.1, 0.9, 0.9, 0.2])
    monkeypatch.setattr(ranking, "hr_ndcg", lambda ranks, k=10: (0.5, next(values, 0.0)))
    results = script.train(config_file(tmp_path), tmp_path / "out", data)
    assert results["best_epoch"] == 2  # the first of equals
    # The same run, stopped where its third epoch begins: its weights are those of the second.
    values = iter([0.1, 0.9])
    with pytest.raises(Stopped):
        script.train(config_file(tmp_path), tmp_path / "stopped", data, stop=stop_after(20))
    with np.load(tmp_path / "stopped" / "checkpoint.npz") as arrays:
        for index, weight in enumerate(weights(tmp_path / "out").values()):
            np.testing.assert_array_equal(weight, arrays[f"variable/{index}"])


def test_a_finished_run_is_not_trained_again(trained, data, tmp_path):
    before = (trained / "weights.npz").stat().st_mtime_ns
    results = script.train(config_file(tmp_path), trained, data)
    assert results == json.loads((trained / "results.json").read_text())
    assert (trained / "weights.npz").stat().st_mtime_ns == before


def test_a_folder_of_another_run_is_refused(trained, data, tmp_path):
    with pytest.raises(ValueError, match="holds a model trained with .*Choose another --out"):
        script.train(config_file(tmp_path, seed=4), trained, data)


def test_a_checkpoint_of_another_run_is_refused(data, tmp_path):
    with pytest.raises(Stopped):
        script.train(config_file(tmp_path), tmp_path / "out", data, stop=stop_after(1))
    for section, field in (("training", {"batch": 8}), ("model", {"dropout": 0.1})):
        other = {**CONFIG, section: {**CONFIG[section], **field}}
        (tmp_path / "other.json").write_text(json.dumps(other))
        with pytest.raises(ValueError, match="belongs to a run with .*delete the file to start"):
            script.train(tmp_path / "other.json", tmp_path / "out", data)


def test_weights_that_do_not_fit_are_refused(trained, tmp_path):
    made = json.loads((trained / "config.json").read_text())
    made["model"]["dim"] = 4
    (tmp_path / "config.json").write_text(json.dumps(made))
    (tmp_path / "weights.npz").write_bytes((trained / "weights.npz").read_bytes())
    with pytest.raises(ValueError, match="weights of shapes .*expected .*Take both files"):
        store.load_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "config.json: "),
        ('{"model": {}}', "received sections .'model'., expected"),
        ('{"model": {"width": 3}, "training": {}}', "config.json: .*unexpected .*'width'"),
        ('{"model": {"dim": 0}, "training": {}}', "dim=0, expected at least 1"),
        ('{"model": {}, "training": {"seed": 1}}', "config.json: .*missing"),
    ],
)
def test_a_bad_config_is_named(content, message, tmp_path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        script.read_config(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("name", "value"), [("batch", 0), ("epochs", -1), ("peak_learning_rate", 0.0)]
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}, expected more than 0"):
        TrainingConfig(**{**CONFIG["training"], name: value})
    with pytest.raises(ValueError, match="warmup_steps=-1, expected at least 0"):
        TrainingConfig(**{**CONFIG["training"], "warmup_steps": -1})


def test_the_teachers_config_is_the_known_recipe():
    sizes, settings = script.read_config(ROOT / "experiments" / "configs" / "teacher.json")
    assert (sizes["dim"], sizes["blocks"], sizes["length"]) == (64, 2, 64)
    assert (settings.batch, settings.peak_learning_rate) == (128, 2e-3)


def test_an_epoch_holds_each_window_once_in_its_own_order():
    settings, windows = TrainingConfig(**CONFIG["training"]), np.arange(50)[:, None]
    first, second = (np.concatenate(list(batches(windows, settings, e, 0))) for e in (0, 1))
    assert len(first) == 48 == len(np.unique(first))
    assert (first != second).any()
    rest = np.concatenate(list(batches(windows, settings, 0, 2)))
    np.testing.assert_array_equal(rest, first[32:])


def test_too_few_windows_are_refused():
    with pytest.raises(ValueError, match="Received 15 windows, expected at least 16"):
        next(batches(np.zeros((15, 9)), TrainingConfig(**CONFIG["training"]), 0, 0))


def test_the_learning_rate_rises_once_more_to_settle():
    plain = TrainingConfig(seed=0, batch=10, epochs=5, peak_learning_rate=0.5, warmup_steps=20)
    settled = replace(plain, epochs=7, settling_epochs=2, settling_rate=0.1)
    one, both = (make_optimizer(c, n_windows=109)._learning_rate for c in (plain, settled))
    steps = np.arange(70)
    rates = np.array([float(both(step)) for step in steps])
    np.testing.assert_allclose(rates[:50], [float(one(step)) for step in steps[:50]], rtol=1e-6)
    assert rates[49] < 0.01 and rates[50] == pytest.approx(0.1)
    assert (np.diff(rates[50:]) < 0).all() and float(both(70)) == pytest.approx(0, abs=1e-7)


def test_settling_takes_a_part_of_all_epochs():
    with pytest.raises(ValueError, match="settling_epochs=4 of 4 epochs, expected fewer"):
        TrainingConfig(**CONFIG["training"], settling_epochs=4)
    with pytest.raises(ValueError, match="settling_rate=-0.1, expected at least 0"):
        TrainingConfig(**CONFIG["training"], settling_rate=-0.1)


def test_the_learning_rate_warms_up_and_decays_to_zero():
    settings = TrainingConfig(seed=0, batch=10, epochs=5, peak_learning_rate=0.5, warmup_steps=20)
    schedule = make_optimizer(settings, n_windows=109)._learning_rate
    rates = [float(schedule(step)) for step in (0, 10, 20, 35, 50)]
    assert rates == pytest.approx([0, 0.25, 0.5, 0.25, 0], abs=1e-6)


def test_a_checkpoint_brings_back_progress_and_variables(tmp_path):
    variables = [tf.Variable([1.0, 2.0]), tf.Variable(5, dtype=tf.int64)]
    progress = Progress(2, 3, [{"epoch": 1, "ndcg": 0.5, "seconds": 2.0}], [np.eye(2)], 1.5, 0.5)
    Checkpoint(tmp_path / "c.npz", variables, {"a": 1}).save(progress)
    for variable in variables:
        variable.assign_add(tf.ones_like(variable))
    restored = Checkpoint(tmp_path / "c.npz", variables, {"a": 1}).restore()
    assert [variable.numpy().tolist() for variable in variables] == [[1.0, 2.0], 5]
    np.testing.assert_array_equal(restored.best.pop(), progress.best.pop())
    assert restored == progress
    assert (restored.best_epoch, restored.seconds) == (1, 2.0)


def test_without_a_checkpoint_training_starts_anew(tmp_path):
    assert Checkpoint(tmp_path / "c.npz", [], {}).restore() == Progress()


def test_a_signal_asks_to_stop_once():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stop = StopRequest()
    try:
        stop.install()
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop() and stop.received == signal.SIGTERM
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.fixture
def command(data, tmp_path, monkeypatch):
    """Calls main as the command line does, on the synthetic data."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(movielens, "load", lambda folder: data)
    script.flags.FLAGS(["train"])
    config = str(config_file(tmp_path))
    with flagsaver.flagsaver(config=config, out=str(tmp_path / "out"), epochs=1):
        yield lambda *arguments: script.main(["train", *arguments])
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_command_ends_with_a_line_of_json(command, tmp_path, capsys):
    command()
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert last == {"out": str(tmp_path / "out"), **results["test"]}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["training"]["epochs"] == 1


def test_a_signal_stops_the_command_cleanly(command, tmp_path, monkeypatch, capsys):
    run = script.Trainer.run

    def interrupted(trainer, stop):
        os.kill(os.getpid(), signal.SIGTERM)
        run(trainer, stop)

    monkeypatch.setattr(script.Trainer, "run", interrupted)
    with pytest.raises(SystemExit, match="143"):
        command()
    assert "Stopped after 0 of 10 steps of epoch 1" in capsys.readouterr().err
    assert (tmp_path / "out" / "checkpoint.npz").exists()


def test_the_command_takes_flags_only(command):
    with pytest.raises(script.app.UsageError, match="Received .'teacher.json'., expected flags"):
        command("teacher.json")
