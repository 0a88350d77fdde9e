"""What to try next, and when to stop: a generator that proposes, and hears what came of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfcompress.auto.attempts import Attempt, Measured, Proposal
from tfcompress.auto.efforts import AsIs, Effort
from tfcompress.auto.options import Limits, Options
from tfcompress.search.budget import Budget
from tfcompress.sensitivity.result import Whole
from tfcompress.spec import Spec

Steps = Generator[Proposal, Attempt, bool]
One = Generator[Proposal, Attempt, Attempt]
Sized = Generator[Proposal, Attempt, Attempt | None]
_STRUCTURES = 3  # how many are trained, where the first ones do not do
_RESIZED = 3  # how often a file that came out too large is chosen anew
_BLAMES, _BLAMED = 12, 4.0
_WIDER = 1.5
_BITS = "weights in fewer bits, each layer's by what it harms"


@dataclass(frozen=True)
class Known:
    """What the strategy starts from.

    Attributes:
        baseline: the float file.
        before: the model by plan.
        options: makes the options, by measuring how sensitive layers are; asked once, when needed.
        plan: a spec's costs.
    """

    baseline: Measured
    before: Whole
    options: Callable[[], Options]
    plan: Callable[[Spec], Whole]


@dataclass
class Strategy:
    """Cheapest sufficient steps first: fewer bits and a structure as they are, then training.

    Nothing is trained before both were seen to fall short without it: that takes seconds. Then the
    fewer bits are, no more than needed, and structures last.

    Args:
        known: what it starts from.
        budget: what the file has to keep to; its quality is set.
        efforts: those that can be made, the cheapest first.
        start: specs to begin with, where an earlier run ended.
    """

    known: Known
    budget: Budget
    efforts: Sequence[Effort]
    start: Sequence[Spec] = ()
    tried: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        # What a file has beside the weights that a plan counts; each file says it anew.
        self._graph = float(self.known.baseline.bytes - self.known.before.bytes)
        self._slower = np.inf  # what latency leaves of the multiply-adds
        self._options: Options | None = None

    def steps(self) -> Steps:
        """Proposes until an attempt meets the budget (True) or nothing is left to try (False)."""
        for spec in self.start:
            why = "it is what the last run ended with"
            if (yield from self._pushed(spec, why, self.efforts)):
                return True
        if not (yield from self._within_reach()):
            return False
        if (yield from self._untrained()) or (yield from self._structures()):
            return True
        yield from self._price()
        return False

    @property
    def least(self) -> int | None:
        """Bytes of the smallest file by plan, the graph as last seen; None: not asked yet."""
        if self._options is None:
            return None
        return int(
            self._options.whole(self._options.spec(self._options.least())).bytes + self._graph
        )

    # --- lines of attempts ---------------------------------------------------------------------

    def _within_reach(self) -> Steps:
        """Whether the smallest plan fits, or a file of it does, the graph's bytes with it."""
        options, limits = self._measured(), self._limits()
        if options.chosen(limits) is not None:
            return True
        spec = options.spec(options.least())
        whole = self.known.plan(spec)
        if self.budget.bytes is None or whole.bytes > self.budget.bytes:
            return False
        why = (
            f"its weights take {whole.bytes:,} bytes by plan, as few as any; whether its file "
            f"keeps to {self.budget.bytes:,} is seen"
        )
        yield from self._tried(spec, AsIs(), why)
        return options.chosen(self._limits()) is not None

    def _untrained(self) -> Steps:
        """Fewer bits, then a structure; where neither does as it is, the bits are trained."""
        bits = yield from self._sized(_BITS, structural=False)
        if bits is not None and bits.meets(self.budget):
            return True
        structure = yield from self._sized(self._why_smaller(bits))
        if structure is not None and structure.meets(self.budget):
            return True
        return bits is not None and (yield from self._trained(bits, self.efforts[1:]))

    def _structures(self) -> Steps:
        """Smaller structures; what harmed most in one is blamed in the next."""
        blame: dict[Any, float] = {}
        why = self._why_smaller(None)
        count = 0
        for _ in range(_BLAMES):
            options = self._measured().chosen(self._limits(), blame=blame)
            if options is None or all(not one.techniques for one in options):
                return False
            if not self._was_pushed(self._measured().spec(options)):
                if count == _STRUCTURES:
                    return False
                count += 1
                made = yield from self._sized(why, blame=blame)
                if made is not None and (yield from self._trained(made, self.efforts[1:][-1:])):
                    return True
            worst = max(options, key=lambda one: one.harm)
            key = (worst.path, worst.techniques)
            blame[key] = _BLAMED * blame.get(key, 1.0)
            why = f"another for {worst.path}, which was blamed for most of the harm"
        return False

    def _price(self) -> Steps:
        """What it would take: files above the budget, untrained, until one is good enough."""
        if self.budget.bytes is None:
            return False
        limit = float(self.budget.bytes)
        while limit < self.known.baseline.bytes:
            limit *= _WIDER
            options = self._measured().chosen(Limits(limit - self._graph))
            if options is None or all(not one.techniques for one in options):
                continue
            spec = self._measured().spec(options)
            if self._was_tried(spec):
                continue
            why = f"to see what it would take: {limit:,.0f} bytes, not trained"
            attempt = yield from self._tried(spec, AsIs(), why)
            if attempt.measured is not None and attempt.measured.is_good(self.budget):
                return True
        return False

    # --- one line ------------------------------------------------------------------------------

    def _sized(
        self, why: str, structural: bool = True, blame: dict[Any, float] | None = None
    ) -> Sized:
        """What is chosen, not trained, chosen anew while its file is too large; None: none fits."""
        for _ in range(_RESIZED):
            options = self._measured().chosen(self._limits(), structural, blame)
            if options is None or all(not one.techniques for one in options):
                return None
            made = yield from self._tried(self._measured().spec(options), self.efforts[0], why)
            over = self._over(made)
            if not over:
                return made
            said = ", ".join(f"{name} by {by:,.0f}" for name, by in over.items())
            why = f"smaller, for the last file was above the budget: {said}"
        return None

    def _pushed(self, spec: Spec, why: str, efforts: Sequence[Effort]) -> Steps:
        """A spec with one effort after the other, as long as its file keeps to all costs."""
        made = yield from self._tried(spec, efforts[0], why)
        return (yield from self._trained(made, efforts[1:]))

    def _trained(self, made: Attempt, efforts: Sequence[Effort]) -> Steps:
        """The same, from an attempt on; whether it, or one after it, meets the budget."""
        for effort in efforts:
            if made.meets(self.budget) or self._over(made):
                break
            made = yield from self._tried(made.proposal.spec, effort, self._lacking(made))
        return made.meets(self.budget)

    def _tried(self, spec: Spec, effort: Effort, why: str) -> One:
        """The attempt; where it was made before, it is only heard again."""
        for attempt in self.tried:
            if attempt.proposal.spec == spec and attempt.proposal.effort == effort:
                self._learn(attempt)
                return attempt
        attempt = yield Proposal(spec, effort, self.known.plan(spec).bytes, why)
        self._hear(attempt)
        return attempt

    def _why_smaller(self, bits: Attempt | None) -> str:
        """Why a smaller structure is tried, behind this attempt with fewer bits if there is one."""
        if self._measured().chosen(self._limits(), structural=False) is None:
            return "a smaller structure, for bits alone do not get there"
        seen = "" if bits is None else f": {self._lacking(bits)}"
        return f"a smaller structure, for more bits in each weight{seen}"

    def _lacking(self, attempt: Attempt) -> str:
        if attempt.measured is None:
            return f"the last one failed with {attempt.proposal.effort.words}"
        return (
            f"quality was {attempt.measured.quality:.4f} of {self.budget.quality:.4f} with "
            f"{attempt.proposal.effort.words}"
        )

    # --- what was heard --------------------------------------------------------------------------

    def _hear(self, attempt: Attempt) -> None:
        self.tried.append(attempt)
        self._learn(attempt)

    def _learn(self, attempt: Attempt) -> None:
        measured = attempt.measured
        if measured is None:
            return
        graph = float(measured.bytes - attempt.proposal.planned_bytes)
        # After a file that is too large the next one must not be promised a smaller graph.
        self._graph = max(self._graph, graph) if measured.over(self.budget) else graph
        limit = self.budget.latency_us
        if limit is not None and measured.latency_us is not None and measured.latency_us > limit:
            share = limit / measured.latency_us
            self._slower = min(self._slower, share * measured.multiply_adds)

    def _was_tried(self, spec: Spec) -> bool:
        return any(attempt.proposal.spec == spec for attempt in self.tried)

    def _was_pushed(self, spec: Spec) -> bool:
        """Whether the most was done for it that can be."""
        most = self.efforts[-1]
        return any(one.proposal.spec == spec and one.proposal.effort == most for one in self.tried)

    def _over(self, attempt: Attempt) -> dict[str, float]:
        return {} if attempt.measured is None else attempt.measured.over(self.budget)

    def _limits(self) -> Limits:
        def of(limit: int | None) -> float:
            return np.inf if limit is None else float(limit)

        budget = self.budget
        return Limits(
            of(budget.bytes) - self._graph,
            of(budget.parameters),
            min(of(budget.multiply_adds), self._slower),
        )

    def _measured(self) -> Options:
        if self._options is None:
            self._options = self.known.options()
        return self._options
