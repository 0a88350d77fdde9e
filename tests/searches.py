"""Searches that cost nothing: the file is a text and its quality a function of the spec."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import tfcompress as tfc  # first: it chooses the Keras that everything else uses
from tfcompress.export import Exported

# isort: split
import tf_keras as keras

TABLE = tfc.by_name("table")


def network() -> Any:
    """A table of 200 x 32 and two Dense layers."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.layers.Embedding(200, 32, input_length=4, name="table"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu", name="hidden"),
            keras.layers.Dense(16, name="head"),
        ]
    )


def space() -> Any:
    """Rank and bits of the table, bits and sparsity of the Dense layers."""
    tune = tfc.tune
    rank = tune.Optional(tfc.Factorize(tune.Int(2, 16, step=2)))
    dense = tfc.Quantize(tune.Choice(4, 8)), tune.Optional(tfc.Prune(tune.Float(0.1, 0.9)))
    return tfc.Spec(
        [
            tfc.rule(TABLE, rank, tfc.Quantize(tune.Choice(4, 8))),
            tfc.rule(tfc.by_type("Dense"), *dense),
        ]
    )


class Pretended(tfc.Work):
    """The more bytes, the better. Some trials may fail, or take their time."""

    def __init__(
        self,
        parts: int = 1,
        seconds: float = 0.0,
        fails: tuple[int, ...] = (),
        begun: Path | None = None,
    ) -> None:
        self.parts, self.seconds, self.fails, self.trained = parts, seconds, fails, 0
        self.begun = begun
        self.asked: list[range] = []

    def _quality(self, student: Any) -> float:
        from tfcompress.layers.forms import form_of
        from tfcompress.surgery import walk

        size = sum(form_of(held).sparse_bytes for held in walk(student))
        return round(size / 70_000, 6)

    def train(self, student: Any, parts: range, seed: int) -> Any:
        number, self.trained = self.trained, self.trained + 1
        self.asked.append(parts)
        if self.begun is not None:
            self.begun.write_text("")
        for part in parts:
            time.sleep(self.seconds)
            if number in self.fails:
                raise RuntimeError("the disk is on fire")
            yield self._quality(student) * (part + 1) / self.parts

    def export(self, student: Any, folder: Path) -> Exported:
        size = max(2, round(70_000 * self._quality(student)))
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"quality": self._quality(student)})
        (folder / "model.tflite").write_text(text.ljust(size))
        return Exported(folder, {})

    def quality(self, file: Path) -> float:
        return float(json.loads(file.read_text())["quality"])

    def calls(self) -> Any:
        raise NotImplementedError

    def latency_us(self, file: Path) -> float:
        return file.stat().st_size / 100
