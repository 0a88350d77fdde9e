"""A trained model that all systems get, and how good and how fast the files are that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import click_quality, quality
from experiments.data import clicks, movielens
from experiments.models import click_files, files, store
from tfcompress import Signature

Inputs = Mapping[str, Any]
ROOT = Path(__file__).parents[2] / "saved_models"


@dataclass(frozen=True)
class Subject:
    """One trained model.

    Attributes:
        name: what it is for.
        metric: what `quality` gives.
        model: the trained Keras model.
        signatures: what its files can be asked.
        calibration: for each signature inputs from the training part of the data.
        timed: the signature that is timed. calls: for a file, the calls that are timed.
        quality: of a file, on the test split.
        ours: names and paths of this project's files, the float32 one first.
    """

    name: str
    metric: str
    model: Any
    signatures: Mapping[str, Signature]
    calibration: Mapping[str, Sequence[Inputs]]
    timed: str
    calls: Callable[[Path], Sequence[Inputs]]
    quality: Callable[[Path], float]
    ours: Mapping[str, Path]


def retrieval() -> Subject:
    """The MovieLens-1M retrieval teacher, by NDCG@10 over all items."""
    data = movielens.load()
    model = store.load_model(ROOT / "ml1m-teacher")
    length = model.config.length

    def calls(path: Path) -> Sequence[Inputs]:
        return files.example_calls(files.numbered_for(path, data), files.history_length(path))

    def ndcg(path: Path) -> float:
        ranks = quality.file_ranks(path, data, "test")
        return float(quality.quality(ranks)[f"ndcg@{quality.K}"])

    return Subject(
        name="retrieval",
        metric=f"ndcg@{quality.K}",
        model=model,
        signatures=files.signatures(model.config),
        calibration=files.verification_calls(data, length),
        timed="recommend",
        calls=calls,
        quality=ndcg,
        ours={
            "tfcompress, float32": ROOT / "ml1m-teacher/model.tflite",
            "tfcompress, ml1m-mobile": ROOT / "ml1m-mobile/model.tflite",
        },
    )


def ranking() -> Subject:
    """The ranking teacher, by the AUC of MovieLens-1M's clicks; timed at a batch of one."""
    data = clicks.load()
    model = store.load_model(ROOT / "ml1m-ranking-teacher")
    seen, held_out = data.rows("train"), data.rows("test")
    fields = list(model.config.sizes)

    def auc(path: Path) -> float:
        said = click_files.file_probabilities(path, held_out)
        return float(click_quality.quality(held_out[:, -1], said)["auc"])

    return Subject(
        name="ranking",
        metric="auc",
        model=model,
        signatures=click_files.signatures(model.config),
        calibration={click_files.CLICK: click_files.calls(fields, seen, 1, 64)},
        timed=click_files.CLICK,
        calls=lambda path: click_files.calls(click_files.asked(path), held_out, 1, 64),
        quality=auc,
        ours={
            "tfcompress, float32": ROOT / "ml1m-ranking-teacher/model.tflite",
            "tfcompress, ml1m-ranking": ROOT / "ml1m-ranking/model.tflite",
        },
    )


SUBJECTS: Mapping[str, Callable[[], Subject]] = {"retrieval": retrieval, "ranking": ranking}
