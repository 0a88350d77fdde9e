"""How many weights go: a share of them, or all below a threshold."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.value import Value

Array = np.ndarray[Any, Any]


def kth_largest(values: Any, k: Any) -> Any:
    """The k-th largest along the last axis (float32, none negative), k from 1: the largest first.

    Floats that are not negative are ordered as the integers of their bits are. So the answer is
    found bit by bit, by counting the values that are at least as large; several times faster than
    sorting, and unlike a selection on the CPU it compiles for every device.

    Args:
        values: float32 `[..., n]`.
        k: int32 scalar.

    Returns:
        float32 `[...]`.

    Example:
        >>> import tensorflow as tf
        >>> float(kth_largest(tf.constant([0.5, 3.0, 2.0]), k=2))
        2.0
    """
    bits = tf.bitcast(values, tf.int32)

    def settle(place: Any, found: Any) -> tuple[Any, Any]:
        larger = found + tf.bitwise.left_shift(1, place)
        at_least = tf.cast(bits >= larger[..., tf.newaxis], tf.int32)
        return place - 1, tf.where(tf.reduce_sum(at_least, -1) >= k, larger, found)

    start = tf.zeros(values.shape[:-1], tf.int32)
    _, found = tf.while_loop(lambda place, _: place >= 0, settle, (30, start))
    return tf.bitcast(found, tf.float32)


@dataclass(frozen=True)
class Amount(Value):
    """How many weights go."""

    looks: ClassVar[bool]  # whether it cannot be told without the weights
    grows: ClassVar[bool]  # whether a schedule may raise it from step to step

    @property
    def target(self) -> float:
        """The share of zeros that is asked for, which a schedule works towards."""
        return 0.0

    @property
    @abstractmethod
    def neutral(self) -> bool:
        """Whether every weight stays."""

    @abstractmethod
    def kept(self, importances: Any, sparsity: Any) -> Any:
        """Which stay, bool `[groups, n]`, of float32 `[groups, n]`, each group by itself.

        Args:
            importances: none negative.
            sparsity: the share of zeros that a schedule says now, scalar.
        """

    @abstractmethod
    def shared(self, importances: Sequence[Array]) -> list[Amount]:
        """For each of several matrices its own amount, where one decision is made for all."""


@dataclass(frozen=True)
class Target(Amount):
    """A share of the weights, those of least importance.

    As in TF-MOT, `round(n * (1 - sparsity))` are kept, and whatever is as important as the least of
    them is kept with it.

    Example:
        >>> import tensorflow as tf
        >>> Target(0.5).kept(tf.constant([[0.1, 3.0, 2.0, 0.2]]), 0.5).numpy().tolist()
        [[False, True, True, False]]
    """

    sparsity: float
    looks = False
    grows = True

    @property
    def target(self) -> float:
        """The share."""
        return self.sparsity

    @property
    def neutral(self) -> bool:
        """Whether the share is nothing."""
        return self.sparsity == 0.0

    def kept(self, importances: Any, sparsity: Any) -> Any:
        """The most important ones of each group."""
        count = tf.cast(importances.shape[-1], tf.float32)
        number = tf.cast(tf.round(count * (1.0 - tf.cast(sparsity, tf.float32))), tf.int32)
        least = kth_largest(importances, number)[..., tf.newaxis]
        return (importances >= least) & (number > 0)

    def shared(self, importances: Sequence[Array]) -> list[Amount]:
        """The shares that fall on each matrix where all weights are ranked together."""
        whole = np.concatenate([part.ravel() for part in importances])
        kept = np.asarray(self.kept(tf.constant(whole[np.newaxis]), self.sparsity))[0]
        parts = np.split(kept, np.cumsum([part.size for part in importances])[:-1])
        return [Target(float(1.0 - np.count_nonzero(part) / part.size)) for part in parts]


@dataclass(frozen=True)
class Threshold(Amount):
    """Base of the amounts that are told by a limit: what is less important than it goes."""

    looks = True
    grows = False

    @abstractmethod
    def limit(self, importances: Any) -> Any:
        """The limit of each group, `[groups, 1]`."""

    def kept(self, importances: Any, sparsity: Any) -> Any:
        """What is at least as important as the limit."""
        del sparsity
        return importances >= self.limit(importances)

    def factors(self, weight: Array) -> Array:
        """1 where a weight of a matrix stays and 0 where it goes, float32 in the weight's shape."""
        kept = self.kept(tf.abs(tf.constant(weight.reshape(1, -1), tf.float32)), 0.0)
        return np.asarray(kept, np.float32).reshape(weight.shape)

    def shared(self, importances: Sequence[Array]) -> list[Amount]:
        """The limit of all matrices together, for each of them."""
        whole = np.concatenate([part.ravel() for part in importances])
        limit = float(np.asarray(self.limit(tf.constant(whole[np.newaxis])))[0, 0])
        return [Absolute(limit)] * len(importances)


@dataclass(frozen=True)
class Absolute(Threshold):
    """Weights whose importance (by default: magnitude) is below `theta` go.

    Raises:
        SpecError: a threshold below 0.

    Example:
        >>> from tfcompress import Prune
        >>> Prune(Absolute(0.01)).sparsity
        Absolute(theta=0.01)
    """

    theta: float

    def __post_init__(self) -> None:
        _check(self, "theta", self.theta, math.inf)

    @property
    def neutral(self) -> bool:
        """Whether nothing is below it."""
        return self.theta == 0.0

    def limit(self, importances: Any) -> Any:
        """The threshold itself."""
        return tf.fill([importances.shape[0], 1], tf.constant(self.theta, tf.float32))


@dataclass(frozen=True)
class OfMax(Threshold):
    """Weights below `alpha` times the largest go.

    Raises:
        SpecError: a share outside [0, 1].

    Example:
        >>> from tfcompress import Prune
        >>> Prune(OfMax(0.1)).sparsity
        OfMax(alpha=0.1)
    """

    alpha: float

    def __post_init__(self) -> None:
        _check(self, "alpha", self.alpha, 1.0)

    @property
    def neutral(self) -> bool:
        """Whether nothing is below it."""
        return self.alpha == 0.0

    def limit(self, importances: Any) -> Any:
        """A share of each group's largest."""
        return self.alpha * tf.reduce_max(importances, -1, keepdims=True)


@dataclass(frozen=True)
class OfMean(Threshold):
    """Weights below `k` times the mean magnitude go.

    Raises:
        SpecError: a factor below 0.

    Example:
        >>> from tfcompress import Prune
        >>> Prune(OfMean(0.7)).sparsity
        OfMean(k=0.7)
    """

    k: float

    def __post_init__(self) -> None:
        _check(self, "k", self.k, math.inf)

    @property
    def neutral(self) -> bool:
        """Whether nothing is below it."""
        return self.k == 0.0

    def limit(self, importances: Any) -> Any:
        """A multiple of each group's mean."""
        return self.k * tf.reduce_mean(importances, -1, keepdims=True)


def _check(amount: Threshold, name: str, value: Any, most: float) -> None:
    if not 0.0 <= value <= most or math.isinf(value):
        bound = f"0 <= {name} <= {most:g}" if math.isfinite(most) else f"a finite {name} from 0"
        raise SpecError(f"{type(amount).__name__} received {name}={value!r}; expected {bound}.")


def amount_of(asked: Any) -> Amount:
    """A number as the share that it means, anything else as it is."""
    return asked if isinstance(asked, Amount) else Target(asked)
