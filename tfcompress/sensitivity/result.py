"""What a sensitivity found: cells as values, and as rows, text, JSON and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tfcompress.spec import Technique
from tfcompress.value import Value, from_data, of_kind, parsed, to_data

VERSION = 1


@dataclass(frozen=True)
class Whole(Value):
    """A whole model, as a plan counts it.

    Attributes:
        bytes: of all weights and scales; graph not included.
        parameters: how many.
        multiply_adds: for one example.
        quality: what the metric says; None: there is none.
    """

    bytes: int
    parameters: int
    multiply_adds: int
    quality: float | None = None


@dataclass(frozen=True)
class Cell(Value):
    """One technique in one layer alone.

    Attributes:
        path: where the layer is held.
        technique: what was tried there.
        harm: to the outputs, an example's; None where it was skipped.
        whole: the model with it; None where it was skipped.
        skipped: why it was; None where it was not.
        seconds: it took.
    """

    path: str
    technique: Technique
    harm: float | None
    whole: Whole | None
    skipped: str | None
    seconds: float


@dataclass(frozen=True)
class Sensitivity(Value):
    """What each technique harms in each layer alone, see `sensitivity`.

    Attributes:
        before: the model as it is.
        cells: one for each layer and technique, those skipped among them.

    Example:
        >>> from tfcompress import Quantize
        >>> cell = Cell("head", Quantize(8), 0.1, Whole(90, 60, 50), None, 0.0)
        >>> found = Sensitivity(Whole(240, 60, 50), (cell,))
        >>> Sensitivity.from_json(found.to_json()) == found, found.rows()[0]["bytes_saved"]
        (True, 150)
    """

    before: Whole
    cells: tuple[Cell, ...]

    @property
    def measured(self) -> tuple[Cell, ...]:
        """The cells that were not skipped."""
        return tuple(cell for cell in self.cells if cell.skipped is None)

    def harms(self) -> Mapping[str, Mapping[Value, float]]:
        """By path and technique, as `Calibration(harm=...)` takes them for `AdaptiveBits`."""
        found: dict[str, dict[Value, float]] = {}
        for cell in self.measured:
            if cell.harm is not None:
                found.setdefault(cell.path, {})[cell.technique] = cell.harm
        return found

    def rows(self) -> list[dict[str, Any]]:
        """One for each cell, as plain data that a DataFrame takes."""
        return [_row(self.before, cell) for cell in self.cells]

    def to_json(self, indent: int | None = 1) -> str:
        """As text, with the format's version."""
        return json.dumps({"version": VERSION, **to_data(self)}, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> Sensitivity:
        """What `to_json` wrote.

        Raises:
            SpecError: not JSON, another version, or not a sensitivity.
        """
        return of_kind(from_data(parsed(text, "sensitivity", VERSION)), cls)

    def picture(self, path: str | Path) -> None:
        """Draws the harms, a panel for each technique: layers against strengths.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from tfcompress.sensitivity.picture import draw

        draw(self, Path(path))

    def __str__(self) -> str:
        from tfcompress.sensitivity.table import sensitivity_text

        return sensitivity_text(self)


def strength_of(technique: Technique) -> str:
    """What is told apart within a technique: its first field, and those that are not its defaults.

    Example:
        >>> from tfcompress import PerTensor, Quantize
        >>> strength_of(Quantize(4, PerTensor()))
        '4, granularity=PerTensor()'
    """
    first, *others = fields(technique)
    shown = [
        f"{field.name}={getattr(technique, field.name)!r}"
        for field in others
        if getattr(technique, field.name) != _default(field)
    ]
    return ", ".join([f"{getattr(technique, first.name)!r}", *shown])


def _default(field: Any) -> Any:
    return field.default_factory() if callable(field.default_factory) else field.default


def _row(before: Whole, cell: Cell) -> dict[str, Any]:
    after = cell.whole
    loss = None
    if after is not None and after.quality is not None and before.quality is not None:
        loss = before.quality - after.quality
    return {
        "layer": cell.path,
        "technique": type(cell.technique).__name__,
        "strength": strength_of(cell.technique),
        "harm": cell.harm,
        "quality": None if after is None else after.quality,
        "quality_lost": loss,
        "bytes": None if after is None else after.bytes,
        "bytes_saved": None if after is None else before.bytes - after.bytes,
        "multiply_adds": None if after is None else after.multiply_adds,
        "multiply_adds_saved": None
        if after is None
        else before.multiply_adds - after.multiply_adds,
        "skipped": cell.skipped,
        "seconds": cell.seconds,
    }
