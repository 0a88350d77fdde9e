"""What a trial of the sweep does: some steps of distillation, from a student that was distilled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from experiments import quality, ranking
from experiments.compression import K, Recipe, items_text, some_histories
from experiments.data import movielens
from experiments.files import save_arrays
from experiments.models import files, store, tf
from experiments.models.student import forward_on, loss_where_known, student_of
from experiments.training import TrainingConfig, make_optimizer
from tfcompress.distillation.stored import StoredTop

TOP = 128  # of the teacher's scores are kept for each position
_USERS = 1500  # whom a trial is judged by before it is exported
# What the committed space is made of, at strengths between which harm is interpolated.
MEASURED = (
    tfc.Quantize(4, tfc.PerTensor(), tfc.Deviations(2.4)),
    tfc.Quantize(8, tfc.PerTensor(), tfc.AbsMax()),
    *(tfc.Factorize(rank) for rank in (24, 32, 40, 48, 56)),
    *(tfc.Prune(sparsity, block=(16, 1)) for sparsity in (0.1, 0.3, 0.6)),
)


@dataclass(frozen=True)
class Steps:
    """How long and how fast a trial trains.

    Attributes:
      steps: of distillation, in a trial.
      parts: in how many parts; a trial may be ended behind each.
      before: steps of distillation of the student that all trials start from.
      batch: windows in a step.
      peak_learning_rate: Adam's, which falls to zero with a cosine.

    Raises:
      ValueError: if a field is below 1, or the parts are not of equal length.
    """

    steps: int = 60
    parts: int = 2
    before: int = 300
    batch: int = 128
    peak_learning_rate: float = 7e-4

    def __post_init__(self) -> None:
        if min(self.steps, self.parts, self.before, self.batch) < 1 or self.steps % self.parts:
            raise ValueError(
                f"Received {self}, expected fields from 1 on, and parts that divide the steps."
            )

    def optimizer(self, steps: int) -> Any:
        """Adam for so many steps."""
        config = TrainingConfig(1, self.batch, 1, self.peak_learning_rate, min(10, steps // 4))
        return make_optimizer(config, steps * self.batch)


class Retrieval(tfc.Work):
    """MovieLens-1M retrieval: distil, export, rank all items by the file.

    Args:
      data: MovieLens-1M.
      teacher: what teaches; see `linear.assisted`.
      recipe: how it teaches: fresh positions, temperature, weight of the loss.
      how: how long a trial trains.
    """

    def __init__(self, data: movielens.MovieLens, teacher: Any, recipe: Recipe, how: Steps) -> None:
        self.data, self.teacher, self.recipe, self.how = data, teacher, recipe, how
        self.parts = how.parts
        chosen = np.linspace(0, data.n_users - 1, min(_USERS, data.n_users)).astype(int)
        self._some = replace(data, histories=[data.histories[user] for user in chosen])
        self._taught: tfc.Precomputed | None = None
        self._windows = windows_of(data, teacher, recipe, how)

    def prepare(self, model: Any, folder: Path) -> None:
        """Stores the teacher's largest scores on the windows of a trial, unless they are there."""
        answers = folder / "answers"
        if answers.exists():
            self._taught = tfc.Precomputed(answers)
            return
        teacher, fresh = self.teacher, self.recipe.fresh

        @tf.function(reduce_retracing=True)
        def ask(windows: Any) -> Any:
            return teacher.item_logits(teacher.hidden(windows[:, :-1], rows=fresh))

        top = min(TOP, self.data.n_items)
        self._taught = tfc.precompute(ask, self._windows, answers, top=top, batch_size=64)

    def train(self, student: Any, parts: range, seed: int) -> Iterator[float]:
        """Steps on the same windows as every other trial, in the same order."""
        if self._taught is None:
            raise RuntimeError("train was called before prepare.")
        tf.keras.utils.set_random_seed(seed)
        recipe, each = self.recipe, self.how.steps // self.parts
        forward = stored_forward(recipe.fresh)
        distiller = tfc.distill(student, self._taught, recipe.temperature, recipe.weight, forward)
        distiller.compile(self.how.optimizer(each * len(parts)))
        batches = self._taught.join(self._windows, batch_size=self.how.batch)
        for part in parts:
            distiller.fit(batches.skip(part * each).take(each), verbose=0)
            yield self._quick(student)

    def _quick(self, student: Any) -> float:
        length = student.config.length
        ranks = ranking.evaluate(store.scorer(student), self._some, "validation", length)
        return ranking.hr_ndcg(ranks, K)[1]

    def export(self, student: Any, folder: Path) -> tfc.Exported:
        """With both signatures, verified on users' histories."""
        length = student.config.length
        return tfc.export(
            student,
            folder,
            signatures=files.signatures(student.config),
            verify_with=files.verification_calls(self.data, length),
            files={files.ITEMS: items_text(self.data)},
        )

    def quality(self, file: Path) -> float:
        """NDCG@10 on the validation events of all users, by the file."""
        return ranking.hr_ndcg(quality.file_ranks(file, self.data, "validation"), K)[1]

    def calls(self) -> tuple[str, list[files.Inputs]]:
        """`recommend` for some users."""
        length = self.recipe.student.get("length", self.teacher.config.length)
        return "recommend", files.example_calls(self.data, length)


