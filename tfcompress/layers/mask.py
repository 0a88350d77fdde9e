"""The transform that keeps pruned weights at zero and moves the mask as its schedule says."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.keras import keras, tf
from tfcompress.layers.matrix import from_matrix, read_axes, to_matrix
from tfcompress.layers.pruning import (
    Amount,
    Blocks,
    Importance,
    Magnitude,
    NofM,
    Pattern,
    PerLayer,
    Scope,
    Target,
    amount_of,
    block_magnitudes,
    kth_largest,
    pattern_of,
)
from tfcompress.layers.zeroing import Zeroing
from tfcompress.measure import Axes, matrix_shape
from tfcompress.schedules import Once, Schedule
from tfcompress.value import from_data, to_data

__all__ = ["Mask", "block_magnitudes", "kth_largest", "magnitude_mask"]
Array = np.ndarray[Any, Any]


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
    return _kept(tf.abs(weight), sparsity, (Target(0.0), Blocks(*block), PerLayer()), 0)


Choice = tuple[Amount, Pattern, Scope]


def _kept(importances: Any, sparsity: Any, choice: Choice, input_axis: int) -> Any:
    amount, pattern, scope = choice
    pooled = tf.cast(pattern.pooled(importances), tf.float32)
    allowed = pattern.allowed(pooled, input_axis)
    groups = scope.grouped(tf.where(allowed, pooled, 0.0), input_axis)
    kept = scope.back(amount.kept(groups, sparsity), tuple(pooled.shape), input_axis) & allowed
    return tf.cast(pattern.spread(kept, *importances.shape), importances.dtype)


@keras.utils.register_keras_serializable("tfcompress")
class Mask(Zeroing):
    """Multiplies a matrix by a mask of its most important weights.

    Args:
        sparsity: share of zeros in the end, or a `Threshold`.
        block: rows and columns that are kept or pruned together, or `NofM`.
        schedule: when the mask moves; `Once` sets it where the layer is compressed.
        channel_axis: of a weight of more than two axes, which of them are columns; see
            `measure.matrix_shape`.
        importance: what a weight is worth.
        scope: among which weights the amount is counted.
    """

    def __init__(
        self,
        sparsity: Any,
        block: Any = (1, 1),
        schedule: Schedule | None = None,
        channel_axis: Axes = None,
        importance: Importance | None = None,
        scope: Scope | None = None,
    ) -> None:
        self.sparsity = sparsity
        self.block = block if isinstance(block, NofM) else (int(block[0]), int(block[1]))
        self.schedule = schedule or Once()
        self.channel_axis = read_axes(channel_axis)
        self.importance = importance or Magnitude()
        self.scope = scope or PerLayer()
        self.factors: Array | None = None  # by what rows count, given where a layer is compressed
        self.followed = False  # whether somebody moves it who watches the training
        self._amount = self.scope.amount(amount_of(sparsity))
        self._decide = self.schedule.decider(self._amount.target)
        self.settled = self._decide is None  # what is under its zeros is of no use any more

    @property
    def target(self) -> float:
        """The share of zeros in the end."""
        return self._amount.target

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
        if self.importance.looks and not self.settled:
            rows, _ = matrix_shape(tuple(weight.shape), self.channel_axis)
            self._factors = layer.add_weight(
                name=f"{name}_factors", shape=(rows,), dtype="float32", initializer="ones", **how
            )

    def start(self, weight: Any) -> None:
        """Sets the mask at once, where the schedule says so."""
        if self.settled:
            self._mask.assign(self.mask_of(weight))
        elif self.factors is not None:
            self._factors.assign(self.factors)

    def advance(self, weight: Any) -> None:
        """One training step further: moves the mask where the schedule says so."""
        if self._decide is None:
            return
        if self.schedule.follows:
            self._check_followed()
            return
        due, sparsity = self._decide(tf.cast(self._step, tf.int32))

        def move() -> Any:
            self.move(tf.stop_gradient(weight), sparsity)
            return True

        tf.cond(due, move, lambda: False)
        self._step.assign_add(1)

    def move(self, weight: Any, sparsity: Any) -> None:
        """Sets the mask anew, for a share of zeros."""
        factors = self._factors if self.importance.looks else None
        self._mask.assign(self._new_mask(weight, sparsity, factors))

    def _check_followed(self) -> None:
        if self.followed:
            return
        with tf.init_scope():  # the value now, where the training step is only traced
            pruned = self.zeros > 0.0
        if not pruned:
            raise SpecError(
                f"Received a training step for a layer pruned with {self.schedule!r}, and nobody "
                "who moves its mask; expected a callback that does. Call "
                "fit(..., callbacks=[tfcompress.DynamicPruning(...)])."
            )

    def mask_of(self, weight: Any) -> Any:
        """The mask of a weight at the full sparsity, in the weight's shape."""
        return self._new_mask(weight, self._amount.target, self.factors)

    def _new_mask(self, weight: Any, sparsity: Any, factors: Any = None) -> Any:
        importances = self._importances(weight, factors)
        choice = self._amount, pattern_of(self.block), self.scope
        mask = _kept(importances, sparsity, choice, self.input_axis(len(weight.shape)))
        return from_matrix(tf.cast(mask, weight.dtype), tuple(weight.shape), self.channel_axis)

    def _importances(self, weight: Any, factors: Any) -> Any:
        magnitudes = tf.abs(to_matrix(weight, self.channel_axis))
        if factors is None:
            return magnitudes
        return tf.cast(magnitudes, tf.float32) * tf.reshape(factors, [-1, 1])

    def parts(self, weight: Any) -> Array:
        """What each part of a weight is worth, 0 where none may stay: float32 `[rows, columns]`."""
        pattern = pattern_of(self.block)
        pooled = tf.cast(pattern.pooled(self._importances(weight, self.factors)), tf.float32)
        allowed = pattern.allowed(pooled, self.input_axis(len(weight.shape)))
        return np.asarray(tf.where(allowed, pooled, 0.0))

    def input_axis(self, rank: int) -> int:
        """Which axis of the matrix an output's inputs lie along: the rows, or a table's columns."""
        return 1 if rank == 2 and self.channel_axis in (0, (0,)) else 0

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same mask, its state aside."""
        names = ("sparsity", "block", "schedule", "channel_axis", "importance", "scope")
        return {name: to_data(getattr(self, name)) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Mask:
        """The mask of such a config."""
        return cls(**{name: from_data(value) for name, value in config.items()})
