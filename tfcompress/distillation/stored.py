"""A teacher's answers that lie on disk, joined with the examples that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfcompress.distillation.layout import (
    HASHES,
    ITEMS,
    LOGITS,
    META,
    Layout,
    as_batches,
    features,
    row_hashes,
)
from tfcompress.distillation.losses import DistillationLoss
from tfcompress.distillation.taught import Listed, Taught, Whole
from tfcompress.distillation.teachers import Teacher
from tfcompress.errors import SpecError
from tfcompress.keras import tf


class StoredLogits(NamedTuple):
    """All logits of a batch: index int64 `[n]`, logits float32 `[n, ..., classes]`."""

    index: Any
    logits: Any

    def taught(self, classes: int) -> Taught:
        """What losses compare."""
        del classes
        return Whole(self.logits)


class StoredTop(NamedTuple):
    """The largest logits of a batch: index int64 `[n]`, logits float32 and items int32 `[n, ..., k]`."""  # noqa: E501

    index: Any
    logits: Any
    items: Any

    def taught(self, classes: int) -> Taught:
        """What losses compare."""
        return Listed(self.logits, self.items, classes)


class Precomputed(Teacher):
    """A teacher's answers that `precompute` stored, read from disk as they are needed.

    Order is held by an index column: row i of the answers belongs to example i of the data that the
    teacher was run on. `join` gives each example its index before anything is shuffled, and the
    index travels with it; so the data handed to `join` must come in the order of `precompute`
    (batches may be of another size). Beside each row lies a hash of the example's features. `join`
    reads the data once and compares all hashes and the number of examples, and while training each
    batch is compared again.

    Args:
        path: the folder that `precompute` wrote.

    Raises:
        SpecError: no such folder, or one that is not complete.

    Example:
        >>> import tempfile, numpy as np, tf_keras as keras
        >>> import tfcompress as tfc
        >>> make = lambda: keras.Sequential([keras.layers.Dense(3, input_shape=(4,))])
        >>> x, y = np.random.normal(size=(20, 4)).astype("float32"), np.zeros(20)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     taught = tfc.precompute(make(), x, folder + "/answers")
        ...     student = tfc.distill(make(), tfc.Precomputed(folder + "/answers"), weight=1.0)
        ...     student.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        ...     history = student.fit(taught.join((x, y), batch_size=8, shuffle=20), verbose=0)
        >>> taught.rows
        20
    """

    def __init__(self, path: Any) -> None:
        self.path = Path(path)
        if not (self.path / META).exists():
            raise SpecError(
                f"{self.path} holds no answers of a teacher; expected a folder that "
                "tfcompress.precompute wrote."
            )
        self.layout, rows = Layout.read(self.path)
        written = self.layout.written(self.path)
        if rows is None or rows != written:
            raise SpecError(
                f"{self.path} holds {written} rows; expected {rows}. Delete the folder, and run "
                "tfcompress.precompute again."
            )
        self.rows = rows
        self._columns = {
            name: np.memmap(self.path / name, dtype, "r", shape=(rows, *shape))
            for name, (dtype, shape) in self.layout.columns().items()
        }

    def __repr__(self) -> str:
        return f"Precomputed({str(self.path)!r})"

    @property
    def logits(self) -> Any:
        """The stored logits, `[rows, ..., classes]` or `[rows, ..., top]`, mapped from disk."""
        return self._columns[LOGITS]

    @property
    def items(self) -> Any:
        """The items of the stored logits, int32 of the same shape; None where all are stored."""
        return self._columns.get(ITEMS)

    @property
    def hashes(self) -> Any:
        """The hash of each example's features, int64 `[rows]`."""
        return self._columns[HASHES]

    def join(self, data: Any, batch_size: int | None = None, shuffle: int = 0) -> Any:
        """Training data with the teacher's answers, for the `fit` of a `Distiller`.

        Args:
            data: a `tf.data.Dataset` of batches, such as (x, y), or a structure of arrays; in the
                order in which the teacher was run on it, neither shuffled nor repeated.
            batch_size: examples in a batch; by default the dataset's own batches, 32 of arrays.
            shuffle: how many examples wait in a buffer from which batches are drawn at random,
                anew in every pass; 0 for the order of the data. What waits are examples and their
                indices: answers are read from disk as late as a batch is complete.

        Returns:
            A dataset of (batch, stored answers), the latter with an index column.

        Raises:
            SpecError: data of another length, or whose features are others, or in another order.
                What changes from pass to pass is found while training, by TensorFlow's
                InvalidArgumentError.
        """
        if shuffle and batch_size is None:
            raise SpecError(
                f"join received shuffle={shuffle} and no batch_size; expected both, for examples "
                "are drawn one by one."
            )
        dataset = as_batches(data, batch_size or 32)
        self._check(dataset)
        indexed = dataset.scan(tf.constant(0, tf.int64), _with_index)
        if shuffle or batch_size is not None:
            indexed = indexed.unbatch()
            indexed = indexed.shuffle(shuffle) if shuffle else indexed
            indexed = indexed.batch(batch_size)
        return indexed.map(self._looked_up, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _check(self, dataset: Any) -> None:
        if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise SpecError(
                "join received a dataset that never ends; expected each example once. Repeat what "
                "join returns instead."
            )
        done = 0
        for found in dataset.map(lambda *batch: row_hashes(features(batch))):
            stored = self.hashes[done : done + len(found)]
            differ = np.flatnonzero(stored != found.numpy()[: len(stored)])
            if differ.size:
                raise SpecError(
                    f"The features of example {done + int(differ[0])} are not those that "
                    f"{self.path} has an answer to; expected the data that the teacher was run on, "
                    "of the same types and in the same order. Do not shuffle before join."
                )
            done += len(found)
        if done != self.rows:
            raise SpecError(
                f"join received {done} examples; expected {self.rows}, as many as {self.path} "
                "has answers to."
            )

    def _looked_up(self, batch: Any, index: Any) -> Any:
        columns = self.layout.columns()
        read = tf.numpy_function(self._read, [index], [_WIDE[name] for name in columns])
        for one, (_, shape) in zip(read, columns.values(), strict=True):
            one.set_shape((*index.shape, *shape))
        tf.debugging.assert_equal(
            read[-1],
            row_hashes(features(batch)),
            f"The features of a batch are not those that {self.path} has answers to: the data of "
            "this pass came in another order than that of the first. Do not shuffle before join.",
        )
        kind = StoredLogits if self.layout.top is None else StoredTop
        return batch, kind(index, *read[:-1])

    def _read(self, index: Any) -> list[Any]:
        return [
            np.asarray(column[index], _WIDE[name].as_numpy_dtype)
            for name, column in self._columns.items()
        ]

    @property
    def given(self) -> Any:
        """Itself."""
        return self

    @property
    def models(self) -> tuple[Any, ...]:
        """None: its answers are stored."""
        return ()

    @property
    def classes(self) -> int | None:
        """How many classes the teacher has."""
        return self.layout.classes

    def opened(self, data: Any) -> tuple[Any, Any]:
        """The batch of a dataset that `join` returned, and what is stored for it.

        Raises:
            SpecError: data without stored answers.
        """
        if not _is_joined(data):
            raise SpecError(
                "A student of precomputed answers received plain data; expected batches with "
                "their answers. Train on teacher.join(dataset)."
            )
        return data

    def own_batch(self, data: Any) -> Any:
        """The student's own batch, joined or not."""
        return data[0] if _is_joined(data) else data

    def answers(self, speaker: Any, x: Any) -> Any:
        """What is stored for a batch (the second of `opened`)."""
        del x
        return speaker

    def taught(self, said: Any) -> Taught:
        """What is stored for a batch; or the logits that a `forward` made of it."""
        if isinstance(said, (StoredLogits, StoredTop)):
            return said.taught(self.layout.classes)
        return Whole(said)

    def check(self, loss: DistillationLoss) -> None:
        """Raises SpecError for features, which are not stored."""
        if loss.pairs:
            raise SpecError(
                "Hidden received precomputed answers; expected a model, whose layers it names. "
                "Distil from the stored logits, or give the teacher itself."
            )


_WIDE = {LOGITS: tf.float32, ITEMS: tf.int32, HASHES: tf.int64}


def _is_joined(data: Any) -> bool:
    return isinstance(data, tuple) and isinstance(data[-1], (StoredLogits, StoredTop))


def _with_index(done: Any, *batch: Any) -> Any:
    count = tf.shape(tf.nest.flatten(batch)[0], tf.int64)[0]
    return done + count, (batch[0] if len(batch) == 1 else batch, done + tf.range(count))
