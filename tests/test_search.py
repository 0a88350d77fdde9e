"""tfcompress.search: trials within a budget, the front, and going on after being killed."""

import json
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import searches
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.search.early import Standing
from tfcompress.search.journal import NAME
from tfcompress.search.known import Known
from tfcompress.search.sizing import Sizes
from tfcompress.search.trial import Ending
from tfcompress.whole import write_whole
from tfcompress_cli import main

BUDGET = tfc.Budget(bytes=16_000)
POINTS = st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=12)


def run(folder, work=None, oracle=None, budget=BUDGET, objective=None, **settings):
    """A search that costs nothing; random unless said."""
    settings = {"trials": 6, "oracle": oracle or tfc.RandomDraws(), **settings}
    chosen = tfc.SearchSettings(folder, **settings)
    work = work or searches.Pretended()
    aim = objective or tfc.MaximizeQuality()
    return tfc.search(searches.network(), searches.space(), work, aim, budget, chosen)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return run(tmp_path_factory.mktemp("search") / "found")


# Mathematics.


@settings(deadline=None)
@given(POINTS)
def test_the_front_is_what_brute_force_finds(points):
    def beats(a, b):
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    expected = [not any(beats(other, point) for other in points) for point in points]
    assert tfc.pareto_front(points).tolist() == expected


FIGURES = tfc.Figures(0.5, 1000, 10.0, 900, 800)


@pytest.mark.parametrize(
    ("limits", "missed"),
    [
        ({}, {}),
        ({"bytes": 1000, "latency_us": 10, "parameters": 900, "multiply_adds": 800}, {}),
        ({"bytes": 500, "quality": 1.0}, {"bytes": 1.0, "quality": 0.5}),
        ({"latency_us": 8.0}, {"latency_us": 0.25}),
    ],
)
def test_a_budget_says_what_is_missed_and_by_how_much(limits, missed):
    assert tfc.Budget(**limits).excess(FIGURES) == missed


def test_whatever_misses_the_budget_is_worse_than_whatever_holds_it():
    from tfcompress.search.budget import whole_loss

    before = tfc.Figures(0.5, 2000, 20.0, 900, 800)
    poor, good = replace(FIGURES, quality=0.0), replace(FIGURES, quality=0.5, bytes=1001)
    limit = tfc.Budget(bytes=1000)
    for objective in (tfc.MaximizeQuality(), tfc.MinimizeBytes(), tfc.MinimizeLatency()):
        losses = [whole_loss(one, objective, limit, before) for one in (poor, good)]
        assert losses[0] < losses[1]
        assert whole_loss(poor, objective, limit, before, finished=False) > losses[0]


def test_early_ends_wait_for_enough_others():
    others = [Standing(-0.9, 0.9, 10)] * 4
    poor = Standing(-0.1, 0.1, 20)
    assert not tfc.MedianRule(least=5).ends(1, poor, others)
    assert tfc.MedianRule(least=4).ends(1, poor, others)
    assert not tfc.MedianRule(least=4, after=2).ends(1, poor, others)
    assert not tfc.MedianRule(least=4).ends(1, replace(poor, bytes=5), others)


# Before anything is trained.


def test_no_trial_is_spent_on_what_cannot_meet_the_budget(found):
    assert found.rejected > 0
    assert len(found.trials) == 6
    model = searches.network()
    for trial in found.trials:
        planned = tfc.plan(model, trial.spec)
        assert tfc.Costs.of(planned) == trial.costs
        assert trial.costs.least_bytes <= 16_000


def test_a_budget_out_of_reach_is_refused_before_any_trial(tmp_path):
    work = searches.Pretended()
    both = tfc.Budget(bytes=100, multiply_adds=7)
    with pytest.raises(tfc.SpecError, match="nearest misses bytes of 100 by .*, multiply_adds of"):
        run(tmp_path / "s", work, budget=both)
    assert work.trained == 0


class Heavy(searches.Pretended):
    """A graph that grows by 900 bytes with factors, which no plan knows; notes what it trains."""

    def _graph(self, student):
        return 900 * ("Factorized" in str(student.get_config()))

    def export(self, student, folder):
        made = super().export(student, folder)
        text = made.model.read_text()
        made.model.write_text(text.ljust(made.model.stat().st_size + self._graph(student)))
        return made


def missed(trial, budget):
    return trial.figures.bytes - budget.bytes


