"""Which units of a group matter most; the type of the value picks the measure."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.spec import Skip
from tfcompress.surgery.dependencies import Group
from tfcompress.techniques.recording import mean_magnitudes
from tfcompress.value import Value

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Importance(Value):
    """How units are ranked: the least important go first."""

    @abstractmethod
    def of(self, group: Group) -> Array | Skip:
        """The importance of each unit, float64 `[units]`, or why there is none."""


@dataclass(frozen=True)
class ByNorm(Importance):
    """The norm of the weights that make a unit, summed over the layers that make it.

    Li et al., "Pruning Filters for Efficient ConvNets" (2017). Biases do not count.

    Args:
        order: 1 or 2, for the L1 or the L2 norm.

    Raises:
        SpecError: another order.

    Example:
        >>> ByNorm(order=1).order
        1
    """

    order: int = 2

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise SpecError(f"ByNorm received order={self.order!r}; expected 1 or 2.")

    def of(self, group: Group) -> Array:
        """The sum over the group's layers of each unit's norm."""
        total = np.zeros(group.size)
        for member in group.members:
            powers = np.zeros(group.size)
            for weight, places in member.weights:
                powers += summed_at(powers_along(weight, self.order), places, group.size)
            total += powers ** (1 / self.order)
        return total


@dataclass(frozen=True)
class ByScale(Importance):
    """The magnitude of the scale that a BatchNormalization gives to a unit.

    Liu et al., "Learning Efficient Convolutional Networks through Network Slimming" (2017). It
    tells more after training with an L1 penalty on the scales (`gamma_regularizer="l1"`).

    Example:
        >>> ByScale()
        ByScale()
    """

    def of(self, group: Group) -> Array | Skip:
        """The sum of each unit's scales, or that there are none."""
        if not group.scales:
            return Skip("no BatchNormalization scales its units; choose ByNorm or ByActivation")
        return sum(
            (summed_at(np.abs(s.gamma), s.places, group.size) for s in group.scales),
            np.zeros(group.size),
        )


@dataclass(frozen=True)
class ByActivation(Importance):
    """The mean magnitude of what a unit puts out, measured beforehand on some batches.

    Hu et al., "Network Trimming" (2016), with the mean in the place of the share of zeros. Of a
    MultiHeadAttention's heads it is the mean of what each sends to the output projection.

    Args:
        measured: (path of the layer, a number for each of its units) for each layer; make it with
            `ByActivation.measure`. It is plain data, and goes with the spec into a file.

    Raises:
        SpecError: measures that are no such pairs.

    Example:
        >>> import numpy as np, tf_keras as keras
        >>> model = keras.Sequential([keras.layers.Dense(2, input_shape=(1,), name="hidden")])
        >>> model.set_weights([np.array([[1.0, -3.0]]), np.zeros(2)])
        >>> ByActivation.measure(model, [np.ones((4, 1))]).measured
        (('hidden', (1.0, 3.0)),)
    """

    measured: tuple[tuple[str, tuple[float, ...]], ...]

    def __post_init__(self) -> None:
        try:
            pairs = tuple(
                (str(path), tuple(float(n) for n in numbers)) for path, numbers in self.measured
            )
        except (TypeError, ValueError) as error:
            raise SpecError(
                f"ByActivation received {self.measured!r}; expected pairs of a layer's path and a "
                "number for each of its units. Make it with ByActivation.measure(model, batches)."
            ) from error
        object.__setattr__(self, "measured", pairs)

    @classmethod
    def measure(
        cls,
        model: Any,
        batches: Iterable[Any],
        forward: Callable[[Any, Any], Any] | None = None,
    ) -> ByActivation:
        """Runs the model and measures every layer whose units Shrink can remove.

        Args:
            model: a built model of any kind; it is not changed.
            batches: what the model is called with, one after another.
            forward: from (model, batch), where calling the model on it is not what is wanted.

        Raises:
            SpecError: no batch.
        """
        return cls(mean_magnitudes(model, batches, forward))

    def of(self, group: Group) -> Array | Skip:
        """The sum over the group's layers of each unit's measure, or which layer has none."""
        measured, total = dict(self.measured), np.zeros(group.size)
        for member in group.members:
            numbers = measured.get(member.path, ())
            if len(numbers) != len(member.places):
                return Skip(
                    f"ByActivation has {len(numbers)} measures for {member.path!r}, which has "
                    f"{len(member.places)} units; measure this very model"
                )
            total += summed_at(np.array(numbers), member.places, group.size)
        return total


def powers_along(weight: Array, order: int) -> Array:
    """Sums of powers of the magnitudes.

    Args:
        weight: `[entries, ...]`.
        order: the power.

    Returns:
        float64 `[entries]`.

    Example:
        >>> powers_along(np.array([[3.0, -4.0], [0.0, 1.0]]), 2).tolist()
        [25.0, 1.0]
    """
    return (np.abs(weight.astype(np.float64)) ** order).reshape(len(weight), -1).sum(axis=1)


def summed_at(values: Array, places: Array, count: int) -> Array:
    """Sums of the values at each place.

    Args:
        values: `[entries]`.
        places: int `[entries]`, the place of each in the result; -1: in none.
        count: number of places.

    Returns:
        float64 `[count]`.

    Example:
        >>> summed_at(np.array([1.0, 2.0, 4.0]), np.array([0, -1, 0]), 2).tolist()
        [5.0, 0.0]
    """
    there = places >= 0
    return np.bincount(places[there], weights=values[there], minlength=count)
