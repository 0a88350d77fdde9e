"""Models that are trained on (x, y)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.apply import distill
from tfcompress.distillation import DistillationLoss, Precomputed, SoftLabels, precompute
from tfcompress.errors import SpecError
from tfcompress.export import Exported, LiteModel, export
from tfcompress.export.signature import default_signatures
from tfcompress.keras import keras, tf
from tfcompress.search.work import Work

_TIMED = 32


@dataclass
class Examples(Work):
    """Examples to fine-tune a student on, taught by the model as it was.

    The model's answers to all training examples are stored once, and learnt from in every trial.

    Args:
        training: features and labels; features are an array, or a structure of them as
            the model takes it.
        validation: features and labels.
        loss: of labels and outputs, as for `compile`.
        measure: the quality, from labels and outputs, NumPy arrays of all validation examples; a
            number, the more the better.
        parts: passes over the training examples; behind each a trial may be ended.
        batch: examples in a step.
        learning_rate: of Adam.
        teach: how the model teaches; None where it does not.
        weight: share of the model's part in the loss.
        strategy: a `tf.distribute.MirroredStrategy`, whose replicas share every batch of a trial;
            None: one replica.

    Raises:
        SpecError: no examples, a number out of range, or a strategy that spreads over processes:
            each of them would have to run the same trial.

    Example:
        >>> import numpy as np, tf_keras as keras
        >>> x, y = np.ones((8, 4), "float32"), np.zeros(8, "int32")
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> accuracy = lambda y, outputs: float((outputs.argmax(-1) == y).mean())
        >>> Examples((x, y), (x, y), loss, accuracy).parts
        1
    """

    training: tuple[Any, Any]
    validation: tuple[Any, Any]
    loss: Any
    measure: Callable[[Any, Any], float]
    parts: int = 1
    batch: int = 32
    learning_rate: float = 1e-3
    teach: DistillationLoss | None = field(default_factory=SoftLabels)
    weight: float = 0.5
    strategy: Any = None

    def __post_init__(self) -> None:
        for name in ("parts", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise SpecError(
                    f"Examples received {name}={getattr(self, name)!r}; expected more than 0."
                )
        for name in ("training", "validation"):
            if not tf.nest.flatten(getattr(self, name)) or not len(getattr(self, name)[1]):
                raise SpecError(f"Examples received no examples in {name}; expected some.")
        _check_strategy(self.strategy)
        self._taught: Precomputed | None = None
        self._names: list[str] = []

    def prepare(self, model: Any, folder: Path) -> None:
        """Stores the model's answers, unless they are there."""
        if self.teach is None:
            return
        answers = folder / "answers"
        self._taught = (
            Precomputed(answers)
            if answers.exists()
            else precompute(model, self.training[0], answers, batch_size=self.batch)
        )

    def scope(self) -> AbstractContextManager[Any]:
        """The strategy's."""
        return nullcontext() if self.strategy is None else self.strategy.scope()

    def train(self, student: Any, parts: range, seed: int) -> Iterator[float]:
        """Passes over the training examples with Adam."""
        x, y = self.training
        with self.scope():
            learner = student
            if self._taught is not None:
                learner = distill(student, self._taught, weight=self.weight, loss=self.teach)
            learner.compile(keras.optimizers.Adam(self.learning_rate), self.loss)
        for part in parts:
            keras.utils.set_random_seed(seed + part)
            learner.fit(self._shuffled(x, y), verbose=0)
            outputs = student.predict(self.validation[0], batch_size=self.batch, verbose=0)
            yield float(self.measure(self.validation[1], outputs))

    def _shuffled(self, x: Any, y: Any) -> Any:
        if self._taught is not None:
            return self._taught.join((x, y), batch_size=self.batch, shuffle=len(y))
        return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(y)).batch(self.batch)

    def export(self, student: Any, folder: Path) -> Exported:
        """With one signature, that calls the student."""
        signatures = default_signatures(student)
        self._names = list(signatures["serve"].inputs)
        return export(student, folder, signatures)

    def quality(self, file: Path) -> float:
        """Of all validation examples, one call for each."""
        model = LiteModel(file)
        outputs = [next(iter(model.run("serve", call).values())) for call in self._inputs()]
        return float(self.measure(self.validation[1], np.concatenate(outputs)))

    def calls(self) -> tuple[str, Sequence[Mapping[str, Any]]]:
        """The first validation examples."""
        return "serve", list(self._inputs(_TIMED))

    def _inputs(self, most: int | None = None) -> Iterator[Mapping[str, Any]]:
        columns = [np.asarray(column) for column in tf.nest.flatten(self.validation[0])]
        for row in range(len(columns[0]))[:most]:
            yield {
                name: column[row : row + 1]
                for name, column in zip(self._names, columns, strict=True)
            }


def _check_strategy(strategy: Any) -> None:
    kinds = (tf.distribute.MirroredStrategy, tf.distribute.OneDeviceStrategy)
    if strategy is not None and not isinstance(strategy, kinds):
        raise SpecError(
            f"Examples received strategy={strategy!r}; expected one with all its replicas in this "
            "process, such as tf.distribute.MirroredStrategy(). Trials are spread over machines "
            "by the search's chief and workers."
        )
