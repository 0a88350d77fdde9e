"""benchmarks.peers.smaller: narrow models that are trained, taught, and kept."""

import json
from itertools import count

import numpy as np
import pytest
from absl import flags

from benchmarks.peers import smaller
from experiments import train
from experiments.data.movielens import MovieLens
from experiments.models import store
from experiments.training import Stopped

MODEL = {"length": 8, "dim": 8, "blocks": 1, "heads": 2, "feedforward": 16, "dropout": 0.3}
TRAINING = {"seed": 3, "batch": 16, "epochs": 1, "peak_learning_rate": 0.03, "warmup_steps": 2}
TAUGHT = {"alpha": 0.1, "temperature": 1.0, "positions": 64}


@pytest.fixture(scope="module")
def data():
    starts = np.random.default_rng(0).integers(0, 30, 40)
    walks = [((start + np.arange(14)) % 30 + 1).astype(np.int32) for start in starts]
    return MovieLens(("", *(f"item {i}" for i in range(30))), walks)


def written(folder, name, content):
    path = folder / name
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("narrow")
    config = written(folder, "config-to-train.json", {"model": MODEL, "training": TRAINING})
    train.train(config, folder / "narrow", data)
    return folder / "narrow"


def test_a_narrow_model_is_taught_and_goes_on_where_it_stopped(trained, data, tmp_path):
    content = {"distillation": TAUGHT, "training": {**TRAINING, "epochs": 2}}
    config, out = written(tmp_path, "d.json", content), tmp_path / "taught"
    calls = count()
    with pytest.raises(Stopped):
        smaller.distill(trained, trained, out, data, lambda: next(calls) == 3, config)
    smaller.distill(trained, trained, out, data, config=config)
    results = json.loads((out / "results.json").read_text())
    assert [row["epoch"] for row in results["validation"]] == [1, 2]
    assert results["start"] == "narrow" and results["distillation"] == TAUGHT
    assert results["command"] == "python -m benchmarks.peers.smaller"
    made = store.load_model(out).get_weights()
    before = store.load_model(trained).get_weights()
    assert len(made) == len(before)
    assert any((a != b).any() for a, b in zip(made, before, strict=True))
    modified = (out / store.WEIGHTS).stat().st_mtime_ns
    smaller.distill(trained, trained, out, data, config=config)  # is there already
    assert (out / store.WEIGHTS).stat().st_mtime_ns == modified


def test_what_is_kept_is_half_as_large_and_loads(trained, tmp_path):
    smaller.keep(trained, tmp_path / "kept")
    kept = store.load_model(tmp_path / "kept")
    whole = store.load_model(trained).get_weights()
    for found, expected in zip(kept.get_weights(), whole, strict=True):
        np.testing.assert_array_equal(found, expected.astype(np.float16).astype(np.float32))
    assert "smaller" in json.loads((tmp_path / "kept" / "results.json").read_text())["command"]


def test_the_sizes_have_configs():
    for name in smaller.SIZES:
        fields, _ = train.read_config(smaller.CONFIGS / f"{name}.json")
        assert fields["dim"] == int(name.rpartition("-")[2])
    assert flags.FLAGS["only"].default == list(smaller.SIZES)
