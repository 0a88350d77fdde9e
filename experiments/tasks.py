"""Which task a config, a trained model's folder or a file belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.clicking import Clicking
from experiments.models import store
from experiments.models.mobile import MobileConfig
from experiments.models.narrow import NarrowConfig
from experiments.models.packed import PackedConfig
from experiments.models.ranking import RankingConfig
from experiments.models.sasrec import SASRecConfig
from experiments.retrieving import Retrieving
from experiments.task import Task
from tfcompress import LiteModel

RETRIEVING, CLICKING = Retrieving(), Clicking()
TASKS: Mapping[type, Task] = {
    SASRecConfig: RETRIEVING,
    MobileConfig: RETRIEVING,
    NarrowConfig: RETRIEVING,
    RankingConfig: CLICKING,
    PackedConfig: CLICKING,
}
ASKED: Mapping[str, Task] = {"recommend": RETRIEVING, "click": CLICKING}


def task_of(fields: Mapping[str, Any]) -> Task:
    """The task of a model's config, as it stands in a file.

    Raises:
      ValueError: if the architecture is unknown.
    """
    return TASKS[store.kind_of(fields)]


def task_in(folder: Path) -> Task:
    """The task of the model that `experiments.train` left in a folder.

    Raises:
      FileNotFoundError: if config.json is missing.
    """
    return task_of(json.loads((folder / store.CONFIG).read_text())["model"])


def task_of_file(path: Path) -> Task:
    """The task of a TFLite file, by what it can be asked.

    Raises:
      ValueError: if it has none of the signatures that a task's files have.
    """
    found = LiteModel(path).signatures
    for name, task in ASKED.items():
        if name in found:
            return task
    raise ValueError(f"{path}: received signatures {found}, expected one of {sorted(ASKED)}.")
