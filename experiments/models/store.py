"""Making, saving and loading reference models; a folder holds config.json and weights.npz."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.files import save_arrays
from experiments.models import tf
from experiments.models.mobile import MobileConfig, MobileSASRec
from experiments.models.retriever import Retriever
from experiments.models.sasrec import SASRec, SASRecConfig

WEIGHTS, CONFIG = "weights.npz", "config.json"
Config = SASRecConfig | MobileConfig
_MODELS: dict[type, type] = {SASRecConfig: SASRec, MobileConfig: MobileSASRec}
_ARCHITECTURES: dict[str, type] = {"sasrec": SASRecConfig, "mobile": MobileConfig}


def config_of(fields: dict[str, Any]) -> Config:
    """The config that a file's fields describe; "architecture" says of which model.

    Raises:
      ValueError: if the architecture is unknown or a field out of range.
      TypeError: if a field is unknown or missing.
    """
    fields = dict(fields)
    name = fields.pop("architecture", "sasrec")
    if name not in _ARCHITECTURES:
        raise ValueError(
            f"received architecture={name!r}, expected one of {sorted(_ARCHITECTURES)}"
        )
    config: Config = _ARCHITECTURES[name](**fields)
    return config


def build(config: Config) -> Retriever:
    """A model whose weights exist, new."""
    model: Retriever = _MODELS[type(config)](config)
    model(tf.zeros([1, config.length], tf.int32))
    return model


def save_model(model: Retriever, folder: Path) -> None:
    """Writes weights.npz: each weight under its place and name, in the order of `model.weights`."""
    names = [f"{place:03d}/{weight.name}" for place, weight in enumerate(model.weights)]
    save_arrays(folder / WEIGHTS, dict(zip(names, model.get_weights(), strict=True)))


def load_model(folder: Path) -> Retriever:
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
