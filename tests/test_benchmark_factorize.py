"""benchmarks.factorize: it measures what it says, and the record says how."""

import json

import numpy as np

from benchmarks import factorize
from benchmarks.factorize import Sizes

SMALL = Sizes(rows=3000, columns=12, rank=4)


def test_the_record_says_what_was_measured_and_how(tmp_path, monkeypatch):
    monkeypatch.setattr(factorize, "copy_rate", lambda: 2e9)
    record = json.loads(json.dumps(factorize.run(SMALL, 1, tmp_path)))
    assert sorted(record) == [
        "benchmark", "blas_threads", "columns", "command", "copy_gigabytes_per_second", "decay",
        "machine", "peak_bytes", "peak_bytes_after_imports", "rank", "results", "rows", "seed",
        "table_bytes", "versions",
    ]  # fmt: skip
    assert record["table_bytes"] == 4 * 3000 * 12
    assert record["peak_bytes"] >= record["peak_bytes_after_imports"] > 0
    eight, four = record["results"]
    assert (eight["bits"], four["bits"]) == (8, 4)
    assert eight["bytes_after"] == 3000 * 4 + 3000 * 4 + 4 * 12 * 4
    assert four["bytes_after"] == 3000 * 2 + 3000 * 4 + 4 * 12 * 4
    assert eight["error_of_the_rank"] <= eight["error"] < four["error"]
    for line in record["results"]:
        assert line["gigabytes_per_second"] > 0
        assert line["share_of_copy"] > 0
    assert factorize.table_of(record).row_count == 2


def test_the_table_has_the_spectrum_that_it_is_said_to_have(tmp_path):
    table = factorize.make_table(Sizes(rows=40_000, columns=6, decay=0.5), tmp_path, seed=0)
    singular = np.linalg.svd(table, compute_uv=False)
    np.testing.assert_allclose(singular[1:] / singular[:-1], 0.5, rtol=0.05)


def test_a_copy_has_a_rate():
    assert factorize.copy_rate(size=1 << 20, repeats=3) > 0
