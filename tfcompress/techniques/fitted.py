"""A technique for one layer, with what that layer saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from tfcompress.calibration import Inputs
from tfcompress.measure import LayerForm
from tfcompress.spec import Skip, Technique


class FitsInputs(Protocol):
    """A technique whose `apply` takes what the layer saw, too."""

    @property
    def kind(self) -> type[Technique]:
        """What it is known as."""

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form after it, or why not."""

    def apply(self, layer: Any, inputs: Inputs | None = None) -> Any:
        """The layer after it."""


@dataclass(frozen=True, repr=False)
class Fitted(Technique, written=False):
    """A technique for one layer, everything decided, with what that layer saw.

    Attributes:
        technique: what is done.
        inputs: what the layer saw; None: nothing was recorded.
    """

    technique: FitsInputs
    inputs: Inputs | None

    @property
    def kind(self) -> type[Technique]:
        """That of the technique."""
        return self.technique.kind

    def __repr__(self) -> str:
        return repr(self.technique)

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """As the technique does."""
        return self.technique.plan(form)

    def apply(self, layer: Any) -> Any:
        """As the technique does, with what the layer saw."""
        return self.technique.apply(layer, self.inputs)
