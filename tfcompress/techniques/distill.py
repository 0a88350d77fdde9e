"""Distill: a student learns from its teacher's outputs. Wraps a whole model, always last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcompress.distillation import Distiller, Forward
from tfcompress.errors import SpecError
from tfcompress.value import Value


@dataclass(frozen=True)
class Distill(Value):
    """Adds the cross-entropy to the teacher's softened outputs to the student's loss.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015).

    Args:
        temperature: softens both distributions; above 0.
        weight: share of the teacher's part in the loss, from 0 (none) to 1 (nothing else).

    Raises:
        SpecError: a field out of range.

    Example:
        >>> Distill(temperature=4.0, weight=0.5).weight
        0.5
    """

    temperature: float = 1.0
    weight: float = 0.5

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise SpecError(f"Distill received temperature={self.temperature}; expected above 0.")
        if not 0.0 <= self.weight <= 1.0:
            raise SpecError(f"Distill received weight={self.weight}; expected 0 <= weight <= 1.")

    def apply(self, student: Any, teacher: Any, forward: Forward | None = None) -> Distiller:
        """The student in a model that trains it with the teacher, see `tfcompress.distill`."""
        return Distiller(student, teacher, self.temperature, self.weight, forward)
