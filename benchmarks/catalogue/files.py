"""The files that find the best of a catalogue for a vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from benchmarks.catalogue.vectors import Array
from tfcompress.keras import keras, tf
from tfcompress.layers.best import largest, picked
from tfcompress.spec import Technique

K = 100
FLOAT = "float32"
TABLE = tfc.by_name("items")


class Catalogue(keras.Model):  # type: ignore[misc]
    """A table of items that is asked with a vector.

    Args:
        items: float32 `[rows, width]`.
    """

    def __init__(self, items: Array) -> None:
        super().__init__()
        self.items = keras.layers.Embedding(*items.shape, name="items")
        self.items.build((None,))
        self.items.set_weights([items])
        self.built = True

    def call(self, ids: Any) -> Any:
        """Rows of ids."""
        return self.items(ids)

    def everything(self, vector: Any) -> dict[str, Any]:
        """The best items by a score for each, as one writes it."""
        best = tf.math.top_k(tfc.scores(vector, self.items), K)
        return {"items": best.indices, "scores": best.values}

    def in_blocks(self, vector: Any) -> dict[str, Any]:
        """The same, with less to sort than LiteRT's TOPK_V2 would."""
        scores = tfc.scores(vector, self.items)
        items = largest(scores, K)
        return {"items": items, "scores": picked(scores, items)}

    def recommend(self, vector: Any) -> dict[str, Any]:
        """The best items, as tfcompress finds them."""
        items, scores = tfc.top_k(vector, self.items, K)
        return {"items": items, "scores": scores}


def specs(sample: Path) -> dict[str, tuple[Any, Technique | None]]:
    """How a model is asked in each file, and how its table is stored."""
    return {
        FLOAT: (Catalogue.everything, None),
        "float32, sorted in blocks": (Catalogue.in_blocks, None),
        "int8, a scale for each row": (Catalogue.recommend, tfc.Quantize(8)),
        "int4, blocks of 32": (Catalogue.recommend, tfc.Quantize(4, tfc.PerBlock(32))),
        "Tier": (Catalogue.recommend, tfc.Tier(str(sample))),
    }


def names(sample: Path, asked: Sequence[str]) -> list[str]:
    """The files that are asked for; all where nothing is."""
    return [name for name in specs(sample) if not asked or name in asked]


def write_files(
    items: Array, sample: Path, asking: Array, folder: Path, only: Sequence[str] = ()
) -> None:
    """Exports the files that are not in `folder` yet."""
    model = Catalogue(items)
    vector = {"vector": tf.TensorSpec([1, items.shape[1]], tf.float32)}
    calls = {"recommend": [{"vector": one[None]} for one in asking[:4]]}
    for name, (asked, technique) in specs(sample).items():
        if (folder / name).exists() or name not in names(sample, only):
            continue
        rules = [] if technique is None else [tfc.rule(TABLE, technique)]
        student = tfc.apply(model, tfc.Spec(rules)) if rules else model
        tfc.export(student, folder / name, {"recommend": tfc.Signature(asked, vector)}, calls)


def answers(file: Path, asking: Array) -> Array:
    """The ids that a file gives for each vector: int `[q, K]`."""
    lite = tfc.LiteModel(file)
    return np.stack([lite.run("recommend", {"vector": one[None]})["items"][0] for one in asking])


def caller(file: Path, asking: Array) -> Callable[[int], Callable[[], Any]]:
    """From the number of a vector to a call of the file with it, that was made once before."""
    lite = tfc.LiteModel(file)
    return lambda number: lite.prepared("recommend", {"vector": asking[number][None]})
