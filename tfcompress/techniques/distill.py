"""Distill: a student learns from its teacher's outputs. Wraps a whole model, always last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcompress.distillation import DistillationLoss, Distiller, Forward, Setting, check_settings
from tfcompress.value import Value


@dataclass(frozen=True)
class Distill(Value):
    """Adds a loss to its teacher to the student's own.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015).

    Args:
        temperature: softens both distributions; above 0, or a ramp. Short for
            `loss=SoftLabels(temperature)`.
        weight: share of the teacher's part in the loss, from 0 (none) to 1 (nothing else), or a
            ramp.
        loss: what is compared, where it is not softened distributions.

    Raises:
        SpecError: a field out of range, or a temperature beside a loss.

    Example:
        >>> Distill(temperature=4.0, weight=0.5).weight
        0.5
    """

    temperature: Setting = 1.0
    weight: Setting = 0.5
    loss: DistillationLoss | None = None

    def __post_init__(self) -> None:
        check_settings("Distill", self.temperature, self.weight, self.loss)

    def apply(self, student: Any, teacher: Any, forward: Forward | None = None) -> Distiller:
        """The student in a model that trains it with the teacher, see `tfcompress.distill`."""
        return Distiller(student, teacher, self.temperature, self.weight, forward, self.loss)
