"""A spec with open values."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.spec import VERSION, Rule, Spec
from tfcompress.tune.names import Chooser, Names, Values, Variable, chooser, label
from tfcompress.tune.parts import default_of
from tfcompress.tune.template import Template
from tfcompress.value import from_data, parsed


class Space(Template):
    """All specs that a spec with open values may become; `Spec([...])` of such rules is one.

    Raises:
        SpecError: no rules, or something that is not a rule.

    Example:
        >>> import tfcompress as tfc
        >>> rank = tfc.tune.Int(8, 64, log=True)
        >>> space = tfc.Spec([tfc.rule(tfc.by_name("item_table"), tfc.Factorize(rank=rank))])
        >>> [variable.name for variable in space.variables]
        ['item_table/Factorize/rank']
        >>> space.sample({"item_table/Factorize/rank": 16}).rules[0].techniques
        (Factorize(rank=16),)
        >>> tfc.Space.from_json(space.to_json()) == space
        True
    """

    def __init__(self, rules: Sequence[Any]) -> None:
        super().__init__(Spec, (("rules", tuple(rules)),))

    def __post_init__(self) -> None:
        for rule in self.rules:
            if not isinstance(default_of(rule), Rule):
                raise SpecError(f"A space received {rule!r}; expected rules: rule(where, ...).")
        if not self.rules:
            raise SpecError("A space received no rules; expected at least one.")
        _ = self._bound  # names that do not fit each other are refused here

    @property
    def rules(self) -> tuple[Any, ...]:
        """Its rules, with open values or without."""
        return tuple(dict(self.fields)["rules"])

    @cached_property
    def _bound(self) -> tuple[Chooser, tuple[Variable, ...]]:
        names = Names()
        rules = [chooser(rule, label(rule), names) for rule in self.rules]

        def choose(values: Values) -> Spec:
            chosen = [rule(values) for rule in rules]
            return Spec([one for one in chosen if isinstance(one, Rule)])

        return choose, tuple(names.variables)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Its open values, each behind those that decide whether it matters."""
        return self._bound[1]

    def sample(self, hp: Any) -> Spec:
        """The spec of these values.

        Args:
            hp: values by name, for all that matter; or KerasTuner's `HyperParameters`, in which
                the open values are declared if they are not yet.

        Raises:
            SpecError: a value that is missing or out of bounds, or a combination that the
                techniques refuse.
        """
        if hasattr(hp, "conditional_scope"):
            self.declare(hp)
            hp = hp.values
        spec: Spec = self._bound[0](hp)
        return spec

    def default(self) -> Spec:
        """The spec of all defaults: lower bounds, first options, every technique on."""
        return Spec([default_of(rule) for rule in self.rules])

    def draw(
        self, generator: random.Random, kept: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Values by name at random, of those open values that matter.

        Args:
            generator: what draws.
            kept: values by name that are not drawn, where they matter.
        """
        values: dict[str, Any] = {}
        given = kept or {}
        for variable in self.variables:
            if variable.matters(values):
                name, kind = variable.name, variable.kind
                values[name] = given[name] if name in given else kind.draw(generator)
        return values

    def declare(self, hp: Any) -> None:
        """Declares all open values in KerasTuner's `HyperParameters`."""
        for variable in self.variables:
            _declare(hp, variable, variable.when)

    def to_json(self, indent: int | None = 2) -> str:
        """The space as JSON text, with the format's version: that of a spec with open values."""
        return json.dumps({"version": VERSION, **self.to_data()}, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> Space:
        """The space that `to_json` wrote; a plain spec is a space of one.

        Raises:
            SpecError: not JSON, another version, or an unknown type or field.
        """
        found = from_data(parsed(text, "spec", VERSION))
        if isinstance(found, Spec):
            return cls(found.rules)
        if not isinstance(found, cls):
            raise SpecError(f"Received {found!r}; expected a spec with open values.")
        return found


def _declare(hp: Any, variable: Variable, when: Any) -> None:
    if not when:
        variable.kind.declare(hp, variable.name)
        return
    (name, key), *others = when
    with hp.conditional_scope(name, [key]):
        _declare(hp, variable, others)
