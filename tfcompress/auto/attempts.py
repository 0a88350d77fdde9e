"""What was tried, as values, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcompress.auto.efforts import Effort
from tfcompress.errors import SpecError
from tfcompress.search.budget import Budget
from tfcompress.spec import Spec
from tfcompress.value import Value, from_data, to_data
from tfcompress.whole import write_whole

HISTORY = "history.json"


@dataclass(frozen=True)
class Measured(Value):
    """A file, as it was measured.

    Attributes:
        bytes: of the file.
        latency_us: median time of a call, in microseconds; None: the budget does not ask.
        parameters: of its layers, by plan.
        multiply_adds: for one example, by plan.
        quality: what the data's `quality` says of the file.
    """

    bytes: int
    latency_us: float | None
    parameters: int
    multiply_adds: int
    quality: float

    def over(self, budget: Budget) -> dict[str, float]:
        """By how much each cost is above its limit, where it is."""
        names = ("bytes", "latency_us", "parameters", "multiply_adds")
        pairs = {name: (getattr(self, name), getattr(budget, name)) for name in names}
        return {
            name: value - limit
            for name, (value, limit) in pairs.items()
            if limit is not None and value is not None and value > limit
        }

    def is_good(self, budget: Budget) -> bool:
        """Whether its quality does."""
        return budget.quality is None or self.quality >= budget.quality

    def keeps_to(self, budget: Budget) -> bool:
        """Whether it keeps to all limits; the least quality is one of them."""
        return self.is_good(budget) and not self.over(budget)


@dataclass(frozen=True)
class Proposal(Value):
    """What is tried next.

    Attributes:
        spec: what is done to the model.
        effort: and then for its quality.
        planned_bytes: of all weights, by plan.
        why: the reason, in words.
    """

    spec: Spec
    effort: Effort
    planned_bytes: int
    why: str


@dataclass(frozen=True)
class Attempt(Value):
    """What was tried, and what came of it.

    Attributes:
        number: from 1; its folder is `attempts/<number>`.
        proposal: what was tried.
        measured: the file; None where there is none.
        error: why there is none; None where there is one.
        seconds: it took.
        warm_from: the attempt whose trained weights it began with; None: with the model's.
    """

    number: int
    proposal: Proposal
    measured: Measured | None
    error: str | None
    seconds: float
    warm_from: int | None = None

    def meets(self, budget: Budget) -> bool:
        """Whether there is a file, and it keeps to all limits."""
        return self.measured is not None and self.measured.keeps_to(budget)


class History:
    """The attempts of a folder, each kept as soon as it is over.

    Args:
        folder: where they are kept.
        identity: what they depend on, as JSON has it.

    Raises:
        SpecError: the folder has attempts at something else.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self._path, self._identity = folder / HISTORY, identity
        self.attempts: list[Attempt] = []
        self.baseline: Measured | None = None
        if self._path.exists():
            self._read()

    def _read(self) -> None:
        data = json.loads(self._path.read_text())
        found = data["identity"]
        keys = {*found, *self._identity}
        names = sorted(key for key in keys if found.get(key) != self._identity.get(key))
        if names:
            raise SpecError(
                f"{self._path} is of another run: {', '.join(names)} differ. Expected the same "
                "model, data, budget and settings to go on; choose another folder, or delete it."
            )
        self.baseline = from_data(data["baseline"])
        self.attempts = list(from_data(data["attempts"]))

    def recorded(self, number: int, proposal: Proposal) -> Attempt | None:
        """The attempt of that number, if it was over; what is kept of others is dropped."""
        if number > len(self.attempts):
            return None
        if self.attempts[number - 1].proposal == proposal:
            return self.attempts[number - 1]
        del self.attempts[number - 1 :]
        return None

    def warm_for(self, proposal: Proposal) -> int | None:
        """The attempt whose trained weights are the best to begin a training with.

        It is one at the same spec, for in another one weights mean something else. None: there is
        none, or the spec's file was better without training.
        """
        same = [one for one in self.attempts if one.proposal.spec == proposal.spec]
        best = nearest([one for one in same if one.measured is not None], Budget())
        if best is None or not best.proposal.effort.trains or not proposal.effort.trains:
            return None
        return best.number

    def add(self, attempt: Attempt) -> None:
        """Keeps an attempt."""
        self.attempts.append(attempt)
        self.save()

    def save(self) -> None:
        """Writes all of it, whole or not at all."""
        data = {
            "identity": self._identity,
            "baseline": to_data(self.baseline),
            "attempts": to_data(self.attempts),
        }
        write_whole(self._path, json.dumps(data, indent=1) + "\n")


def nearest(attempts: Sequence[Attempt], budget: Budget) -> Attempt | None:
    """Of the files that keep to all costs the best; where none does, the one least above."""

    def far(pair: tuple[Attempt, Measured]) -> tuple[float, float]:
        over = pair[1].over(budget)
        share = max((by / getattr(budget, name) for name, by in over.items()), default=0.0)
        return share, -pair[1].quality

    made = [(one, one.measured) for one in attempts if one.measured is not None]
    return min(made, key=far)[0] if made else None
