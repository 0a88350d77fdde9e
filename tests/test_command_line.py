"""The command line: quick help, and each command on saved models and exported folders."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import reports
import small_models

import tfcompress as tfc
from tfcompress.export.calls import row_counts
from tfcompress.export.compared import Compared, FileComparison, FileCost
from tfcompress.export.compared_text import comparison_text
from tfcompress.keras import tf
from tfcompress_cli import main, parser
from tfcompress_cli.models import notes_beside

ROOT = Path(__file__).parents[1]
COMMANDS = ("plan", "apply", "export", "inspect", "report", "compare")
MOST = 0.5  # seconds that help may take


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a saved model and its spec."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("model.keras", "model.h5"):
        reports.model().save(folder / name)
    (folder / "spec.json").write_text(reports.SPEC.to_json())
    return folder


@pytest.fixture(scope="module")
def files():
    """Two exported files of one model: in float32, and compressed."""
    return Path("saved_models/ml1m-ranking-teacher"), Path("saved_models/ml1m-ranking")


def test_help_answers_in_half_a_second():
    def taken():
        start = time.perf_counter()
        call = [sys.executable, "-m", "tfcompress_cli", "--help"]
        done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
        assert all(name in done.stdout for name in COMMANDS)
        return time.perf_counter() - start

    assert min(taken() for _ in range(3)) < MOST


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0 and f"usage: tfcompress {name}" in capsys.readouterr().out


def test_a_wrong_call_ends_with_2(capsys):
    for argv in ([], ["shrink"], ["plan", "model"], ["inspect", "f", "--repeats", "many"]):
        with pytest.raises(SystemExit) as ended:
            main(argv)
        assert ended.value.code == 2
        assert "usage: tfcompress" in capsys.readouterr().err


def test_the_installed_script_is_this_one():
    text = (ROOT / "pyproject.toml").read_text()
    assert 'tfcompress = "tfcompress_cli:main"' in text and parser().prog == "tfcompress"


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_plan_prints_a_table_or_json(name, place, capsys):
    asked = ["plan", str(place / name), str(place / "spec.json")]
    assert main(asked) == 0
    assert "no rule is for it" in capsys.readouterr().out
    assert main([*asked, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows == tfc.plan(reports.model(), reports.SPEC).to_data()


def test_plan_shows_the_ends_of_open_values(place, capsys):
    space = tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Quantize(tfc.tune.Choice(8, 4)))])
    (place / "space.json").write_text(space.to_json())
    assert main(["plan", str(place / "model.keras"), str(place / "space.json")]) == 0
    assert "smallest" in capsys.readouterr().out
    call = ["apply", str(place / "model.keras"), str(place / "space.json"), str(place / "no.keras")]
    assert main(call) == 1
    assert "leaves values open; expected a spec without" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["small.h5", "small"])
def test_apply_writes_what_can_be_loaded_again(name, place, capsys):
    asked = ["apply", str(place / "model.keras"), str(place / "spec.json"), str(place / name)]
    assert main(asked) == 1
    assert "expected a .keras file" in capsys.readouterr().err and not (place / name).exists()


def test_apply_and_export_hand_on_what_was_done(place, capsys):
    name = "small.keras"
    out, folder = place / name, place / f"{name}-exported"
    asked = ["apply", str(place / "model.keras"), str(place / "spec.json"), str(out)]
    assert main(asked) == 0
    assert notes_beside(out).exists() and f"Wrote {out}" in capsys.readouterr().out
    assert main(asked) == 1
    assert "is there already; choose another OUT, or pass --force" in capsys.readouterr().err
    assert main([*asked, "--force"]) == 0
    assert main(["export", str(out), str(folder)]) == 0
    assert "left 200x4 at 4 bits" in capsys.readouterr().out
    report = json.loads((folder / "report.json").read_text())
    known = {row["path"]: row for row in reports.exported().report["layers"]}
    assert {row["path"]: row["skipped"] for row in report["layers"]} == {
        path: row["skipped"] for path, row in known.items()
    }
    kept = [one.name for one in place.iterdir() if one.name.startswith(".")]
    assert kept == []


def test_a_tolerance_that_is_not_kept_writes_nothing(place, capsys):
    student = tfc.apply(reports.model(), reports.SPEC)
    student.save(place / "other.keras")
    call = ["export", str(place / "other.keras"), str(place / "no"), "--tolerance", "1e-9"]
    assert main(call) == 1
    assert "tfcompress export: The file's output serve.output deviates" in capsys.readouterr().err
    assert not (place / "no").exists()


def test_layers_of_ones_own_are_imported(tmp_path, monkeypatch, capsys):
    small_models.subclassed().save(tmp_path / "own.keras")
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))])
    (tmp_path / "spec.json").write_text(spec.to_json())
    (tmp_path / "own_layers.py").write_text("LOADED = True\n")
    monkeypatch.chdir(tmp_path)
    asked = ["plan", "own.keras", "spec.json", "--import", "own_layers"]
    assert main(asked) == 0 and sys.modules["own_layers"].LOADED
    assert main([*asked, "--import", "nowhere_at_all"]) == 1
    assert "--import nowhere_at_all could not be imported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["plan", "nowhere", "spec.json"], "nowhere is not there; expected a saved model"),
        (["plan", "exported", "spec.json"], "is an exported folder; expected a model that Keras"),
        (["plan", "text.keras", "spec.json"], "Keras could not load text.keras"),
        (["plan", "nowhere", "nospec.json"], "No such file or directory: 'nospec.json'"),
        (["plan", "nowhere", "text.keras"], "Received text that is not JSON"),
        (["export", "nowhere", "out"], "nowhere is not there"),
        (["inspect", "nowhere"], "nowhere cannot be read"),
        (["report", "nowhere"], "report.json cannot be read"),
        (["compare", "nowhere", "exported"], "nowhere cannot be read"),
        (["compare", "text.keras", "exported"], "text.keras is not a TFLite file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(argv, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exported").mkdir()
    shutil.copy(ROOT / "saved_models/ml1m-ranking/model.tflite", tmp_path / "exported")
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "spec.json").write_text(reports.SPEC.to_json())
    before = sorted(one.name for one in tmp_path.iterdir())
    assert main(argv) == 1
    assert said in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == before


def test_inspect_takes_files_and_folders(files, capsys):
    assert main(["inspect", str(files[1]), "--repeats", "0"]) == 0
    text = capsys.readouterr().out
    assert "click: operators" in text and "127,872" in text
    assert main(["inspect", str(files[1] / "model.tflite"), "--repeats", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == 127_872


def test_report_draws_a_folder_and_measures_where_asked(tmp_path, capsys):
    folder = tmp_path / "small"
    shutil.copytree(reports.exported().folder, folder)
    (folder / "report.html").unlink()
    assert main(["report", str(folder)]) == 0
    assert "No times were measured" in (folder / "report.html").read_text()
    assert f"Wrote {folder / 'report.html'}." in capsys.readouterr().out
    assert main(["report", str(folder), "--repeats", "1"]) == 0
    assert "threads: 1, rounds: 1." in (folder / "report.html").read_text()
    assert json.loads((folder / "report.json").read_text())["inspection"]["repeats"] == 1


def test_compare_shows_two_files_side_by_side(files, capsys):
    asked = ["compare", *map(str, files), "--rounds", "1"]
    assert main(asked) == 0
    text = capsys.readouterr().out
    assert "1,385,184" in text and "127,872" in text and "10.83" in text and "µs, click" in text
    assert "other inputs, so that outputs were not compared" in text
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"][1]["parameters"] == 229_425
    assert min(found["signatures"][0]["latency_us"]) > 0


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A float file and a compressed one that take the same."""
    folder = tmp_path_factory.mktemp("pair")
    return tfc.export(reports.model(), folder / "float").model, reports.exported().model


