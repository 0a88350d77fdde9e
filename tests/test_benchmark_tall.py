"""benchmarks.tall_table: a file agrees with NumPy, and the record says how."""

import json

from benchmarks import tall_table
from benchmarks.tall_table import STORED, Sizes

SMALL = Sizes(rows=2500, columns=32, queries=2)


def test_the_file_agrees_with_numpy_and_the_record_says_how(tmp_path):
    table = tall_table.make_table(SMALL, tmp_path, 1)
    name = next(iter(STORED))
    line = tall_table.export(table, name, tmp_path / "made", SMALL, 1)
    line |= tall_table.ask(tmp_path / "made" / "model.tflite", SMALL, 1)
    assert line["agreement"] == 1.0
    assert line["agreement_once"] > 0.9
    assert line["largest_error_of_a_score"] < 1e-5
    record = json.loads(json.dumps(tall_table.record(SMALL, 1, [line])))
    assert record["table_bytes"] == 4 * 2500 * 32
    assert record["command"].startswith("python -m benchmarks.tall_table")
    assert tall_table.table_of(record).row_count == 1
