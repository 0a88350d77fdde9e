"""What `auto` is given beside the model: what to measure, train and ship with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfcompress.distillation import Forward
from tfcompress.errors import SpecError
from tfcompress.export import Signature
from tfcompress.sensitivity.probe import Probe, probe_of
from tfcompress.techniques import Distill

Inputs = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Teaching:
    """How a student is taught, and, where calling the model on features is not what is wanted, run.

    Args:
        distill: how outputs are compared, and what the teacher's share is; None: it is not taught,
            such as where a model gives probabilities.
        teacher: who teaches, by default the model as `auto` was given it; whatever
            `tfcompress.distill` takes.
        forward: from (student, teacher, batch) to `Outputs`; fine-tuning takes the loss of it.

    Example:
        >>> Teaching().distill.weight
        0.5
    """

    distill: Distill | None = field(default_factory=Distill)
    teacher: Any = None
    forward: Forward | None = None


@dataclass(frozen=True, eq=False)
class Training:
    """How a compressed model is trained: with Adam, whose rate falls to zero along a cosine.

    Args:
        batches: what `fit` takes as its data, in batches: of (inputs, targets), or of what a
            `tfrs.Model` takes. The rate only falls where it knows its number of batches.
        epochs: how often it is gone through in an attempt.
        learning_rate: at the beginning.
        loss: for `compile`; None for a `tfrs.Model`, or with a `forward`.
        teaching: how it is taught.
        xla: whether XLA compiles the step.

    Raises:
        SpecError: a field out of range, or a teaching that is none.

    Example:
        >>> Training([], epochs=3, loss="mse").epochs
        3
    """

    batches: Any
    epochs: int = 1
    learning_rate: float = 1e-3
    loss: Any = None
    teaching: Teaching = field(default_factory=Teaching)
    xla: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate"):
            if not getattr(self, name) > 0:
                raise SpecError(
                    f"Training received {name}={getattr(self, name)!r}; expected more than 0."
                )
        if not isinstance(self.teaching, Teaching):
            raise SpecError(
                f"Training received teaching={self.teaching!r}; expected Teaching(distill, ...)."
            )


@dataclass(frozen=True, eq=False)
class Shipping:
    """What `export` is told.

    Args:
        signatures: what the file can be asked; see `export`.
        verify_with: the inputs of some calls for each signature; see `export`.
        tolerance: see `export`.
        files: to put beside the model.
        timed_with: calls of the first signature that a latency is measured on; by default those of
            `verify_with`.

    Example:
        >>> Shipping(tolerance=0.05).signatures is None
        True
    """

    signatures: Mapping[str, Signature] | None = None
    verify_with: Mapping[str, Sequence[Inputs]] | None = None
    tolerance: float | None = None
    files: Mapping[str, str | bytes] | None = None
    timed_with: Sequence[Inputs] | None = None


@dataclass(frozen=True, eq=False)
class AutoData:
    """What `auto` measures, trains and ships with.

    Args:
        probe: batches of inputs, or a `Probe`, whose metric the choice does not need.
        quality: of an exported file, given its path; larger is better. Ask the file alone, with
            `LiteModel`.
        training: how to train; None: nothing is trained.
        shipping: what `export` is told.

    Raises:
        SpecError: no batches, or a quality that cannot be called.

    Example:
        >>> import numpy as np
        >>> AutoData([np.ones((2, 4), np.float32)], quality=lambda path: 0.5).probe.examples
        2
    """

    probe: Probe | Iterable[Any]
    quality: Callable[[Path], float]
    training: Training | None = None
    shipping: Shipping = field(default_factory=Shipping)

    def __post_init__(self) -> None:
        object.__setattr__(self, "probe", probe_of(self.probe))
        if not callable(self.quality):
            raise SpecError(
                f"AutoData received quality={self.quality!r}; expected a function of the file's "
                "path that gives a number, larger for a better file."
            )

    @property
    def probed(self) -> Probe:
        """The probe, whatever was given."""
        return probe_of(self.probe)