@pytest.mark.parametrize(
    "oracle", [tfc.RandomDraws(), tfc.Bayesian(initial=2), tfc.ExpectedImprovement(drawn=32)]
)
def test_no_trial_is_trained_whose_file_is_too_large_by_its_graph(tmp_path, oracle, monkeypatch):
    """Of a plan alone some would be, at a budget that many specs are just below."""
    budget, how = tfc.Budget(bytes=11_000), {"trials": 5}
    result = run(tmp_path / "s", Heavy(), oracle, budget, **how)
    assert result.trials and all(missed(trial, budget) <= 0 for trial in result.trials)
    assert len(result.within) == len(result.trials)
    assert not list((tmp_path / "s").glob(".size*"))
    monkeypatch.setattr(Known, "fits", lambda self, values: True)
    guessed = run(tmp_path / "t", Heavy(), oracle, budget, **how)
    outside = [trial for trial in guessed.finished if missed(trial, budget) > 0]
    assert outside and not any(trial in guessed.within for trial in outside)  # made, not counted


def test_what_is_tried_first_has_to_fit_with_its_graph(tmp_path):
    first = {"table/Factorize": "on", "table/Factorize/rank": 8, "table/Quantize/bits": 4}
    first |= {"Dense/Prune": "off", "Dense/Quantize/bits": 4}
    size = run(tmp_path / "s", Heavy(), trials=1, budget=tfc.Budget(), start=[first])
    limit = tfc.Budget(bytes=size.trials[0].figures.bytes - 100)
    with pytest.raises(tfc.SpecError, match="whose file is larger than the budget's"):
        run(tmp_path / "t", Heavy(), trials=1, budget=limit, start=[first])


def test_zeros_that_a_schedule_brings_are_in_the_size(tmp_path):
    grows = tfc.Prune(0.9, schedule=tfc.PolynomialDecay(end_step=100))
    at_once = tfc.Prune(0.9)
    sizes = Sizes(searches.network(), searches.Pretended(), tmp_path)
    late, early = (
        tfc.Spec([tfc.rule(tfc.by_type("Dense"), technique)]) for technique in (grows, at_once)
    )
    assert sizes.known(late) is None and sizes.of(late) == sizes.of(early) == sizes.known(late)
    none = tfc.Spec([tfc.rule(tfc.by_name("nowhere"), tfc.Quantize(8))])
    assert sizes.of(none) is None  # a trial says what is wrong with it


def test_values_given_at_the_start_are_tried_first(tmp_path):
    first = {"table/Factorize": "off", "table/Quantize/bits": 4, "Dense/Quantize/bits": 4}
    first["Dense/Prune"] = "off"
    result = run(tmp_path / "s", start=[first], trials=2)
    assert result.trials[0].values == first
    with pytest.raises(tfc.SpecError, match="start has .* it misses bytes of 16,000 by"):
        run(tmp_path / "t", start=[{**first, "Dense/Quantize/bits": 8, "table/Quantize/bits": 8}])


