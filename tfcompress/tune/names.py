"""Open values by name, and the functions that choose them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.value import OpenValue, Value
from tfcompress.where import And, ByName, BySize, ByType, Not, Or

Values = Mapping[str, Any]
Chooser = Callable[[Values], Any]
When = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Variable:
    """One open value of a space.

    Attributes:
        name: where it stands, e.g. `item_table/Factorize/rank`; or the name that it was given.
        kind: what it may be: `Int`, `Float`, `Choice` or `Optional`.
        when: it matters only where the variables of these names have these values.
    """

    name: str
    kind: Any
    when: When = ()

    def matters(self, values: Values) -> bool:
        """Whether it stands in the spec of these values."""
        return all(values.get(name) == key for name, key in self.when)


@dataclass
class Names:
    """The open values that were found so far."""

    variables: list[Variable] = field(default_factory=list)
    when: When = ()

    def add(self, name: str, kind: Any) -> str:
        """Takes an open value in, and says by which name it is known.

        One that was given a name is the same wherever it stands under it. Another one gets a
        number behind its name where the name is taken.

        Raises:
            SpecError: a given name that another open value has.
        """
        found = {variable.name: variable for variable in self.variables}
        if kind.name is not None:
            other = found.get(kind.name)
            if other is not None and other.kind != kind:
                raise SpecError(
                    f"Received {kind!r} and {other.kind!r} under one name; expected a name of its "
                    "own for each, or the same bounds."
                )
            if other is None:
                self.variables.append(Variable(kind.name, kind))
            return str(kind.name)
        unique = next(one for one in _numbered(name) if one not in found)
        self.variables.append(Variable(unique, kind, self.when))
        return unique

    def only_where(self, name: str, key: Any) -> Names:
        """The same, for what stands in one choice alone."""
        return Names(self.variables, (*self.when, (name, key)))


def _numbered(name: str) -> Any:
    yield name
    number = 2
    while True:
        yield f"{name}#{number}"
        number += 1


def chooser(value: Any, name: str, names: Names) -> Chooser:
    """The function from values by name to what stands where `value` stands, all open ones chosen.

    In a sequence, what is off is left out.
    """
    if isinstance(value, OpenValue):
        choose: Chooser = value.chooser(name, names)  # type: ignore[attr-defined]
        return choose
    if not isinstance(value, (list, tuple)):
        return lambda values: value
    items = [chooser(item, f"{name}/{label(item)}", names) for item in value]

    def choose_all(values: Values) -> tuple[Any, ...]:
        chosen = [item(values) for item in items]
        return tuple(one for one in chosen if one is not OFF)

    return choose_all


class _Off:
    """Nothing, in the place of a technique."""

    def __repr__(self) -> str:
        return "off"


OFF = _Off()


def label(value: Any) -> str:
    """A short name of a value, a template of one, or a predicate."""
    kind = type(value)
    if kind in _PREDICATES:
        return _PREDICATES[kind](value)
    if isinstance(value, OpenValue):
        return str(value.label)  # type: ignore[attr-defined]
    return kind.__name__ if isinstance(value, Value) else repr(value)


_PREDICATES: dict[type, Callable[[Any], str]] = {
    ByName: lambda one: one.pattern,
    ByType: lambda one: one.type_name,
    BySize: lambda one: f"size {one.minimum} to {'any' if one.maximum is None else one.maximum}",
    And: lambda one: f"({label(one.left)} & {label(one.right)})",
    Or: lambda one: f"({label(one.left)} | {label(one.right)})",
    Not: lambda one: f"~{label(one.inner)}",
}