def test_outputs_are_compared_on_ids_of_the_whole_table(pair):
    found = tfc.compare_files(*pair, rounds=0)
    (one,) = found.signatures
    assert row_counts(pair[0]) == {200} and one.inputs == "made up, ids below 200"
    assert one.calls == 8 and one.latency_us is None
    assert 0.01 < one.deviation["output"] < 1.5
    (same,) = tfc.compare_files(pair[0], pair[0], rounds=0).signatures
    assert same.deviation == {"output": 0.0}


def test_outputs_are_compared_on_given_inputs(pair, tmp_path):
    ids = np.random.default_rng(0).integers(0, 200, (5, 1, 3)).astype(np.int32)
    np.savez(tmp_path / "calls.npz", ids=ids)
    (one,) = tfc.compare_files(*pair, tmp_path / "calls.npz", rounds=0).signatures
    assert one.calls == 5 and one.inputs == "calls.npz"
    first, second = (
        np.array([tfc.LiteModel(file).run("serve", {"ids": call})["output"] for call in ids])
        for file in pair
    )
    each = [np.linalg.norm(b - a) / np.linalg.norm(a) for a, b in zip(first, second, strict=True)]
    assert one.deviation["output"] == pytest.approx(np.mean(each), rel=1e-5)


def test_inputs_that_are_none_are_refused(pair, tmp_path):
    path = tmp_path / "calls.npz"
    with pytest.raises(tfc.ExportError, match="calls.npz cannot be read .* expected an .npz file"):
        tfc.compare_files(*pair, path, rounds=0)
    np.savez(path, other=np.zeros((2, 1, 3), np.int32))
    with pytest.raises(tfc.ExportError, match="expected an array for each of .'ids'."):
        tfc.compare_files(*pair, path, rounds=0)
    with pytest.raises(tfc.ExportError, match="rounds is -1, expected at least 0"):
        tfc.compare_files(*pair, rounds=-1)


