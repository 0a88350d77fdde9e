"""Reports to draw: one export of a small model that has a bit of everything, made once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import tfcompress as tfc
from tfcompress.keras import keras

SPEC = tfc.Spec(
    [
        tfc.rule(tfc.by_type("Embedding"), tfc.Factorize(rank=4), tfc.Quantize(bits=4)),
        tfc.rule(tfc.by_name("hidden") | tfc.by_name("norm"), tfc.Prune(0.5), tfc.Quantize(bits=8)),
    ]
)
EVALUATION = {
    "split": "test",
    "file": {"auc": 0.91, "events": 1000},
    "teacher": {"auc": 0.905, "events": 1000, "bytes": 90_000},
    "auc_difference": 0.005,
    "difference_95_percent_interval": [-0.001, 0.011],
    "latency": {"median_us": 10.0, "teacher_median_us": 25.0, "speedup": 2.5},
    "training": {"validation": [{"epoch": 1, "auc": 0.9}, {"epoch": 2, "auc": 0.91}]},
}


def model():
    """A table, a layer that is compressed, one that cannot be, and one that no rule is for."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((3,), dtype="int32", name="ids"),
            keras.layers.Embedding(200, 16, name="table"),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.LayerNormalization(name="norm"),
            keras.layers.Dense(4, name="head"),
        ]
    )


_KEPT = []


@cache
def exported() -> tfc.Exported:
    """The model, compressed and exported; to look at, not to change."""
    _KEPT.append(TemporaryDirectory())
    student = tfc.apply(model(), SPEC)
    return tfc.export(student, Path(_KEPT[0].name) / "small", evaluate=lambda path: EVALUATION)
