"""What a metric is held against, and which layers take a step together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from tfcompress.value import Value


@dataclass(frozen=True)
class Reference(Value):
    """What the metric is held against."""

    @abstractmethod
    def updated(self, reference: float, metric: float, dense: bool, maximize: bool) -> float:
        """The reference after an epoch whose weights stay.

        Args:
            reference: so far.
            metric: of the epoch.
            dense: whether nothing was pruned in it.
            maximize: whether more is better.
        """


@dataclass(frozen=True)
class Best(Reference):
    """The best metric of all epochs whose weights were kept.

    Example:
        >>> Best().updated(0.7, metric=0.8, dense=False, maximize=True)
        0.8
    """

    def updated(self, reference: float, metric: float, dense: bool, maximize: bool) -> float:
        """The better one of both."""
        return max(reference, metric) if maximize else min(reference, metric)


@dataclass(frozen=True)
class Dense(Reference):
    """The best metric of the model before anything was pruned.

    Example:
        >>> Dense().updated(0.7, metric=0.8, dense=False, maximize=True)
        0.7
    """

    def updated(self, reference: float, metric: float, dense: bool, maximize: bool) -> float:
        """The better one of both while nothing is pruned."""
        return Best().updated(reference, metric, dense, maximize) if dense else reference


@dataclass(frozen=True)
class Stepping(Value):
    """Which layers take a step together."""

    @abstractmethod
    def groups(self, paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """For the name of each group the layers in it."""


@dataclass(frozen=True)
class Together(Stepping):
    """All layers: one sparsity for all of them, as far as each layer's own goes.

    Example:
        >>> Together().groups(["a", "b"])
        {'all': ('a', 'b')}
    """

    def groups(self, paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """One group."""
        return {"all": tuple(paths)}


@dataclass(frozen=True)
class OneByOne(Stepping):
    """One layer after another, in turn, each as far as the metric lets it go.

    Example:
        >>> OneByOne().groups(["a", "b"])
        {'a': ('a',), 'b': ('b',)}
    """

    def groups(self, paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """A group for each layer."""
        return {path: (path,) for path in paths}
