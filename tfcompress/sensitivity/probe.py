"""What a model is asked while it is measured, and how its answers are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfcompress.calibration import Calibration
from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.techniques import SquaredError
from tfcompress.techniques.adaptive_bits import OutputHarm

Array = np.ndarray[Any, Any]
Outputs = list[list[Array]]
Call = Callable[[Any, Any], Any]
_ALIKE = 1e-3


def plain_call(model: Any, batch: Any) -> Any:
    """The model's outputs for a batch of inputs."""
    return model(batch, training=False)


@dataclass(frozen=True, eq=False)
class Probe:
    """What a model is asked, and how the answers of a changed one are compared with its own.

    Args:
        batches: what the model is called on, one batch after another: inputs alone, no targets.
        call: from (model, batch) to outputs, where `model(batch, training=False)` is not how the
            model is used.
        harm: `SquaredError()`, or `Divergence()` where outputs are logits.
        metric: from a model to its quality, where larger is better. It is given the same model
            object again and again, so that it may keep what it compiled for it.
        calibration: what the layers see, for techniques that ask for it; see `calibrate`.

    Raises:
        SpecError: no batches, or a harm that is none.

    Example:
        >>> Probe([np.ones((2, 4), np.float32)]).harm
        SquaredError()
    """

    batches: Sequence[Any]
    call: Call = plain_call
    harm: OutputHarm = field(default_factory=SquaredError)
    metric: Callable[[Any], float] | None = None
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "batches", tuple(self.batches))
        if not self.batches:
            raise SpecError("A Probe received no batches; expected at least one.")
        if not isinstance(self.harm, OutputHarm):
            raise SpecError(
                f"A Probe received harm={self.harm!r}; expected SquaredError() or Divergence()."
            )

    @property
    def examples(self) -> int:
        """How many there are in all batches."""
        return sum(len(tf.nest.flatten(batch)[0]) for batch in self.batches)

    def asker(self, model: Any) -> Callable[[], Outputs]:
        """A function that gives the model's outputs as it is then; float64, for each batch."""
        ask = self._compiled(model) or self._eager(model)
        return lambda: [arrays(ask(batch)) for batch in self.batches]

    def answers(self, model: Any) -> Outputs:
        """The same of a model that is asked once."""
        return [arrays(self.call(model, batch)) for batch in self.batches]

    def _eager(self, model: Any) -> Callable[[Any], Any]:
        return lambda batch: self.call(model, batch)

    def _compiled(self, model: Any) -> Callable[[Any], Any] | None:
        """The call as a graph; None where it cannot be one, or says something else."""
        graph = tf.function(self._eager(model), reduce_retracing=True)
        try:
            found = arrays(graph(self.batches[0]))
        except Exception:  # whatever a call does that no graph can: it is asked without one then
            return None
        expected = arrays(self._eager(model)(self.batches[0]))
        alike = all(_alike(a, b) for a, b in zip(found, expected, strict=True))
        return graph if alike else None

    def compare(self, before: Outputs, after: Outputs) -> float:
        """The harm, an example's; it may be infinite or no number, as outputs may."""
        pairs = [
            pair
            for first, second in zip(before, after, strict=True)
            for pair in zip(first, second, strict=True)
        ]
        if not all(np.isfinite(after).all() for _, after in pairs):
            return float("inf")
        return sum(self.harm.of(*pair) for pair in pairs) / sum(len(one[0]) for one in before)

    def quality(self, model: Any) -> float | None:
        """What the metric says; None: there is none."""
        return None if self.metric is None else float(self.metric(model))


def probe_of(data: Probe | Iterable[Any]) -> Probe:
    """The probe, or one of these batches."""
    return data if isinstance(data, Probe) else Probe(tuple(data))


def arrays(outputs: Any) -> list[Array]:
    """Outputs of any structure as a list of float64."""
    flat = tf.nest.flatten(outputs)
    return [np.atleast_1d(np.asarray(one)).astype(np.float64) for one in flat]


def _alike(first: Array, second: Array) -> bool:
    size = max(float(np.abs(second).max(initial=0.0)), 1e-12)
    far = np.abs(first - second).max(initial=0.0) if first.shape == second.shape else np.inf
    return bool(far <= _ALIKE * size)


def digest(values: Iterable[Any]) -> str:
    """A short name of some arrays, by their content.

    Example:
        >>> digest([np.zeros(3)]) == digest([np.zeros(3)]), len(digest([]))
        (True, 32)
    """
    found = hashlib.blake2b(digest_size=16)
    for value in values:
        array = np.asarray(value)
        found.update(f"{array.dtype.kind}{array.shape}".encode())
        objects = array.dtype == object
        found.update(repr(array.tolist()).encode() if objects else np.ascontiguousarray(array).data)
    return found.hexdigest()
