"""benchmarks.table_scores: every form scores the same, and the record says what was measured."""

import json

import numpy as np
import pytest

from benchmarks import table_scores
from benchmarks.table_scores import FORMS, Sizes

TINY = Sizes(ids=(600,), width=8, codes=(2,))


@pytest.fixture(scope="module")
def lines():
    return table_scores.measure(TINY, rounds=1, seed=1)


def test_every_form_and_every_table_is_measured(lines):
    assert {line.what for line in lines if line.codes} == set(FORMS)
    assert len(lines) == len(FORMS) + len(table_scores.techniques(600, TINY.codes))
    assert all(line.bytes > 0 and line.microseconds > 0 for line in lines)


def test_bytes_for_codes_are_a_quarter_of_what_the_converter_makes_of_them(lines):
    sizes = {line.what: line.bytes for line in lines if line.codes}
    folded = sizes.pop("GATHER in batches, SUM, codes as int32")
    sizes.pop("GATHER_ND, SUM")  # its rows' numbers are a constant of four bytes each
    assert all(600 * 2 * 3 - 2000 < folded - size < 600 * 2 * 3 for size in sizes.values())


def test_a_form_that_scores_otherwise_is_refused():
    codes = np.zeros((5, 2), np.uint8)
    with pytest.raises(ArithmeticError, match="scores .* not"):
        table_scores.formed(
            lambda vectors, books, codes: (
                3.0 + 0.0 * FORMS["GATHER_ND, SUM"](vectors, books, codes)
            ),
            codes,
            np.ones((4, 2), np.float32),
            np.ones((1, 4), np.float32),
        )


def test_the_record_says_what_was_measured_and_how(lines):
    record = json.loads(json.dumps(table_scores.record(TINY, 1, 1, lines)))
    assert record["command"].startswith("python -m benchmarks.table_scores")
    assert record["ids"] == [600] and record["threads"] == 1
    assert len(record["results"]) == len(lines)
    assert table_scores.table_of(lines).row_count == len(lines)
