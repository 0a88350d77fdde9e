"""What a run that ended says: that the budget holds, or by how much it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfcompress.auto.attempts import Attempt, Measured, nearest
from tfcompress.search.budget import Budget


@dataclass(frozen=True)
class Verdict:
    """How a run ended.

    Attributes:
        met: whether the budget holds.
        number: of the attempt that counts.
        text: the same in words.
        enough_bytes: of the smallest file that was good enough; None: none was.
    """

    met: bool
    number: int
    text: str
    enough_bytes: int | None


def verdict(
    baseline: Measured, attempts: Sequence[Attempt], budget: Budget, least: int | None, ended: bool
) -> Verdict:
    """How a run ended.

    Args:
        baseline: the float file.
        attempts: all that was tried.
        budget: what had to hold.
        least: bytes of the smallest file, by plan.
        ended: whether all was tried; else it was stopped.
    """
    if baseline.keeps_to(budget):
        return Verdict(True, 0, "The float file keeps to the budget.", baseline.bytes)
    met = [attempt for attempt in attempts if attempt.meets(budget)]
    made = [baseline, *(one.measured for one in attempts if one.measured is not None)]
    enough = min((file.bytes for file in made if file.is_good(budget)), default=None)
    if met:
        text = f"The budget holds with attempt {met[0].number}."
        return Verdict(True, met[0].number, text, enough)
    best = nearest(attempts, budget)
    text = " ".join(_reasons(best, attempts, budget, (least, enough), ended))
    return Verdict(False, 0 if best is None else best.number, text, enough)


def _reasons(
    best: Attempt | None,
    attempts: Sequence[Attempt],
    budget: Budget,
    known: tuple[int | None, int | None],
    ended: bool,
) -> list[str]:
    least, enough = known
    count = "1 attempt" if len(attempts) == 1 else f"{len(attempts)} attempts"
    said = ["Out of reach." if ended else f"Stopped after {count}."]
    if ended and budget.bytes is not None and least is not None and least > budget.bytes:
        said.append(
            f"The smallest file that the techniques make has {least:,} bytes by plan, "
            f"{least - budget.bytes:,} more than {budget.bytes:,}."
        )
    if best is not None and best.measured is not None:
        said.append(_nearest(best, best.measured, budget))
    if enough is not None and budget.bytes is not None and enough > budget.bytes:
        said.append(
            f"It would take {enough:,} bytes, or fewer: so many has the smallest file that was "
            "good enough."
        )
    return said


def _nearest(best: Attempt, measured: Measured, budget: Budget) -> str:
    over = measured.over(budget)
    if over:
        most = ", ".join(f"{name} by {by:,.0f}" for name, by in over.items())
        return f"Attempt {best.number} comes nearest, above it in {most}."
    short = (budget.quality or 0.0) - measured.quality
    return (
        f"Within all costs the best is attempt {best.number}: quality {measured.quality:.4f}, "
        f"{short:.4f} short of {budget.quality:.4f}."
    )
