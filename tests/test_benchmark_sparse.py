"""benchmarks.sparse_kernels: every file is written and run, and the record says how."""

import json

from benchmarks import sparse_kernels
from benchmarks.sparse_kernels import PATTERNS, Sizes

TINY = Sizes(units=32, filters=32, side=2, sparsities=(0.9,))


def test_every_pattern_is_measured_with_and_without_zeros():
    lines = sparse_kernels.measure(TINY, rounds=1, seed=1)
    assert len(lines) == 2 * len(PATTERNS) * 2
    assert all(line.bytes > 0 and line.microseconds > 0 for line in lines)
    for dense, sparse in zip(lines[::2], lines[1::2], strict=True):
        assert (dense.sparse, sparse.sparse) == (False, True)
        assert sparse.bytes < dense.bytes or dense.sparsity < 0.9
    record = json.loads(json.dumps(sparse_kernels.record(TINY, 1, 1, lines)))
    assert record["command"].startswith("python -m benchmarks.sparse_kernels")
    assert len(record["results"]) == len(lines)
    assert sparse_kernels.table_of(lines).row_count == len(lines)
