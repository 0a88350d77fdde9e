"""What a recorded trial is: which specs, and what is done with each.

The model is the ranking teacher of MovieLens-1M, whose steps are cheap. A trial distils a spec of
it for some steps from the model itself, exports, and asks the file for its AUC on some of the
validation events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from experiments.click_quality import quality
from experiments.data import clicks
from experiments.models import click_files, click_student, tf
from experiments.state import Array


@dataclass(frozen=True)
class Steps:
    """How long a trial trains, and what it is judged by.

    Attributes:
        steps: of distillation.
        batch: events in a step.
        learning_rate: of Adam, in the first step; it falls to zero with a cosine.
        weight: of the teacher's part in the loss.
        validation: events that the AUC is measured on.
        seed: decides which events are trained on.

    Raises:
        ValueError: if a number is not above 0.
    """

    steps: int = 60
    batch: int = 1024
    learning_rate: float = 3e-4
    weight: float = 1.0
    validation: int = 20_000
    seed: int = 1

    def __post_init__(self) -> None:
        if min(vars(self).values()) <= 0:
            raise ValueError(f"Received {self}, expected numbers above 0.")


class Clicked(tfc.Work):
    """Distils a ranking model, exports it, and measures the file's AUC.

    Args:
        data: MovieLens-1M as clicks.
        teacher: what teaches, the model that specs are applied to.
        how: how long, and how it is judged.
    """

    def __init__(self, data: clicks.Clicks, teacher: Any, how: Steps) -> None:
        self.teacher, self.how = teacher, how
        random = np.random.default_rng(how.seed)
        rows = _some(data.rows("train"), how.steps * how.batch, random)
        answers = click_files.keras_logits(teacher)(rows)
        self._probed = rows
        self._rows = click_student.with_answers(rows, answers)
        self.validation = _some(data.rows("validation"), how.validation, random)

    def probe(self, n: int) -> tfc.Probe:
        """So many of the events that are trained on, for a sensitivity: harm to their logits."""
        return tfc.Probe([self._probed[:n, : self.teacher.config.length]])

    def train(self, student: Any, parts: range, seed: int) -> Iterator[float]:
        """Steps on the same events as every other trial, in the same order."""
        how = self.how
        for _ in parts:
            tf.keras.utils.set_random_seed(seed)
            forward = click_student.forward
            distiller = tfc.distill(student, self.teacher, 1.0, how.weight, forward)
            rate = tf.keras.optimizers.schedules.CosineDecay(how.learning_rate, how.steps)
            distiller.compile(tf.keras.optimizers.Adam(rate))
            distiller.fit(
                tf.data.Dataset.from_tensor_slices(self._rows).batch(how.batch), verbose=0
            )
            yield self._auc(click_files.keras_probabilities(student)(self.validation))

    def _auc(self, probabilities: Any) -> float:
        found: float = quality(self.validation[:, -1], probabilities)["auc"]
        return found

    def export(self, student: Any, folder: Path) -> tfc.Exported:
        """With the signature `click`, verified on validation events."""
        return tfc.export(
            student,
            folder,
            signatures=click_files.signatures(student.config),
            verify_with=click_files.verification_calls(student.config, self.validation),
        )

    def quality(self, file: Path) -> float:
        """AUC on the validation events, by the file."""
        return self._auc(click_files.file_probabilities(file, self.validation))

    def calls(self) -> tuple[str, Sequence[click_files.Inputs]]:
        """One pair of a user and a film each."""
        fields = self.teacher.config.sizes
        return click_files.CLICK, click_files.calls(fields, self.validation, 1, 32)


def _some(rows: Array, n: int, random: np.random.Generator) -> Array:
    """So many of the rows at random, all of them where there are fewer."""
    return rows[random.permutation(len(rows))[:n]]
