"""Among which weights the amount is counted: a matrix, an output, or all layers of a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tfcompress.keras import tf
from tfcompress.layers.pruning.amounts import Amount
from tfcompress.value import Value

Array = np.ndarray[Any, Any]
Measure = Callable[[], Array]


@dataclass(frozen=True)
class Scope(Value):
    """Among which weights the amount is counted."""

    looks: ClassVar[bool] = False  # whether it cannot be told without the weights

    @property
    def asked(self) -> Scope:
        """The scope as a spec has it."""
        return self

    def amount(self, asked: Amount) -> Amount:
        """The amount that holds for one matrix."""
        return asked

    def assigned(self, amount: Amount, importances: Sequence[Measure]) -> list[Scope]:
        """For each matrix of a rule its own scope, decided for all of them."""
        del amount
        return [self] * len(importances)

    def grouped(self, importances: Any, input_axis: int) -> Any:
        """Importances `[rows, columns]` as groups `[groups, n]`."""
        del input_axis
        return tf.reshape(importances, [1, -1])

    def back(self, kept: Any, shape: tuple[int, int], input_axis: int) -> Any:
        """What was decided for groups, `[rows, columns]` again."""
        del input_axis
        return tf.reshape(kept, shape)

    def planned(self, amount: Amount, shape: tuple[int, int], input_axis: int) -> float:
        """The share of parts that a target takes from a matrix of so many."""
        del input_axis
        return _taken(amount.target, shape[0] * shape[1])


@dataclass(frozen=True)
class PerLayer(Scope):
    """Each matrix by itself.

    Example:
        >>> from tfcompress import Prune
        >>> Prune(0.5).scope
        PerLayer()
    """


@dataclass(frozen=True)
class PerOutput(Scope):
    """Each output's weights by themselves; of a table, those of each row.

    Example:
        >>> from tfcompress import Activation, Prune
        >>> Prune(0.5, importance=Activation(power=1.0), scope=PerOutput()).scope
        PerOutput()
    """

    def grouped(self, importances: Any, input_axis: int) -> Any:
        """A group for each output."""
        return importances if input_axis == 1 else tf.transpose(importances)

    def back(self, kept: Any, shape: tuple[int, int], input_axis: int) -> Any:
        """The outputs where they were."""
        del shape
        return kept if input_axis == 1 else tf.transpose(kept)

    def planned(self, amount: Amount, shape: tuple[int, int], input_axis: int) -> float:
        """The share that is taken from every output."""
        return _taken(amount.target, shape[input_axis])


@dataclass(frozen=True)
class Global(Scope):
    """All weights of all layers of the rule together: one limit for all.

    How many go from each matrix is decided where the spec is applied, by the weights that are there
    then; with a schedule each matrix works towards its own share.

    Example:
        >>> from tfcompress import Prune
        >>> Prune(0.8, scope=Global()).scope
        Global()
    """

    looks = True

    def assigned(self, amount: Amount, importances: Sequence[Measure]) -> list[Scope]:
        """The amount that falls on each."""
        measured = [measure() for measure in importances]
        return [Assigned(one, self) for one in amount.shared(measured)] if measured else []


@dataclass(frozen=True)
class Assigned(Scope):
    """What was decided for one matrix among those of its rule.

    Attributes:
        own: its amount.
        of: the scope that decided.
    """

    own: Amount
    of: Scope

    @property
    def asked(self) -> Scope:
        """The scope that decided."""
        return self.of

    def amount(self, asked: Amount) -> Amount:
        """Its own."""
        del asked
        return self.own


def _taken(sparsity: float, count: int) -> float:
    # In float32, as the mask rounds.
    kept = np.round(np.float32(count) * (np.float32(1.0) - np.float32(sparsity)))
    return 1.0 - float(kept) / count
