"""benchmarks.training_step: every variant trains, and the record says what was measured and how."""

import json

import numpy as np
import pytest

from benchmarks import training_step
from benchmarks.step_models import ALWAYS, BOTH, PLAIN, RARELY, Sizes

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
    lines = training_step.results(taken)
    record = json.loads(json.dumps(training_step.record(TINY, 2, 2, 1, lines)))
    assert sorted(record) == [
        "batch", "benchmark", "command", "machine", "results", "rounds", "seed", "sparsity",
        "steps_per_round", "threads", "versions", "widths",
    ]  # fmt: skip
    assert record["threads"] >= 1
    assert record["widths"] == [8, 16, 4]
    assert len(record["results"]) == len(taken)
    for line in record["results"]:
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
    lines = {line.what: line for line in training_step.results(taken)}
    assert (lines[RARELY].low, lines[RARELY].ratio, lines[RARELY].high) == (1.5, 1.5, 1.5)
    assert lines[RARELY].with_moves == pytest.approx(1.525)
    assert lines[BOTH].with_moves == pytest.approx(2.025)
    assert lines[ALWAYS].with_moves == lines[ALWAYS].ratio == 4.0


def test_the_table_names_every_variant(taken):
    table = training_step.table_of(training_step.results(taken))
    assert table.row_count == len(taken)
