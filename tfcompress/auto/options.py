"""What can be done to each layer, what it harms alone, and what it costs by plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfcompress.auto.choice import choose
from tfcompress.calibration import Calibration
from tfcompress.errors import SpecError
from tfcompress.plan import plan
from tfcompress.sensitivity.bench import exactly, whole_of
from tfcompress.sensitivity.result import Cell, Sensitivity, Whole
from tfcompress.spec import JointTechnique, Rule, Spec, Technique
from tfcompress.surgery import walk
from tfcompress.techniques import Quantize

Array = np.ndarray[Any, Any]
_TRIES = 8


@dataclass(frozen=True)
class Option:
    """What may be done to one layer.

    Attributes:
        path: the layer's.
        techniques: what is done; nothing where it is empty.
        harm: the sum of what each of them harms alone.
        saved: bytes, parameters and multiply-adds of the whole model, by plan.
    """

    path: str
    techniques: tuple[Technique, ...]
    harm: float
    saved: tuple[int, int, int]

    @property
    def structural(self) -> bool:
        """Whether it does more than store weights in fewer bits."""
        return any(not isinstance(one, Quantize) for one in self.techniques)


@dataclass(frozen=True)
class Limits:
    """How much of a plan's costs there may be; infinite where there is no limit."""

    bytes: float = np.inf
    parameters: float = np.inf
    multiply_adds: float = np.inf


class Options:
    """All options of a model's layers; a choice among them is a spec.

    Harms of different layers, and of two techniques in one layer, are taken to add up: it is a
    place to start from, which the evaluation of the files corrects.

    Args:
        model: the model that was measured.
        found: what each technique harms.
        calibration: what the model's layers see, for techniques that ask for it.
    """

    def __init__(
        self, model: Any, found: Sensitivity, calibration: Calibration | None = None
    ) -> None:
        self._model, self.before, self._calibration = model, found.before, calibration
        by_path: dict[str, list[Cell]] = {}
        for cell in found.measured:
            by_path.setdefault(cell.path, []).append(cell)
        self._paths = [held.path for held in walk(model)]
        self._layers = [self._of_layer(path, cells) for path, cells in by_path.items()]
        if not self._layers:
            raise SpecError(
                "Every technique was skipped in every layer; expected one to do something. The "
                f"reasons: {sorted({str(cell.skipped) for cell in found.cells})}."
            )

    def spec(self, options: Sequence[Option]) -> Spec:
        """A rule for each layer with which something is done.

        Raises:
            SpecError: nothing is done to any layer.
        """
        return Spec(
            [
                Rule(exactly(one.path, self._paths), one.techniques)
                for one in options
                if one.techniques
            ]
        )

    def whole(self, spec: Spec) -> Whole:
        """The model with a spec, by plan."""
        return whole_of(plan(self._model, spec, self._calibration))

    def chosen(
        self,
        limits: Limits,
        structural: bool = True,
        blame: Mapping[tuple[str, tuple[Technique, ...]], float] | None = None,
    ) -> list[Option] | None:
        """The options of least harm within the limits, by plan; None where none are.

        Args:
            limits: for the whole model.
            structural: whether layers may be given another structure.
            blame: factors for the harm of options that did worse than they promised.
        """
        for allowed in (_every, _alone) if structural else (_bits,):
            options = self._fitting(limits, allowed, blame or {})
            if options is not None:
                return options
        least = self.least() if structural else None
        return least if least and self._over(least, limits).max() <= 0 else None

    def _fitting(
        self, limits: Limits, allowed: Callable[[Option], bool], blame: Mapping[Any, float]
    ) -> list[Option] | None:
        room = limits
        for _ in range(_TRIES):
            options = self._choice(room, allowed, blame)
            if options is None:
                return None
            over = self._over(options, limits)
            if over.max() <= 0:
                return options
            # What layers save together is not always the sum of what they save alone.
            room = Limits(*(_limits(room) - np.maximum(over, 0.0)).tolist())
        return None

    def _over(self, options: Sequence[Option], limits: Limits) -> Array:
        done = any(one.techniques for one in options)
        whole = self.whole(self.spec(options)) if done else self.before
        return _costs(whole) - _limits(limits)

    def least(self) -> list[Option]:
        """The options of fewest bytes, whatever they harm."""
        return [min(layer, key=lambda one: (-one.saved[0], one.harm)) for layer in self._layers]

    def _choice(
        self, room: Limits, allowed: Callable[[Option], bool], blame: Mapping[Any, float]
    ) -> list[Option] | None:
        layers = [[one for one in layer if allowed(one)] for layer in self._layers]
        costs = [-np.array([one.saved for one in layer], float) for layer in layers]
        factors = [[blame.get((o.path, o.techniques), 1.0) for o in layer] for layer in layers]
        harms = [
            np.array([one.harm for one in layer]) * np.array(factor)
            for layer, factor in zip(layers, factors, strict=True)
        ]
        places = choose(costs, harms, _limits(room) - _costs(self.before))
        if places is None:
            return None
        return [layer[place] for layer, place in zip(layers, places, strict=True)]

    def _of_layer(self, path: str, cells: Sequence[Cell]) -> list[Option]:
        alone = [self._single(cell) for cell in cells]
        bits = [one for one in alone if not one.structural]
        both = [self._both(one, bit) for one in alone if one.structural for bit in bits]
        nothing = Option(path, (), 0.0, (0, 0, 0))
        options = [nothing, *alone, *(one for one in both if one is not None)]
        joint = [one for one in options if not _alone(one)]  # promise more than they save together
        return [*_undominated([one for one in options if _alone(one)]), *_undominated(joint)]

    def _single(self, cell: Cell) -> Option:
        saved = _saved(self.before, cell.whole or self.before)
        return Option(cell.path, (cell.technique,), cell.harm or 0.0, saved)

    def _both(self, structure: Option, bits: Option) -> Option | None:
        """Two techniques in one layer; None where they do not go together."""
        one = replace(
            structure,
            techniques=(*structure.techniques, *bits.techniques),
            harm=structure.harm + bits.harm,
        )
        try:
            planned = plan(self._model, self.spec([one]), self._calibration)
        except SpecError:
            return None
        row = next(row for row in planned.layers if row.path == one.path)
        if len(row.steps) < len(one.techniques):
            return None
        return replace(one, saved=_saved(self.before, whole_of(planned)))


def _every(option: Option) -> bool:
    del option
    return True


def _alone(option: Option) -> bool:
    """Without what changes other layers, too, where savings do not add up."""
    return not any(issubclass(one.kind, JointTechnique) for one in option.techniques)


def _bits(option: Option) -> bool:
    return not option.structural


def _saved(before: Whole, after: Whole) -> tuple[int, int, int]:
    saved = (_costs(before) - _costs(after)).astype(int).tolist()
    return saved[0], saved[1], saved[2]


def _costs(whole: Whole) -> Array:
    return np.array([whole.bytes, whole.parameters, whole.multiply_adds], float)


def _limits(limits: Limits) -> Array:
    return np.array([limits.bytes, limits.parameters, limits.multiply_adds], float)


def _undominated(options: Sequence[Option]) -> list[Option]:
    """Those that no other option beats in harm and in all costs; of equals the first."""
    kept: list[Option] = []
    for one in sorted(options, key=lambda o: (o.harm, [-s for s in o.saved])):
        better = (all(a >= b for a, b in zip(o.saved, one.saved, strict=True)) for o in kept)
        if not any(better):
            kept.append(one)
    return kept
