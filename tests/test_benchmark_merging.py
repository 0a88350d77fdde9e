"""benchmarks.peers.merging: a record of several runs says which run measured what."""

import json

from benchmarks.peers.merging import merged


def row(system, model="retrieval", **fields):
    return {"model": model, "system": system, "bytes": 1, **fields}


def test_the_rows_of_other_systems_are_kept_with_their_run(tmp_path):
    path = tmp_path / "peers.json"
    first = {"command": "first", "threads": 1, "rows": [row("TFLite, float16"), row("faiss, flat")]}
    path.write_text(json.dumps(first))
    record = merged({"command": "second"}, [row("faiss, flat", setting="s", bytes=2)], path)
    assert record["runs"] == [{"command": "first"}, {"command": "second"}]
    old, new = record["rows"]
    assert (old["system"], old["run"]) == ("TFLite, float16", 0)
    assert old["setting"].startswith("TensorFlow's converter")
    assert (new["system"], new["run"], new["bytes"]) == ("faiss, flat", 1, 2)
    path.write_text(json.dumps(record))
    record = merged({"command": "third"}, [row("TFLite, float16", setting="s")], path)
    assert [run["command"] for run in record["runs"]] == ["second", "third"]
    assert [one["run"] for one in record["rows"]] == [0, 1]


def test_a_whole_run_keeps_only_other_models(tmp_path):
    path = tmp_path / "peers.json"
    rows = [row("TFLite, int8"), row("TFLite, int8", "ranking")]
    path.write_text(json.dumps({"command": "first", "rows": rows}))
    record = merged({"command": "second"}, [row("faiss, flat")], path, all_anew=True)
    assert [(one["model"], one["system"]) for one in record["rows"]] == [
        ("ranking", "TFLite, int8"), ("retrieval", "faiss, flat"),
    ]  # fmt: skip


def test_a_row_that_was_not_timed_takes_the_place_of_none_that_was(tmp_path):
    path = tmp_path / "peers.json"
    rows = [row("TFLite, float32", p50_us=5.0), row("faiss, flat", p50_us=None)]
    path.write_text(json.dumps({"command": "first", "rows": rows}))
    new = [row("TFLite, float32", p50_us=None), row("faiss, flat", p50_us=None, bytes=3)]
    record = merged({"command": "second"}, new, path)
    assert [(one["p50_us"], one["bytes"]) for one in record["rows"]] == [(5.0, 1), (None, 3)]
    failed = [row("TFLite, float32", p50_us=None, error="fails")]
    assert merged({"command": "third"}, failed, path)["rows"][-1]["error"] == "fails"


def test_a_first_run_needs_no_record(tmp_path):
    record = merged({"command": "first"}, [row("faiss, flat")], tmp_path / "none.json")
    assert record["runs"] == [{"command": "first"}] and record["rows"][0]["run"] == 0
