"""Outcomes: what the specs of a space come to, known from `plan` alone."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tfcompress.calibration import Calibration
from tfcompress.errors import SpecError
from tfcompress.measure import FLOAT_BITS, LayerForm, WeightForm
from tfcompress.plan import Plan, plan
from tfcompress.spec import Spec
from tfcompress.tune import Space, Variable

_ALL = 256  # combinations of ends, up to which all of them are tried
_ROUNDS = 4
_STARTS = 24


@dataclass(frozen=True)
class Costs:
    """What a plan says that a model will cost.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(64, input_shape=(64,), name="head")])
        >>> tfc.Costs.of(tfc.plan(model, tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Prune(0.5))])))
        Costs(bytes=16640, least_bytes=8448, parameters=4160, multiply_adds=4096)

    Attributes:
        bytes: of all weights and scales as they will be stored, the graph not included.
        least_bytes: the same where no zero were stored, nor where others are: a file cannot be
            smaller.
        parameters: number of scalars.
        multiply_adds: for one example.
    """

    bytes: int
    least_bytes: int
    parameters: int
    multiply_adds: int

    @classmethod
    def of(cls, planned: Plan) -> Costs:
        """Those after the plan's steps."""
        return cls.sum([layer.after for layer in planned.layers])

    @classmethod
    def before(cls, planned: Plan) -> Costs:
        """Those before them."""
        return cls.sum([layer.before for layer in planned.layers])

    @classmethod
    def sum(cls, forms: list[LayerForm]) -> Costs:
        """Those of layers together."""
        return cls(
            sum(form.bytes for form in forms),
            sum(_least_bytes(form) for form in forms),
            sum(form.parameters for form in forms),
            sum(form.multiply_adds for form in forms),
        )

    def to_data(self) -> dict[str, int]:
        """As plain data."""
        return asdict(self)


def _least_bytes(form: LayerForm) -> int:
    return form.bytes - sum(w.bytes - _least_of(w) for w in form.weights)


def _least_of(weight: WeightForm) -> int:
    kept = round(weight.parameters * (1.0 - weight.sparsity))
    return min(weight.bytes, replace(weight, sparsity=0.0).bytes - _dense(weight, weight.parameters)
               + _dense(weight, kept))  # fmt: skip


def _dense(weight: WeightForm, count: int) -> int:
    return math.ceil(count * (weight.bits or FLOAT_BITS) / 8)


@dataclass(frozen=True)
class Outcome:
    """One spec of a space and what it comes to."""

    values: dict[str, Any]
    spec: Spec
    costs: Costs


@dataclass(frozen=True)
class Outcomes:
    """The ends of a space, as far as they were found by trying.

    Of every open value its ends, their neighbours and some values between are tried: in all
    combinations where these are few, else one open value after the other, from the best of some
    that are drawn at random. Costs mostly rise or fall with a number; where one jumps (a rank at
    which a width is no whole number of bytes) something may lie a little beyond.

    Attributes:
        smallest, largest: by bytes.
        lightest, heaviest: by multiply-adds.
        fewest: by parameters.
        before: what the model costs now.
    """

    smallest: Outcome
    largest: Outcome
    lightest: Outcome
    heaviest: Outcome
    fewest: Outcome
    before: Costs

    def to_data(self) -> dict[str, Any]:
        """As plain data."""
        return {
            name: {"values": one.values, **one.costs.to_data()}
            for name in ("smallest", "largest", "lightest", "heaviest", "fewest")
            for one in [getattr(self, name)]
        } | {"before": self.before.to_data()}

    def __str__(self) -> str:
        from tfcompress.report import outcomes_text

        return outcomes_text(self)


def outcomes(model: Any, space: Space, calibration: Calibration | None = None) -> Outcomes:
    """What the specs of a space come to at most and at least; `plan(model, space)` calls it.

    Raises:
        SpecError: see `plan`; or no combination of ends that can be planned.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(64, input_shape=(64,), name="head")])
        >>> bits = tfc.tune.Choice(8, 4)
        >>> space = tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Quantize(bits))])
        >>> found = tfc.plan(model, space)
        >>> found.smallest.costs.bytes, found.largest.costs.bytes
        (3072, 5120)
    """
    search = _Ends(space, lambda spec: plan(model, spec, calibration))
    bytes_, parameters, adds = (
        lambda costs: costs.bytes,
        lambda costs: costs.parameters,
        lambda costs: costs.multiply_adds,
    )
    return Outcomes(
        smallest=search.best(bytes_, 1),
        largest=search.best(bytes_, -1),
        lightest=search.best(adds, 1),
        heaviest=search.best(adds, -1),
        fewest=search.best(parameters, 1),
        before=search.before,
    )


class _Ends:
    """Tries ends of open values, each combination once."""

    def __init__(self, space: Space, planned: Callable[[Spec], Plan]) -> None:
        self._space, self._plan = space, planned
        self._known: dict[Spec | str, Outcome | SpecError] = {}
        self.before = Costs(0, 0, 0, 0)
        tries = [variable.kind.tries() for variable in space.variables]
        self._few = math.prod(len(keys) for keys in tries) <= _ALL
        self._usual = {v.name: keys[0] for v, keys in zip(space.variables, tries, strict=True)}
        self._starts: list[Outcome] = []

    def best(self, cost: Callable[[Costs], int], sign: int) -> Outcome:
        """The outcome of the smallest (or, with sign -1, largest) cost."""

        def of(outcome: Outcome) -> int:
            return sign * cost(outcome.costs)

        if self._few:
            combinations = itertools.product(*(v.kind.tries() for v in self._space.variables))
            found = [self._outcome(dict(zip(self._usual, c, strict=True))) for c in combinations]
            return min(self._valid(found), key=of)
        return self._one_by_one(of)

    def _one_by_one(self, of: Callable[[Outcome], int]) -> Outcome:
        best = min(self._drawn(), key=of)
        for _ in range(_ROUNDS):
            before = of(best)
            for variable in self._space.variables:
                mixed = {**self._usual, **best.values}
                found = [self._outcome({**mixed, variable.name: k}) for k in variable.kind.tries()]
                best = min([best, *(one for one in found if isinstance(one, Outcome))], key=of)
            if of(best) == before:
                break
        return best

    def _drawn(self) -> list[Outcome]:
        if not self._starts:
            generator = random.Random(0)
            drawn = [self._space.draw(generator) for _ in range(_STARTS)]
            found = [self._outcome({**self._usual, **values}) for values in drawn]
            self._starts = self._valid([self._outcome_of(self._space.default(), {}), *found])
        return self._starts

    def _valid(self, found: list[Outcome | SpecError]) -> list[Outcome]:
        valid = [one for one in found if isinstance(one, Outcome)]
        if not valid:
            raise found[0]  # type: ignore[misc]
        return valid

    def _outcome(self, values: Mapping[str, Any]) -> Outcome | SpecError:
        own = active(self._space.variables, values)
        try:
            return self._outcome_of(self._space.sample(own), own)
        except SpecError as error:
            return error

    def _outcome_of(self, spec: Spec, values: dict[str, Any]) -> Outcome | SpecError:
        key = spec.to_json()
        if key not in self._known:
            try:
                planned = self._plan(spec)
                self.before = Costs.before(planned)
                self._known[key] = Outcome(values, spec, Costs.of(planned))
            except SpecError as error:
                self._known[key] = error
        return self._known[key]


def active(variables: tuple[Variable, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of those open values that matter."""
    found: dict[str, Any] = {}
    for variable in variables:
        if variable.matters(found):
            found[variable.name] = values[variable.name]
    return found
