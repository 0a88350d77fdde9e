"""What is known of a spec before anything is trained."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.outcomes import Costs, active
from tfcompress.plan import plan
from tfcompress.search.budget import Budget, limits_text
from tfcompress.search.harms import Harms
from tfcompress.search.sizing import Sizes
from tfcompress.spec import Spec
from tfcompress.tune import Space

_DRAWS = 50


@dataclass(frozen=True)
class Prospect:
    """What is expected of a spec.

    Attributes:
        costs: what its plan says.
        harms: of its techniques by themselves, by the technique's name, summed over layers; empty
            where no sensitivity is known.
    """

    costs: Costs
    harms: Mapping[str, float] = field(default_factory=dict)


class Known:
    """Plans the specs of a space, each once.

    Attributes:
        graph: bytes that a file takes besides its weights, at least: the least seen so far.
        prior: what techniques harm by themselves; None: it is not known.
        sizes: exports students to see how large files are; None: files are not seen before.
    """

    def __init__(self, model: Any, space: Space, budget: Budget) -> None:
        self.model, self.space, self.budget = model, space, budget
        self.before = Costs.before(plan(model, space.default()))
        self.graph = 0
        self.prior: Harms | None = None
        self.sizes: Sizes | None = None
        self._prospects: dict[str, Prospect] = {}

    def spec(self, values: Mapping[str, Any]) -> Spec:
        """The spec of these values; raises SpecError where the techniques refuse them."""
        return self.space.sample(values)

    def costs(self, spec: Spec) -> Costs:
        """What its plan says; raises SpecError where it cannot be planned."""
        return self.prospect(spec).costs

    def prospect(self, spec: Spec) -> Prospect:
        """The same, and what its techniques harm.

        Raises:
            SpecError: it cannot be planned.
            SearchError: `prior` says nothing of one of its techniques.
        """
        key = spec.to_json(indent=None)
        if key not in self._prospects:
            planned = plan(self.model, spec)
            harms = {} if self.prior is None else self.prior.of(planned)
            self._prospects[key] = Prospect(Costs.of(planned), harms)
        return self._prospects[key]

    def missed(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Which limits the spec of these values cannot meet, and by how much."""
        return self.budget.out_of_reach(self.costs(self.spec(values)), self.graph)

    def allows(self, values: Mapping[str, Any]) -> bool:
        """Whether the spec of these values can be carried out and may meet the budget."""
        try:
            return not self.missed(values)
        except SpecError:
            return False

    def fits(self, values: Mapping[str, Any]) -> bool:
        """Whether the file of the spec of these values, which `allows` allowed, is small enough.

        Where bytes are limited its student is exported for it, untrained; what a plan knows of a
        file's graph is a guess.
        """
        if self.sizes is None or self.budget.bytes is None:
            return True
        size = self.sizes.of(self.spec(self.active(values)))
        return size is None or size <= self.budget.bytes

    def bytes(self, spec: Spec) -> int:
        """Of its file, as far as is known."""
        size = None if self.sizes is None else self.sizes.known(spec)
        return self.costs(spec).bytes + self.graph if size is None else size

    def see(self, size: int, costs: Costs) -> None:
        """Learns from a file of so many bytes what files take besides weights."""
        self.graph = min(self.graph, size - costs.least_bytes)

    def active(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Of KerasTuner's values those that are of the space and matter, as a spec holds them."""
        found = active(self.space.variables, values)
        return {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in found.items()}

    def check_start(self, start: Sequence[Mapping[str, Any]]) -> None:
        """That what is to be tried first can be.

        Raises:
            SpecError: values that make no spec, or one that cannot meet the budget.
        """
        for values in start:
            missed = self.missed(values)
            if missed:
                raise SpecError(
                    f"start has {dict(values)}, whose spec cannot meet {self.budget!r}: it misses "
                    f"{limits_text(self.budget, missed)}. Leave it out, or raise the budget."
                )
            if not self.fits(values):
                raise SpecError(
                    f"start has {dict(values)}, whose file is larger than the budget's "
                    f"{self.budget.bytes:,} bytes, its graph included. Leave it out, or raise the "
                    "budget."
                )

    def check_reach(self) -> None:
        """That some spec can meet the budget.

        Raises:
            SpecError: none was found, at the ends of the space or by drawing.
        """
        if self.budget == Budget(latency_us=self.budget.latency_us, quality=self.budget.quality):
            return  # nothing that a plan knows is limited
        nearest = []
        generator = random.Random(0)
        for _ in range(_DRAWS):
            try:
                missed = self.missed(self.space.draw(generator))
            except SpecError:
                continue
            if not missed:
                return
            nearest.append(missed)
        found = plan(self.model, self.space)
        for one in (found.smallest, found.lightest, found.fewest):
            nearest.append(self.budget.out_of_reach(one.costs, self.graph))
            if not nearest[-1]:
                return
        missed = min(nearest, key=lambda one: sum(one.values()))
        raise SpecError(
            f"No spec of the space was found that can meet {self.budget!r}; the nearest misses "
            f"{limits_text(self.budget, missed)}. Raise the budget, or let the open values go "
            "further down."
        )
