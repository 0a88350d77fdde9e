"""The decisions of dynamic pruning, without a model: from metrics to sparsities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfcompress.dynamic.policies import Best, Reference
from tfcompress.errors import SpecError
from tfcompress.value import Value, from_data, to_data


@dataclass(frozen=True)
class Decision(Value):
    """What was decided at the end of an epoch.

    Attributes:
        epoch: as `fit` counts it.
        group: which took a step in this epoch; None: none did.
        before: the group's sparsity before it; without a step the mean of all groups.
        tried: the group's sparsity in this epoch.
        metric: its validation metric.
        limit: the metric at which a step is still kept; None in the first epoch.
        kept: whether the step, and the weights trained under it, were kept.

    Example:
        >>> Decision(4, "all", before=0.3, tried=0.4, metric=0.61, limit=0.7, kept=False).kept
        False
    """

    epoch: int
    group: str | None
    before: float
    tried: float
    metric: float
    limit: float | None
    kept: bool


@dataclass
class Controller:
    """Raises the sparsity of one group after another, and takes a step back that costs too much.

    Args:
        ceilings: for each group the most that it gets.
        step: by how much a sparsity rises.
        tolerance: by how much a metric may be worse than the reference.
        maximize: whether more is better.
        reference: what the metric is held against.

    Example:
        >>> controller = Controller({"all": 0.9}, step=0.5, tolerance=0.01, maximize=True)
        >>> controller.judge(0, metric=0.8).kept, controller.begin()
        (True, 'all')
        >>> controller.levels, controller.judge(1, metric=0.7).kept, controller.levels
        ({'all': 0.0}, False, {'all': 0.0})
        >>> controller.begin() is None
        True
    """

    ceilings: Mapping[str, float]
    step: float
    tolerance: float
    maximize: bool
    reference: Reference = field(default_factory=Best)

    def __post_init__(self) -> None:
        self.levels = dict.fromkeys(self.ceilings, 0.0)
        self.failed: list[str] = []
        self.decisions: list[Decision] = []
        self.held_against: float | None = None
        self._turn = 0
        self.trying: tuple[str, float] | None = None

    @property
    def limit(self) -> float | None:
        """The worst metric that is still kept; None before the first."""
        if self.held_against is None:
            return None
        return self.held_against - self.tolerance * (1 if self.maximize else -1)

    def begin(self) -> str | None:
        """Starts an epoch; the group that takes a step in it, to the sparsity `trying[1]`."""
        self.trying = None
        names = list(self.levels)
        if self.held_against is None:
            return None
        for name in names[self._turn :] + names[: self._turn]:
            if name not in self.failed and self.levels[name] < self.ceilings[name]:
                higher = min(round(self.levels[name] + self.step, 10), self.ceilings[name])
                self.trying = name, higher
                self._turn = (names.index(name) + 1) % len(names)
                return name
        return None

    def judge(self, epoch: int, metric: float) -> Decision:
        """Ends an epoch: keeps the step that was tried in it, or takes it back.

        Raises:
            SpecError: a first metric that is no finite number; there is nothing to hold to.
        """
        limit, dense = self.limit, self.trying is None and not any(self.levels.values())
        if limit is None and not math.isfinite(metric):
            raise SpecError(
                f"DynamicPruning received the metric {metric} of the dense model; expected a "
                "finite number to hold the pruned ones against. Train the model first."
            )
        mean = sum(self.levels.values()) / len(self.levels)
        group, tried = self.trying or (None, mean)
        before = mean if group is None else self.levels[group]
        kept = group is None or self._holds(metric)
        self.decisions.append(Decision(epoch, group, before, tried, metric, limit, kept))
        self._settle(group, tried, kept)
        if kept and math.isfinite(metric):
            last = metric if self.held_against is None else self.held_against
            self.held_against = self.reference.updated(last, metric, dense, self.maximize)
        return self.decisions[-1]

    def _holds(self, metric: float) -> bool:
        limit = self.limit
        assert limit is not None  # no step is tried before the first metric
        return metric >= limit if self.maximize else metric <= limit  # NaN is neither

    def _settle(self, group: str | None, tried: float, kept: bool) -> None:
        self.trying = None
        if group is not None and kept:
            self.levels[group] = tried
        elif group is not None:
            self.failed.append(group)

    def state(self) -> dict[str, Any]:
        """Plain JSON data of where it stands between two epochs."""
        return {
            "levels": dict(self.levels),
            "failed": list(self.failed),
            "held_against": self.held_against,
            "turn": self._turn,
            "decisions": to_data(self.decisions),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from such data.

        Raises:
            SpecError: it is of other groups.
        """
        if set(state["levels"]) != set(self.ceilings):
            raise SpecError(
                f"DynamicPruning received a state of {sorted(state['levels'])}; expected one of "
                f"{sorted(self.ceilings)}. Give it the state that belongs to this model."
            )
        self.levels = {name: float(state["levels"][name]) for name in self.ceilings}
        self.failed = list(state["failed"])
        self.held_against = state["held_against"]
        self._turn = int(state["turn"])
        self.decisions = list(from_data(state["decisions"]))
        self.trying = None