def test_signatures_that_one_file_lacks_are_named(pair, tmp_path, capsys):
    ask = tfc.Signature(lambda m, ids: m(ids), {"ids": tf.TensorSpec([1, 3], tf.int32)})
    other = tfc.export(reports.model(), tmp_path / "m", {"ask": ask})
    assert main(["compare", str(pair[0]), str(other.folder), "--rounds", "0"]) == 0
    text = capsys.readouterr().out
    assert "Only one of the files has the signature ask." in text and "serve" in text


A = FileCost("a.tflite", {"bytes": 4000, "weights": 3900}, 1000, {"serve": 900})
B = FileCost("b.tflite", {"bytes": 1000, "weights": 950}, 990, {"serve": 600})
SERVE = Compared("serve", 8, "made up, ids below 200", (9.0, 4.5), {"output": 0.0125})
GOLDEN = """
A: a.tflite
B: b.tflite
A and B
┏━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━┳━━━━━━━┓
┃                      ┃     A ┃     B ┃ A / B ┃
┡━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━╇━━━━━━━┩
│ bytes                │ 4,000 │ 1,000 │  4.00 │
│ weights              │ 3,900 │   950 │  4.11 │
│ parameters           │ 1,000 │   990 │  1.01 │
│ multiply-adds, serve │   900 │   600 │  1.50 │
│ µs, serve            │   9.0 │   4.5 │  2.00 │
└──────────────────────┴───────┴───────┴───────┘
Outputs of B against those
of A
┏━━━━━━━━━━━━━━┳━━━━━━━━━━━┓
┃ output       ┃ deviation ┃
┡━━━━━━━━━━━━━━╇━━━━━━━━━━━┩
│ serve.output │   0.01250 │
└──────────────┴───────────┘
serve: 8 calls, inputs made up, ids below 200.
Times are medians of 30 rounds in which the files took turns, threads: 1.
Only one of the files has the signature ask.
"""


def test_the_tables_of_a_comparison():
    text = comparison_text(FileComparison((A, B), (SERVE,), ("ask",), 1, 30))
    assert "\n".join(line.strip() for line in text.splitlines()) == GOLDEN.strip()
