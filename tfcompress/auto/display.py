"""Saying what is tried, why, and how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from tfcompress.auto.attempts import Attempt, Proposal
from tfcompress.search.budget import Budget
from tfcompress.sensitivity.result import strength_of
from tfcompress.where import And, ByName, Predicate


class Display:
    """Lines for what is tried and what came of it, and a last line for how far it is.

    Args:
        show: whether anything is shown.
    """

    def __init__(self, show: bool) -> None:
        self._console = Console(quiet=not show, highlight=False)
        self._status: Status | None = None
        self._title = ""

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, markup=False)

    def note(self, text: str) -> None:
        """What is being done right now."""
        if self._status is not None:
            self._status.update(f"{self._title}: {text}")

    @contextmanager
    def working(self, title: str) -> Iterator[None]:
        """While this is being done there is a last line, which `note` writes to."""
        self._title = title
        with self._console.status(title) as self._status:
            yield
        self._status = None

    def trying(self, number: int, proposal: Proposal) -> None:
        """What comes next, and why."""
        self.say(
            f"{number}. {proposal.planned_bytes:,} bytes of weights by plan, "
            f"{proposal.effort.words}: {proposal.why}"
        )
        for rule in proposal.spec.rules:
            done = (f"{type(one).__name__}({strength_of(one)})" for one in rule.techniques)
            self.say(f"     {_where(rule.where)}: {', '.join(done)}")

    def tried(self, attempt: Attempt, budget: Budget) -> None:
        """What came of it."""
        self.say(f"   -> {outcome(attempt, budget)} ({attempt.seconds:.1f} s)")


def _where(where: Predicate) -> str:
    """The path of one layer by itself, and anything else as it is written."""
    named = where.left if isinstance(where, And) else where
    return named.pattern if isinstance(named, ByName) else repr(where)


def outcome(attempt: Attempt, budget: Budget) -> str:
    """What came of an attempt, in words."""
    measured = attempt.measured
    if measured is None:
        return f"failed: {attempt.error}"
    parts = [f"{measured.bytes:,} bytes", f"quality {measured.quality:.4f}"]
    if measured.latency_us is not None:
        parts.append(f"{measured.latency_us:.1f} us")
    over = [f"{name} {by:,.0f} above" for name, by in measured.over(budget).items()]
    if budget.quality is not None and measured.quality < budget.quality:
        over.append(f"quality {budget.quality - measured.quality:.4f} short")
    return ", ".join(parts) + (f": {', '.join(over)}" if over else ": the budget holds")
