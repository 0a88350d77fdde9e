"""Text drawn from a search's result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from tfcompress.report import text_of

if TYPE_CHECKING:
    from tfcompress.search.result import SearchResult
    from tfcompress.search.trial import Figures, Trial


def result_text(result: SearchResult) -> str:
    """The model as it was, then every trial; what is on the front, and what is best."""
    table = Table(title="Search")
    for name in ("trial", "open values", "how it ended"):
        table.add_column(name)
    for name in ("quality", "bytes", "us"):
        table.add_column(name, justify="right")
    if result.before is not None:
        table.add_row("before", "", "", *_numbers(result.before))
    front = {trial.number for trial in result.front}
    best = result.best.number if result.within else None
    for trial in result.trials:
        marks = [word for word, on in (("front", trial.number in front),
                                       ("best", trial.number == best)) if on]  # fmt: skip
        ending = ", ".join([str(trial.ending), *marks])
        table.add_row(str(trial.number), _values(trial), ending, *_numbers(trial.figures))
    counted = f"{result.rejected:,} specs were drawn that cannot meet the budget."
    return f"{text_of(table)}\n{counted}"


def _values(trial: Trial) -> str:
    return "\n".join(f"{name} = {value}" for name, value in trial.values.items())


def _numbers(figures: Figures | None) -> tuple[str, str, str]:
    if figures is None:
        return "", "", ""
    latency = "" if figures.latency_us is None else f"{figures.latency_us:,.1f}"
    return f"{figures.quality:.4f}", f"{figures.bytes:,}", latency
