"""Making, saving and loading reference models; a folder holds config.json and weights.npz."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.files import save_arrays
from experiments.models import tf
from experiments.models.mobile import MobileConfig, MobileSASRec
from experiments.models.narrow import NarrowConfig, NarrowSASRec
from experiments.models.packed import PackedConfig, PackedRanker
from experiments.models.ranking import Ranker, RankingConfig
from experiments.models.sasrec import SASRec, SASRecConfig

WEIGHTS, CONFIG, RESULTS = "weights.npz", "config.json", "results.json"
Config = SASRecConfig | MobileConfig | NarrowConfig | RankingConfig | PackedConfig
_MODELS: dict[type, type] = {
    SASRecConfig: SASRec,
    MobileConfig: MobileSASRec,
    NarrowConfig: NarrowSASRec,
    RankingConfig: Ranker,
    PackedConfig: PackedRanker,
}
_ARCHITECTURES: dict[str, type] = {
    "sasrec": SASRecConfig,
    "mobile": MobileConfig,
    "narrow": NarrowConfig,
    "ranking": RankingConfig,
    "packed": PackedConfig,
}


def kind_of(fields: Mapping[str, Any]) -> type:
    """The class of config that a file's fields are of; "architecture" says which.

    Raises:
      ValueError: if the architecture is unknown.
    """
    name = fields.get("architecture", "sasrec")
    if name not in _ARCHITECTURES:
        raise ValueError(
            f"received architecture={name!r}, expected one of {sorted(_ARCHITECTURES)}"
        )
    return _ARCHITECTURES[name]


def config_of(fields: Mapping[str, Any]) -> Config:
    """The config that a file's fields describe.

    Raises:
      ValueError: if the architecture is unknown or a field out of range.
      TypeError: if a field is unknown or missing.
    """
    given = {name: value for name, value in fields.items() if name != "architecture"}
    config: Config = kind_of(fields)(**given)
    return config


def build(config: Config) -> Any:
    """A model whose weights exist, new."""
    model = _MODELS[type(config)](config)
    model(tf.zeros([1, config.length], tf.int32))
    return model


def save_model(model: Any, folder: Path) -> None:
    """Writes weights.npz: each weight under its place and name, in the order of `model.weights`."""
    names = [f"{place:03d}/{weight.name}" for place, weight in enumerate(model.weights)]
    save_arrays(folder / WEIGHTS, dict(zip(names, model.get_weights(), strict=True)))


def kept(run: Path) -> dict[str, bytes]:
    """What a training run left, as files to put beside an exported model."""
    return {name: (run / name).read_bytes() for name in (CONFIG, RESULTS, WEIGHTS)}


def load_model(folder: Path) -> Any:
    """The model that `experiments.train` left in a folder.

    Raises:
      FileNotFoundError: if config.json or weights.npz is missing.
      ValueError: if the weights do not fit the config.
    """
    config = json.loads((folder / CONFIG).read_text())
    model = build(config_of(config["model"]))
    with np.load(folder / WEIGHTS) as arrays:
        weights = [arrays[name] for name in arrays.files]
    found = [weight.shape for weight in weights]
    expected = [tuple(weight.shape) for weight in model.weights]
    if found != expected:
        raise ValueError(
            f"{folder / WEIGHTS}: received weights of shapes {found}, expected {expected} as "
            f"{CONFIG} says. Take both files from one run."
        )
    model.set_weights(weights)
    return model


def scorer(model: Any) -> Callable[[npt.NDArray[np.int32]], npt.NDArray[np.float32]]:
    """A compiled function for `ranking.evaluate`, of any model with `last` and `logits`.

    It reads the model's weights at every call, so one serves a whole training.

    Returns:
      A function of histories int32 [B, length]; it returns scores float32 [B, n_items + 1].
    """
    compiled = tf.function(lambda rows: model.logits(model.last(rows)), reduce_retracing=True)

    def score(history: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        scores: npt.NDArray[np.float32] = compiled(tf.constant(history)).numpy()
        return scores

    return score
