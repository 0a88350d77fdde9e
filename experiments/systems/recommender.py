"""A ranking model for users and films; published with distillation and quantization.

The teacher is the DCN-v2 of `saved_models/ml1m-ranking-teacher`, trained by
`python -m experiments.train --config=experiments/configs/ranking-teacher.json` on MovieLens-1M as
clicks. RecBole's benchmark, whose protocol `data.clicks` follows, has an AUC of 0.8998 for its
DCN-v2; this teacher has 0.9040.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from experiments import click_compression, click_quality
from experiments.data import clicks
from experiments.models import click_files, click_student, store, tf
from experiments.models.ranking import GENRES
from experiments.systems.system import Array, Goal, Quality, System, Way
from experiments.training import TrainingConfig

TEACHER = Path("saved_models/ml1m-ranking-teacher")
RECIPE = click_compression.read_recipe(Path(__file__).parents[1] / "configs/ranking-mobile.json")
N_CALLS, SEED = 8, 1


@dataclass(frozen=True)
class Clicked:
    """Whether a user would click on a film, see `system.Subject`.

    A training reads rows of events, and of users and films put together at random, with what the
    teacher says of each behind them; see `click_student.with_answers`.

    Args:
      data: MovieLens-1M as clicks.
      teacher: the folder that `experiments.train` left.
      pairs: how many users and films are put together.
    """

    data: clicks.Clicks
    teacher: Path
    pairs: int
    deciding: str = field(default="auc", init=False)
    metric: str = field(default="AUC", init=False)
    signature: str = field(default=click_files.CLICK, init=False)

    @property
    def described(self) -> Mapping[str, Any]:
        """The name and the sizes of the data, and where the teacher comes from."""
        sizes = {split: len(self.data.rows(split)) for split in ("train", "validation", "test")}
        about = {"name": "MovieLens-1M", "synthetic": False, **sizes, "pairs": self.pairs}
        return {**about, "teacher": self.teacher.as_posix()}

    @cached_property
    def rows(self) -> Array:
        """The fields, the click and the teacher's answer: int32 [events + pairs, 7 + slots + 2]."""
        events = self.data.rows("train")
        known = np.vstack([events, click_student.some_pairs(events, self.pairs, SEED)])
        return click_student.with_answers(known, click_files.keras_logits(self.network())(known))

    def network(self) -> Any:
        """The trained teacher."""
        return store.load_model(self.teacher)

    def batch(self, rows: Any) -> tuple[Any, Any]:
        """The fields int32 [batch, 7 + slots] and the clicks int32 [batch], -1 where unknown."""
        return rows[:, :-2], rows[:, -2]

    def loss(self, wanted: Any, logits: Any) -> Any:
        """The mean cross-entropy of the known clicks."""
        return click_student.loss_where_known(wanted, logits)

    def validated(self, network: Any) -> dict[str, float]:
        """AUC and the mean cross-entropy."""
        rows = self.data.rows("validation")
        found = click_quality.quality(rows[:, -1], click_files.keras_probabilities(network)(rows))
        return {name: found[name] for name in ("auc", "log_loss")}

    def signatures(self) -> Mapping[str, tfc.Signature]:
        """`click`: all fields of any number of pairs → probability, whichever of them it reads."""
        shapes = {name: [None] for name in clicks.FIELDS} | {GENRES: [None, self._slots]}
        inputs = {name: tf.TensorSpec(shape, tf.int32) for name, shape in shapes.items()}
        return {self.signature: tfc.Signature(_click, inputs)}

    @property
    def _slots(self) -> int:
        return self.data.genres.shape[1]

    def calls(self) -> Sequence[Mapping[str, Array]]:
        """Pairs of the validation split, one a call."""
        fields = (*clicks.FIELDS, GENRES)
        return click_files.calls(fields, self.data.rows("validation"), 1, N_CALLS)

    def quality(self, file: Path) -> Quality:
        """Of each test event what it adds to the AUC, see `click_quality.influences`."""
        rows = self.data.rows("test")
        return click_quality.influences(rows[:, -1], click_files.file_probabilities(file, rows))


def _click(model: Any, **columns: Any) -> dict[str, Any]:
    return click_files.click(model, **{name: columns[name] for name in model.config.sizes})


def subject(folder: Path | None) -> Clicked:
    """MovieLens-1M from a folder or fetched, and the published teacher."""
    return Clicked(clicks.load(folder), TEACHER, RECIPE.pairs)


QUANTIZED = tfc.Spec(
    [
        tfc.rule(tfc.by_type("Embedding"), tfc.Quantize(4, tfc.PerTensor(), tfc.Deviations(2.4))),
        tfc.rule(tfc.by_type("Dense"), tfc.Quantize(bits=8)),
    ]
)
# What the teacher drops while it is trained is of no use to a copy that has its answers.
PUBLISHED = Way(
    name="published",
    specs=(QUANTIZED,),
    training=TrainingConfig(
        seed=0, batch=4096, epochs=3, peak_learning_rate=1e-3, warmup_steps=100, xla=True
    ),
    temperature=RECIPE.temperature,
    weight=RECIPE.weight,
    begin=click_student.resized,
    sizes={"dropout": 0.0},
)

# The same two techniques, on a student whose fields share a table: see `models.packed`.
OWN = Way(
    name="own",
    specs=(RECIPE.spec,),
    training=RECIPE.training,
    temperature=RECIPE.temperature,
    weight=RECIPE.weight,
    begin=click_student.student_of,
    sizes=RECIPE.student,
)

SYSTEM = System(
    name="recommender",
    published="distillation, quantization",
    load=subject,
    goal=Goal(size_reduction=0.9, speedup=3.0, quality_loss=0.009),  # 1 % of the teacher's 0.904
    teaching=None,
    ways=(PUBLISHED, OWN),
    forward=click_student.forward,
)
