"""How a run of `auto` goes about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfcompress.errors import SpecError
from tfcompress.sensitivity import STRENGTHS
from tfcompress.spec import Technique
from tfcompress.techniques import Prune

# A pruned weight takes as many bytes in most files, and as many multiply-adds.
TECHNIQUES = tuple(one for one in STRENGTHS if not isinstance(one, Prune))


@dataclass(frozen=True)
class AutoSettings:
    """How a run goes about it.

    Args:
        folder: its work folder; called again with it, an interrupted run goes on.
        techniques: what layers may be given, each with its strength.
        keep: the least quality where the budget names none, as a share of the float file's.
        attempts: at most so many files are made.
        seed: of the trainings.
        show: whether it says what it tries and why.

    Raises:
        SpecError: a field out of range.

    Example:
        >>> AutoSettings(folder="work", keep=0.98).attempts
        24
    """

    folder: str | Path = "auto"
    techniques: Sequence[Technique] = TECHNIQUES
    keep: float = 0.99
    attempts: int = 24
    seed: int = 0
    show: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.keep <= 1.0:
            raise SpecError(f"AutoSettings received keep={self.keep}; expected 0 < keep <= 1.")
        if self.attempts < 1:
            raise SpecError(f"AutoSettings received attempts={self.attempts}; expected some.")
