"""The transform that keeps pruned weights at zero and moves the mask as its schedule says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.layers.matrix import from_matrix, read_axes, to_matrix
from tfcompress.measure import Axes, WeightForm
from tfcompress.schedules import Once, Schedule
from tfcompress.value import from_data, to_data


def block_magnitudes(weight: Any, block: tuple[int, int]) -> Any:
    """Mean magnitude of each block: `[rows, columns]` to `[ceil(rows/r), ceil(columns/c)]`."""
    if block == (1, 1):
        return tf.abs(weight)
    padded = _padded(tf.abs(weight), block)
    present = _padded(tf.ones_like(weight), block)
    return tf.reduce_sum(padded, [1, 3]) / tf.reduce_sum(present, [1, 3])


def _padded(weight: Any, block: tuple[int, int]) -> Any:
    rows, columns = weight.shape
    down, right = -rows % block[0], -columns % block[1]
    whole = tf.pad(weight, [[0, down], [0, right]])
    return tf.reshape(
        whole, [(rows + down) // block[0], block[0], (columns + right) // block[1], block[1]]
    )


def kth_largest(values: Any, k: Any) -> Any:
    """The k-th largest of `values` (float32, none negative), k from 1: the largest is the first.

    Floats that are not negative are ordered as the integers of their bits are. So the answer is
    found bit by bit, by counting the values that are at least as large; several times faster than
    sorting, and unlike a selection on the CPU it compiles for every device.

    Example:
        >>> import tensorflow as tf
        >>> float(kth_largest(tf.constant([0.5, 3.0, 2.0]), k=2))
        2.0
    """
    bits = tf.bitcast(values, tf.int32)

    def settle(place: Any, found: Any) -> tuple[Any, Any]:
        larger = found + tf.bitwise.left_shift(1, place)
        enough = tf.reduce_sum(tf.cast(bits >= larger, tf.int32)) >= k
        return place - 1, tf.where(enough, larger, found)

    _, found = tf.while_loop(lambda place, _: place >= 0, settle, (30, 0))
    return tf.bitcast(found, tf.float32)


def magnitude_mask(weight: Any, sparsity: Any, block: tuple[int, int]) -> Any:
    """1 for the largest blocks of a matrix and 0 for a share of `sparsity` of them, the smallest.

    Zhu and Gupta, "To prune, or not to prune" (2017). As in TF-MOT,
    `round(blocks * (1 - sparsity))` blocks are kept, and blocks as large as the smallest kept one
    are kept with it.

    Args:
        weight: float `[rows, columns]`.
        sparsity: scalar in [0, 1).
        block: rows and columns that are kept or pruned together.
    """
    magnitudes = tf.cast(block_magnitudes(weight, block), tf.float32)
    count = tf.cast(tf.size(magnitudes), tf.float32)
    kept = tf.cast(tf.round(count * (1.0 - tf.cast(sparsity, tf.float32))), tf.int32)
    threshold = kth_largest(magnitudes, kept)
    chosen = tf.cast((magnitudes >= threshold) & (kept > 0), weight.dtype)
    rows, columns = weight.shape
    return tf.repeat(tf.repeat(chosen, block[0], 0)[:rows], block[1], 1)[:, :columns]


@keras.utils.register_keras_serializable("tfcompress")
class Mask:
    """Multiplies a matrix by a mask of its largest magnitudes.

    Args:
        sparsity: share of zeros in the end.
        block: rows and columns that are kept or pruned together.
        schedule: when the mask moves; `Once` sets it where the layer is compressed.
        channel_axis: of a weight of more than two axes, which of them are columns; see
            `measure.matrix_shape`.
    """

    order = 1

    def __init__(
        self,
        sparsity: float,
        block: Sequence[int] = (1, 1),
        schedule: Schedule | None = None,
        channel_axis: Axes = None,
    ) -> None:
        self.sparsity = sparsity
        self.block = (int(block[0]), int(block[1]))
        self.schedule = schedule or Once()
        self.channel_axis = read_axes(channel_axis)
        self._decide = self.schedule.decider(sparsity)

    def build(self, layer: Any, name: str, weight: Any) -> None:
        """Adds the mask and the count of training steps to the wrapper's own weights."""
        # Each replica of a distribution strategy keeps its own copy, made from the same weights:
        # only so can it be written inside a branch of the graph.
        how = {
            "trainable": False,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA,
        }
        self._mask = layer.add_weight(
            name=f"{name}_mask", shape=weight.shape, dtype=weight.dtype, initializer="ones", **how
        )
        self._step = layer.add_weight(
            name=f"{name}_step", shape=(), dtype="int64", initializer="zeros", **how
        )

    def start(self, weight: Any) -> None:
        """Sets the mask at once, where the schedule says so."""
        if isinstance(self.schedule, Once):
            self._mask.assign(self._new_mask(weight, self.sparsity))

    def restart(self, before: Any, after: Any) -> None:
        """Nothing to set where another transform comes before this one."""

    def advance(self, weight: Any) -> None:
        """One training step further: moves the mask where the schedule says so."""
        if self._decide is None:
            return
        due, sparsity = self._decide(tf.cast(self._step, tf.int32))

        def move() -> Any:
            self._mask.assign(self._new_mask(tf.stop_gradient(weight), sparsity))
            return True

        tf.cond(due, move, lambda: False)
        self._step.assign_add(1)

    def _new_mask(self, weight: Any, sparsity: Any) -> Any:
        matrix = to_matrix(weight, self.channel_axis)
        mask = magnitude_mask(matrix, sparsity, self.block)
        return from_matrix(mask, tuple(weight.shape), self.channel_axis)

    def __call__(self, weight: Any) -> Any:
        """The matrix with its pruned weights at zero."""
        return weight * self._mask

    def rows(self, table: Callable[[], Any], rows: Any, ids: Any) -> Any:
        """The same for the rows `ids` of a table."""
        del table
        return rows * tf.gather(self._mask, ids)

    def planned(self, form: WeightForm) -> WeightForm:
        """How a matrix is stored after this."""
        return replace(form, sparsity=self.sparsity)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same mask, its state aside."""
        schedule = to_data(self.schedule)
        return {
            "sparsity": self.sparsity,
            "block": list(self.block),
            "schedule": schedule,
            "channel_axis": self.channel_axis,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Mask:
        """The mask of such a config."""
        return cls(**{**config, "schedule": from_data(config["schedule"])})