REFUSED = {
    "a limit of nothing": (lambda: tfc.Budget(bytes=0), "bytes=0; expected more than 0"),
    "a limit in words": (lambda: tfc.Budget(bytes="1 MB"), "bytes='1 MB'; expected a number"),
    "no trials": (lambda: tfc.SearchSettings("x", trials=0), "trials=0; expected a whole number"),
    "no time": (lambda: tfc.SearchSettings("x", hours=0.0), "hours=0.0; expected more than 0"),
    "no patience": (lambda: tfc.SearchSettings("x", patience=0), "patience=0; expected more"),
    "no oracle": (lambda: tfc.SearchSettings("x", oracle="bayesian"), "expected a OracleChoice"),
    "a median of none": (lambda: tfc.MedianRule(least=0), "least=0; expected a whole number"),
    "hyperband by one": (lambda: tfc.Hyperband(factor=1), "expected factor from 2"),
    "a bayesian of none": (lambda: tfc.Bayesian(initial=0), "expected initial from 1"),
    "no parts": (
        lambda: tfc.Examples(([1], [1]), ([1], [1]), None, len, parts=0),
        "parts=0; expected more than 0",
    ),
    "no examples": (lambda: tfc.Examples(([], []), ([1], [1]), None, len), "no examples in train"),
    "no strategy": (
        lambda: tfc.Examples(([1], [1]), ([1], [1]), None, len, strategy="mirrored"),
        "strategy='mirrored'; expected one with all its replicas in this process",
    ),
    "no search": (lambda: tfc.SearchResult.read("nowhere"), "nowhere holds no search"),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_cannot_be_is_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(tfc.TfcompressError, match=message):
        make()


def test_a_search_wants_open_values_and_work(tmp_path):
    settings = tfc.SearchSettings(tmp_path / "s")
    plain = tfc.Spec([tfc.rule(searches.TABLE, tfc.Quantize(8))])
    usual = (searches.Pretended(), tfc.MaximizeQuality(), tfc.Budget(), settings)
    with pytest.raises(tfc.SpecError, match="a spec without open values"):
        tfc.search(searches.network(), plain, *usual)
    with pytest.raises(tfc.SpecError, match="a space without open values"):
        tfc.search(searches.network(), tfc.Space(plain.rules), *usual)
    with pytest.raises(tfc.SpecError, match="received 'data'; expected a Work"):
        tfc.search(searches.network(), searches.space(), "data", *usual[1:])


# What was found.


def test_the_result_holds_every_trial_the_front_and_the_best(found):
    assert [trial.number for trial in found.trials] == list(range(6))
    assert all(trial.file.stat().st_size == trial.figures.bytes for trial in found.finished)
    assert all(trial.figures.bytes <= 16_000 for trial in found.within)
    assert found.front and all(trial in found.within for trial in found.front)
    best = max(found.within, key=lambda trial: trial.figures.quality)
    assert found.best == best
    student = found.best.apply(searches.network())
    assert tfc.plan(searches.network(), best.spec).bytes_after == best.costs.bytes
    assert student.count_params() > 0
    folder = Path(best.folder).parents[1]
    assert tfc.Spec.from_json((folder / "best.json").read_text()) == best.spec
    assert tfc.SearchResult.read(folder) == found
    data = found.to_data()
    assert data["best"] == best.number and json.loads(json.dumps(data)) == data


def test_its_page_is_made_of_its_journal_alone(found, tmp_path, capsys):
    points = found.page_data()["points"]
    assert [one["kind"] for one in points].count("front") == len(found.front)
    assert len(points) == len(found.finished) + 1 and points[0]["kind"] == "before"
    shutil.copy(Path(found.best.folder).parents[1] / NAME, tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert all(f"trial {trial.number}: {trial.figures.bytes:,}" in page for trial in found.finished)
    assert f"Wrote {tmp_path / 'report.html'}." in capsys.readouterr().out


def test_it_prints_and_draws(found, tmp_path):
    text = str(found)
    assert "before" in text and "finished, front, best" in text
    assert f"{found.rejected} specs were drawn that cannot meet the budget." in text
    assert found.draw(tmp_path / "front.svg").read_text().count("<svg") == 1


def test_where_nothing_holds_the_budget_it_says_what_comes_nearest(found):
    stricter = replace(found, budget=tfc.Budget(quality=0.9))
    with pytest.raises(tfc.SearchError, match="No file of 6 holds the budget; trial . comes near"):
        _ = stricter.best
    assert stricter.front == ()
    with pytest.raises(tfc.SearchError, match="None of 0 trials finished"):
        _ = replace(found, trials=()).best
    with pytest.raises(tfc.SearchError, match="nothing can be drawn"):
        replace(found, trials=()).draw("nowhere.png")


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(tmp_path, capsys):
    result = run(tmp_path / "s", searches.Pretended(fails=(0, 1, 2, 3)))
    endings = [trial.ending for trial in result.trials]
    assert endings == [Ending.FAILED] * 4 + [Ending.FINISHED] * 2
    assert "the disk is on fire" in result.trials[0].error
    assert "Traceback" not in capsys.readouterr().out
    only = replace(result, trials=result.trials[:1])
    with pytest.raises(tfc.SearchError, match="the disk is on fire"):
        _ = only.best


def test_a_quality_that_is_no_number_is_a_failure(tmp_path):
    class Broken(searches.Pretended):
        def quality(self, file):
            return float("nan") if "before" not in str(file) else 0.5

    result = run(tmp_path / "s", Broken(), trials=1)
    assert "expected a number" in result.trials[0].error


class Tiring(searches.Pretended):
    """From the fourth trial on, all that are trained come to little, however large they are."""

    def train(self, student, parts, seed):
        for quality in super().train(student, parts, seed):
            yield quality / (10 if self.trained > 3 else 1)


def test_bad_trials_end_early(tmp_path):
    work = Tiring(parts=3)
    result = run(tmp_path / "s", work, trials=9, early=tfc.MedianRule(least=3))
    early = [trial for trial in result.trials if trial.ending is Ending.ENDED_EARLY]
    assert early and all(len(trial.qualities) < 3 for trial in early)
    assert all(trial.file is None and trial.figures.latency_us is None for trial in early)
    whole = run(tmp_path / "t", work, trials=4, early=tfc.ToTheEnd())
    assert len(whole.finished) == 4


# Oracles.


def test_bayesian_draws_what_is_new_and_within_the_budget(tmp_path):
    result = run(tmp_path / "s", oracle=tfc.Bayesian(initial=3), trials=5)
    specs = [trial.spec.to_json() for trial in result.trials]
    assert len(set(specs)) == 5
    assert all(trial.costs.least_bytes <= 16_000 for trial in result.trials)


def test_hyperband_trains_the_best_further(tmp_path):
    work = searches.Pretended(parts=4)
    result = run(tmp_path / "s", work, oracle=tfc.Hyperband(), trials=9, early=tfc.ToTheEnd())
    assert range(2, 4) in work.asked and range(0, 2) in work.asked
    assert len(result.finished) == len(result.trials)


def test_a_student_whose_weights_are_elsewhere_is_trained_from_the_start(tmp_path):
    from tfcompress.search.carry import Place, Task, carry_out

    work, model = searches.Pretended(parts=4), searches.network()
    known = Known(model, searches.space(), tfc.Budget())
    values = known.space.draw(random.Random(1))
    place = Place(known, work, tmp_path, 1, "alone")
    carry_out(place, Task(1, values, range(2, 4), further=0), lambda part, quality: True)
    assert work.asked == [range(0, 4)]


# Going on.


def test_called_again_it_goes_on_where_it_ended(tmp_path):
    first, second = searches.Pretended(), searches.Pretended()
    run(tmp_path / "s", first, trials=3)
    result = run(tmp_path / "s", second, trials=5)
    assert (first.trained, second.trained) == (3, 2)
    whole = run(tmp_path / "t", trials=5)
    assert [t.values for t in result.trials] == [t.values for t in whole.trials]


def test_time_is_up(tmp_path):
    work = searches.Pretended(seconds=0.2)
    result = run(tmp_path / "s", work, hours=0.3 / 3600, trials=9)
    assert 1 <= len(result.trials) <= 2


def test_another_search_in_the_same_directory_is_refused(tmp_path):
    run(tmp_path / "s", trials=1)
    with pytest.raises(tfc.SpecError, match="holds a search with another budget"):
        run(tmp_path / "s", budget=tfc.Budget(bytes=15_000))
    with pytest.raises(tfc.SpecError, match="holds a search with another seed"):
        run(tmp_path / "s", seed=2)
    (tmp_path / "s" / NAME).write_text("{")
    with pytest.raises(tfc.SpecError, match="is no journal of a search"):
        run(tmp_path / "s")
    write_whole(tmp_path / "s" / NAME, '{"format": 99}')
    with pytest.raises(tfc.SpecError, match="is no journal of format 1"):
        run(tmp_path / "s")


def test_what_was_half_written_is_cleared_away(tmp_path):
    half = tmp_path / "s" / "trials" / ".0003.abc"
    half.mkdir(parents=True)
    (tmp_path / "s" / f".{NAME}.77.part").write_text("{")
    run(tmp_path / "s", trials=1)
    assert not half.exists() and not list((tmp_path / "s").glob(".*"))


def test_a_file_that_cannot_be_written_stays_what_it_was(tmp_path):
    path = tmp_path / "file"
    write_whole(path, "before")
    with pytest.raises(TypeError):
        write_whole(path, 7)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """What tests/search_processes.py leaves."""
    folder = tmp_path_factory.mktemp("processes")
    script = Path(__file__).with_name("search_processes.py")
    command = [sys.executable, str(script), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return folder


def _environment():
    import os

    here = Path(__file__).parent
    paths = [str(here.parent), str(here), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.mark.slow
def test_killed_at_random_moments_it_finds_what_it_would_have_found(killed):
    whole, broken = (tfc.SearchResult.read(killed / name) for name in ("whole", "killed"))
    assert len(whole.trials) == 7
    for one, other in zip(whole.trials, broken.trials, strict=True):
        assert (one.values, one.figures, one.qualities) == (
            other.values,
            other.figures,
            other.qualities,
        )
    assert whole.best.number == broken.best.number
    landed, _, kills = (killed / "landed").read_text().split()
    assert int(landed) >= int(kills) / 2, "it had ended before most of the kills"
    ended = (killed / "killed.ended").read_text().split()
    assert len(ended) == len(set(ended)), "a trial that ended was run again"


@pytest.mark.slow
def test_a_lost_workers_trial_is_run_elsewhere_and_every_trial_once(killed):
    result = tfc.SearchResult.read(killed / "many")
    assert [trial.number for trial in result.trials] == list(range(6))
    assert {trial.worker for trial in result.trials} == {"other"}
    assert all(trial.ending is Ending.FINISHED for trial in result.trials)
    assert (killed / "started").exists(), "the other worker was in the middle of a trial"


@pytest.mark.slow
def test_a_worker_that_comes_late_says_so_and_ends(killed):
    """As on a machine that sees nothing of the chief's directory."""
    seconds, said = (killed / "late").read_text().split(" ", 1)
    assert 0.5 <= float(seconds) < 5
    assert re.match(r"No chief answered at 127.0.0.1:\d+ for 0.5 s; expected a search", said)
    assert "If it has ended there is nothing left to do" in said
    assert not (killed / "elsewhere" / "late").exists(), "nothing was prepared for it"


@pytest.mark.slow
def test_a_worker_whose_chief_is_gone_ends(killed):
    seconds, said = (killed / "alone").read_text().split(" ", 1)
    assert "No chief answered at" in said and float(seconds) < 20
    assert tfc.SearchResult.read(killed / "left").trials == ()


# A search on a real model.


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def accuracy(labels, outputs):
    return float((outputs.argmax(-1) == labels).mean())


def trained():
    """A model of two layers, and 128 examples that it knows."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(128, 64)).astype(np.float32)
    y = (x @ generator.normal(size=(64, 4))).argmax(-1)
    model = keras.Sequential(
        [keras.layers.Dense(32, activation="relu", input_shape=(64,)), keras.layers.Dense(4)]
    )
    model.compile(keras.optimizers.Adam(0.01), LOSS)
    model.fit(x, y, epochs=5, verbose=0)
    return model, x, y


def test_a_real_model_is_searched_for_a_smaller_file(tmp_path):
    model, x, y = trained()
    before = [weight.numpy() for weight in model.weights]
    data = tfc.Examples((x, y), (x[:32], y[:32]), LOSS, accuracy, parts=2)
    tune = tfc.tune
    space = tfc.Spec(
        [tfc.rule(tfc.by_type("Dense"), tfc.Quantize(tune.Choice(8, 4), tune.Choice(
            tfc.PerChannel(), tfc.PerTensor())))]
    )  # fmt: skip
    settings = tfc.SearchSettings(tmp_path / "s", tfc.RandomDraws(), trials=2)
    result = tfc.search(model, space, data, tfc.MinimizeBytes(), tfc.Budget(quality=0.5), settings)
    assert len(result.within) == 2
    assert result.best.figures.bytes < result.before.bytes
    assert result.best.figures.latency_us > 0
    assert tfc.Precomputed(tmp_path / "s" / "answers").rows == 128
    for weight, kept in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, kept)


class Seen(tfc.Examples):
    """Keeps the student of its last trial."""

    def train(self, student, parts, seed):
        self.student = student
        yield from super().train(student, parts, seed)


def test_a_trial_trains_in_a_distribution_strategy(tmp_path, strategy):
    """As it does without: the same steps, on batches of all examples."""
    model, x, y = trained()
    dense = tfc.Prune(0.5), tfc.Quantize(tfc.tune.Choice(8, 4), tfc.PerTensor())
    space = tfc.Spec([tfc.rule(tfc.by_type("Dense"), *dense)])
    found = []
    for name, shared in (("one", None), ("two", strategy)):
        work = Seen((x, y), (x, y), LOSS, accuracy, 3, 128, 0.02, strategy=shared)
        settings = tfc.SearchSettings(tmp_path / name, tfc.RandomDraws(), trials=1)
        result = tfc.search(model, space, work, tfc.MinimizeBytes(), tfc.Budget(), settings)
        found.append((work.student, result.trials[0]))
    (one, alone), (two, together) = found
    assert two.distribute_strategy is strategy and one.distribute_strategy is not strategy
    assert together.error is None and together.figures.bytes == alone.figures.bytes
    assert together.figures.quality == pytest.approx(alone.figures.quality, abs=0.02)
    start = tfc.apply(model, alone.spec)
    for own, other, before in zip(one.layers, two.layers, start.layers, strict=True):
        np.testing.assert_allclose(other.kernel, own.kernel, atol=2e-3)
        assert float((np.array(other.kernel) == 0).mean()) == pytest.approx(0.5, abs=0.01)
        assert np.abs(np.array(other.kernel) - np.array(before.kernel)).max() > 0.01
