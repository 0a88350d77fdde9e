"""benchmarks.training_step: every variant trains, and the record says what was measured and how."""

import json

import numpy as np
import pytest

from benchmarks import training_step
from benchmarks.step_models import ALWAYS, BOTH, PLAIN, RARELY, Sizes
from benchmarks.step_tables import AS_ONE, BY_ROW, TableSizes, steps_of_tables

TABLE = TableSizes(rows=50, width=8, length=3, batch=4)
TINY = Sizes(widths=(8, 16, 4), batch=4, sparsity=0.5)


@pytest.fixture(scope="module")
def taken():
    return training_step.measure(TINY, rounds=2, steps=2, seed=1)


def test_every_step_of_every_variant_is_timed(taken):
    assert {by for _, by in taken} == {"Keras", "tfcompress", "TF-MOT"}
    for seconds in taken.values():
        assert seconds.shape == (2, 2)
        assert (seconds > 0).all()


def test_the_record_says_what_was_measured_and_how(taken):
    lines = training_step.results(taken, "Dense", 4)
    record = json.loads(json.dumps(training_step.record((TINY, TABLE), 2, 2, 1, lines)))
    assert sorted(record) == [
        "benchmark", "command", "machine", "results", "rounds", "seed", "sparsity",
        "steps_per_round", "table", "threads", "versions", "widths",
    ]  # fmt: skip
    assert record["threads"] >= 1
    assert record["widths"] == [8, 16, 4]
    assert len(record["results"]) == len(taken)
    assert record["table"]["rows"] == 50
    for line in record["results"]:
        assert (line["model"], line["batch"]) == ("Dense", 4)
        assert line["low"] <= line["ratio"] <= line["high"]
        assert line["with_moves"] == line["ratio"] or line["what"] in (RARELY, BOTH)


def test_ratios_are_of_steps_in_the_same_round_and_moves_are_spread_over_all_steps():
    slow = np.array([[1.0, 1.0], [3.0, 3.0]])  # the machine was busy in the second round
    taken = {
        PLAIN: slow,
        (RARELY, "tfcompress"): 1.5 * slow,
        (ALWAYS, "tfcompress"): 4.0 * slow,
        (BOTH, "tfcompress"): 2.0 * slow,
    }
    lines = {line.what: line for line in training_step.results(taken, "Dense", 4)}
    assert (lines[RARELY].low, lines[RARELY].ratio, lines[RARELY].high) == (1.5, 1.5, 1.5)
    assert lines[RARELY].with_moves == pytest.approx(1.525)
    assert lines[BOTH].with_moves == pytest.approx(2.025)
    assert lines[ALWAYS].with_moves == lines[ALWAYS].ratio == 4.0


def test_the_table_names_every_variant(taken):
    table = training_step.table_of(training_step.results(taken, "Dense", 4))
    assert table.row_count == len(taken)


def test_the_steps_of_a_table_are_timed_and_longer_steps_in_fewer_rounds():
    taken = training_step.in_turns(steps_of_tables(TABLE), rounds=2, steps=2, seed=1)
    lines = training_step.results(taken, "table", TABLE.batch)
    assert [line.what for line in lines] == ["nothing", "nothing, again", BY_ROW, AS_ONE]
    assert [training_step.rounds_at(batch, 60) for batch in (128, 2048, 10**6)] == [60, 15, 1]
