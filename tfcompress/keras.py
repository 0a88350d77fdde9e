"""The only place that imports tf_keras, TF-MOT and TFRS; everything else takes them from here.

TFRS and TF-MOT need Keras 2 (`tf_keras`), which TensorFlow only hands out when
`TF_USE_LEGACY_KERAS=1` stands in the environment before its first import.
"""

from __future__ import annotations

import os
import sys

from tfcompress.errors import EnvironmentSetupError


def _use_legacy_keras() -> None:
    set_before = os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True")
    if "tensorflow" in sys.modules and not set_before:
        raise EnvironmentSetupError(
            "TensorFlow was imported before tfcompress, with Keras 3; expected Keras 2 (tf_keras). "
            "Import tfcompress first, or set TF_USE_LEGACY_KERAS=1 in the environment."
        )
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


_use_legacy_keras()

import tensorflow as tf  # noqa: E402
import tensorflow_model_optimization as tfmot  # noqa: E402
import tensorflow_recommenders as tfrs  # noqa: E402
import tf_keras as keras  # noqa: E402

Layer = keras.layers.Layer
Model = keras.Model
Functional = keras.src.engine.functional.Functional
Sequential = keras.Sequential

__all__ = ["Functional", "Layer", "Model", "Sequential", "keras", "tf", "tfmot", "tfrs"]
