"""benchmarks.search_replay: making a record, and replaying searches on it."""

import itertools
import json
import random
from dataclasses import replace

import numpy as np
import pytest
import searches

import tfcompress as tfc
from benchmarks.search_replay import picture, players, recording, replaying, table
from tfcompress.search.harms import Harms
from tfcompress.search.known import Known

NETWORK = searches.network()
BATCH = np.random.default_rng(0).integers(0, 200, (64, 4)).astype("int32")
STRENGTHS = (
    *(tfc.Quantize(bits) for bits in (4, 8)),
    *(tfc.Factorize(tfc.Fraction(share)) for share in (0.0625, 0.25, 0.5)),
    *(tfc.Prune(sparsity) for sparsity in (0.3, 0.6, 0.9)),
)


class Recording(searches.Pretended):
    """Trials that cost nothing, of a model whose sensitivity is measured."""

    teacher = NETWORK

    def probe(self, n):
        return tfc.Probe([BATCH[:n]])


@pytest.fixture(scope="module")
def subject():
    """80 specs; quality falls with their harm, as training would leave it, and a little at random."""
    found = tfc.sensitivity(NETWORK, [BATCH], STRENGTHS, show=False)
    space, generator, noise = searches.space(), random.Random(0), np.random.default_rng(0)
    known, before = Known(NETWORK, space, tfc.Budget()), tfc.Figures(0.9, 60_000, 1.0, 1, 1)
    known.prior = Harms(found)
    worst, rows = None, []
    drawn = [known.active(space.draw(generator)) for _ in range(80)]
    for values in {str(one): one for one in drawn}.values():  # each spec once
        spec = known.spec(values)
        prospect = known.prospect(spec)
        harm = np.sqrt(sum(prospect.harms.values()))
        worst = worst or harm
        quality = 0.9 - 0.1 * harm / worst + 0.003 * noise.standard_normal()
        figures = tfc.Figures(float(quality), prospect.costs.bytes + 2000, 1.0, 1, 1)
        rows.append(table.Row(values, figures, 1.0))
    return players.Subject.of(table.Recorded(tuple(rows), before, 0.6, found), NETWORK, space)


def test_a_record_that_was_interrupted_goes_on(tmp_path):
    def made(work, trials, folder):
        return recording.record(work, searches.space(), trials, 1, tmp_path / folder, 0.01)

    made(Recording(), 2, "parts")
    work = Recording()
    whole = made(work, 3, "parts")
    assert len(whole.rows) == 3 and work.trained == 1
    once = made(Recording(), 3, "once")
    assert [(r.values, r.figures) for r in whole.rows] == [(r.values, r.figures) for r in once.rows]
    assert (whole.before, whole.least) == (once.before, 0.01)
    table_file = tmp_path / "trials.json"
    table_file.write_text(json.dumps(table.to_data(whole)))
    assert table.read(table_file) == whole


def test_a_file_that_is_no_record_is_refused(tmp_path, subject):
    file = tmp_path / "trials.json"
    file.write_text('{"trials": []}')
    with pytest.raises(ValueError, match="is no record of trials .*search_replay record"):
        table.read(file)
    with pytest.raises(ValueError, match="none is both smaller than 60000 bytes and better than 2"):
        replace(subject.recorded, least=2.0)
    with pytest.raises(ValueError, match="of which .* differ; expected each once"):
        replace(subject.recorded, rows=subject.recorded.rows * 2)


@pytest.mark.parametrize("name", players.PLAYERS)
def test_every_search_tries_every_recorded_spec_once(name, subject):
    recorded = replace(subject.recorded, rows=subject.recorded.rows[:20])
    order = list(players.PLAYERS[name](replace(subject, recorded=recorded), 1))
    assert sorted(order) == list(range(20))
    assert order != sorted(order)
    again = players.PLAYERS[name](replace(subject, recorded=recorded), 1)
    assert list(itertools.islice(again, 6)) == order[:6]


def test_a_sensitivity_is_worth_trials(subject):
    runs = replaying.replay(
        subject,
        {name: players.PLAYERS[name] for name in ("random", "tfcompress, sensitivity")},
        range(1, 4), 0.95, {}, lambda runs: None,
    )  # fmt: skip
    rows = {row["search"]: row for row in replaying.summary(runs)}
    assert rows["tfcompress, sensitivity"]["share_of_random"] < 0.5


def test_runs_that_are_there_are_not_made_again(subject):
    def never(subject, seed):
        raise AssertionError

    kept, there = [], {"random": {"1": [1.0]}}
    replaying.replay(subject, {"random": never}, [1], 0.95, there, kept.append)
    assert there == {"random": {"1": [1.0]}} and not kept
    chosen = {"random": players.at_random}
    replaying.replay(subject, chosen, [1, 2], 0.95, there, kept.append)
    assert len(kept) == 1 and there["random"]["2"][-1] >= 0.95 > there["random"]["2"][-2]


def test_the_best_of_random_trials_is_within_the_budget(subject):
    recorded, before = subject.recorded, subject.recorded.before
    n = len(recorded.rows)
    most = sorted(row.figures.bytes for row in recorded.rows)[n // 4]
    fitting = [row.figures.quality for row in recorded.rows if row.figures.bytes <= most]
    share = (most + 0.5) / before.bytes
    every = replaying.best_of_random(recorded, share, n, draws=3)
    assert 0 < len(fitting) < n / 2
    assert every["low"] == every["median"] == every["high"] == max(fitting) / before.quality
    assert (every["without"], every["seconds"]) == (0.0, float(n))
    few = replaying.best_of_random(recorded, share, 2, draws=2000)
    assert few["median"] < every["median"]
    missed = 1 - len(fitting) / n
    assert few["without"] == pytest.approx(missed * (missed - 1 / n) / (1 - 1 / n), abs=0.04)
    assert replaying.best_of_random(recorded, 1e-6, 2, draws=3)["without"] == 1.0


def test_shares_are_of_what_all_specs_cover(subject):
    recorded = subject.recorded
    shares = replaying.played(recorded, iter(range(len(recorded.rows))), 1.0)
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    assert shares[0] == recorded.covered([0]) / recorded.best


def test_medians_come_with_intervals_that_hold_them():
    counts = {"random": [40, 60, 80, 50, 70], "other": [10, 12, 14, 11, 13]}
    runs = {
        name: {str(n): [0.5] * count for n, count in enumerate(own)} for name, own in counts.items()
    }
    plain, other = replaying.summary(runs)
    assert plain["median_trials"] == 60 and plain["share_of_random"] == 1.0
    assert other["median_trials"] == 12 and other["share_of_random"] == 0.2
    low, high = other["share_interval"]
    assert 0.1 < low < 0.2 < high < 0.4
    assert replaying.summary(runs) == [plain, other]


def test_the_least_quality_is_that_of_films_by_their_clicks():
    rows = np.zeros((40, 9), np.int32)
    rows[:, 5] = np.repeat([1, 2], 20)  # the film
    rows[:16, -1] = rows[20:24, -1] = 1  # 16 of 20 click on one, 4 of 20 on the other
    assert recording.least_quality(rows, rows) == pytest.approx(0.8)


def test_a_picture_is_drawn(subject, tmp_path):
    runs = {"random": {"1": [0.2, 0.8, 0.96], "2": [0.5, 0.97]}}
    picture.draw(runs, subject.recorded, 0.95, tmp_path / "replay.png")
    assert (tmp_path / "replay.png").stat().st_size > 10_000