def windows_of(data: movielens.MovieLens, teacher: Any, recipe: Recipe, how: Steps) -> Any:
    """The windows of a trial, drawn by the recipe's seed: int32 [steps * batch, length + 1].

    Raises:
      ValueError: if there are fewer.
    """
    windows = movielens.windows(data, teacher.config.length, fresh=recipe.fresh, onward=True)
    wanted = how.steps * how.batch
    if len(windows) < wanted:
        raise ValueError(
            f"Received {len(windows)} windows, expected {wanted} for {how.steps} steps of "
            f"{how.batch}. Train for fewer steps."
        )
    order = np.random.default_rng(recipe.training.seed).permutation(len(windows))
    return windows[order[:wanted]]


def stored_forward(fresh: int) -> Any:
    """A `forward` of a `Distiller` whose teacher's answers are stored, of the last positions."""

    def forward(student: Any, stored: StoredTop, windows: Any) -> tfc.Outputs:
        targets, histories = windows[:, -fresh:], windows[:, :-1]
        places = tf.where(tf.not_equal(histories[:, -fresh:], 0))
        hidden = student.hidden(histories[:, -student.config.length :], rows=fresh, training=True)
        logits = student.item_logits(tf.gather_nd(hidden, places))
        loss = loss_where_known(tf.gather_nd(targets, places), logits)
        said = (tf.gather_nd(part, places) for part in (stored.logits, stored.items))
        return tfc.Outputs(loss, logits, StoredTop(stored.index, *said))

    return forward


def distilled_student(
    data: movielens.MovieLens, teacher: Any, taught_by: Any, recipe: Recipe, how: Steps, file: Path
) -> Any:
    """The student that all trials start from, in float32; read from `file` where it is there."""
    tf.keras.utils.set_random_seed(recipe.training.seed)
    windows = movielens.windows(data, teacher.config.length, fresh=recipe.fresh, onward=True)
    student = student_of(teacher, recipe.student, some_histories(data, teacher))
    if file.exists():
        with np.load(file) as arrays:
            student.set_weights([arrays[name] for name in arrays.files])
        return student
    forward = forward_on(recipe.positions, recipe.fresh, recipe.dropped)
    distiller = tfc.distill(student, taught_by, recipe.temperature, recipe.weight, forward)
    distiller.compile(how.optimizer(how.before))
    order = np.random.default_rng(recipe.training.seed).permutation(len(windows))
    shown = tf.data.Dataset.from_tensor_slices(windows[order]).repeat().batch(how.batch)
    distiller.fit(shown.take(how.before), verbose=0)
    save_arrays(file, {str(place): w for place, w in enumerate(student.get_weights())})
    return student
