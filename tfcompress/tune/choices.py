"""One of several values; a technique or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.tune.kind import Kind, given_for
from tfcompress.tune.names import OFF, Chooser, Names, chooser, label
from tfcompress.tune.parts import default_of, ends_of
from tfcompress.value import Value


@dataclass(frozen=True, init=False)
class Choice(Kind):
    """One of several values, techniques among them, which may be open themselves.

    Args:
        options: the values.
        default: one of them; by default the first.
        name: what it is known by; under one name it is the same wherever it stands.

    Raises:
        SpecError: fewer than two options, two that are equal, or a default that is none of them.

    Example:
        >>> import tfcompress as tfc
        >>> tfc.Quantize(bits=tfc.tune.Choice(2, 4, 8)).default_value().bits
        2
    """

    options: tuple[Any, ...]
    default: Any = None
    name: str | None = None

    def __init__(
        self, *given: Any, options: Any = (), default: Any = None, name: str | None = None
    ) -> None:
        object.__setattr__(self, "options", tuple(given or options))
        object.__setattr__(self, "default", default)
        object.__setattr__(self, "name", name)
        if len(self.options) < 2:
            raise SpecError(f"tune.Choice received {self.options}; expected at least two options.")
        if len(set(self.keys())) < len(self.options):
            raise SpecError(f"tune.Choice received {self.options}; expected no option twice.")
        if default is not None and default not in self.options:
            raise SpecError(
                f"tune.Choice received default={default!r}; expected one of {self.options}."
            )

    @property
    def label(self) -> str:
        """The options' names."""
        return "|".join(dict.fromkeys(label(option) for option in self.options))

    def keys(self) -> tuple[Any, ...]:
        """Whole numbers as they are; anything else as text, by its class where that is enough."""
        if all(isinstance(option, int) for option in self.options) and not any(
            isinstance(option, bool) for option in self.options
        ):
            return self.options
        labels = [label(option) for option in self.options]
        return tuple(
            name if labels.count(name) == 1 else repr(option)
            for name, option in zip(labels, self.options, strict=True)
        )

    def default_value(self) -> Any:
        """The default's, or the first option's."""
        return default_of(self.options[0] if self.default is None else self.default)

    def ends(self) -> tuple[Any, ...]:
        """All options, and the ends of those that are open."""
        return tuple(end for option in self.options for end in ends_of(option))

    def draw(self, random: Any) -> Any:
        """Each as likely as the others."""
        return random.choice(self.keys())

    def declare(self, hp: Any, name: str) -> None:
        """As `hp.Choice`."""
        keys = self.keys()
        default = keys[0] if self.default is None else keys[self.options.index(self.default)]
        hp.Choice(name, list(keys), default=default)

    def chooser(self, name: str, names: Names) -> Chooser:
        """Reads the key under its name; an option itself serves as well."""
        known, inside = names.add(name, self), {}
        above = name.removesuffix(f"/{self.label}")
        for key, option in zip(self.keys(), self.options, strict=True):
            within = names.only_where(known, key)
            inside[key] = chooser(option, f"{above}/{label(option)}", within)

        def choose(values: Any) -> Any:
            given = given_for(values, known)
            if isinstance(given, (Value, list, tuple)) and given in self.options:
                given = self.keys()[self.options.index(given)]
            given = given if given in inside else repr(given)
            if given not in inside:
                raise SpecError(f"Received {known} = {given}; expected one of {list(inside)}.")
            return inside[given](values)

        return choose


@dataclass(frozen=True)
class Optional(Kind):
    """A technique of a rule, or none. It is on by default.

    Args:
        technique: which, with values open or not; or a `Choice` of techniques.
        name: what it is known by; under one name it is the same wherever it stands.

    Example:
        >>> import tfcompress as tfc
        >>> tune = tfc.tune
        >>> maybe = tune.Optional(tfc.Prune(sparsity=tune.Float(0.5, 0.9)))
        >>> rule = tfc.rule(tfc.by_name("head"), tfc.Quantize(8), maybe)
        >>> [variable.name for variable in tfc.Spec([rule]).variables]
        ['head/Prune', 'head/Prune/sparsity']
    """

    technique: Any
    name: str | None = None

    def __post_init__(self) -> None:
        from tfcompress.spec import Technique  # which is a value, and so stands above these

        for end in ends_of(self.technique):
            if not isinstance(end, Technique):
                raise SpecError(
                    f"tune.Optional received {self.technique!r}; expected a technique, such as "
                    "Quantize(bits=8), with open values or without."
                )

    @property
    def label(self) -> str:
        """The technique's name."""
        return label(self.technique)

    def keys(self) -> tuple[Any, ...]:
        """On or off."""
        return ("on", "off")

    def default_value(self) -> Any:
        """The technique's."""
        return default_of(self.technique)

    def ends(self) -> tuple[Any, ...]:
        """Those of the technique, and none."""
        return (*ends_of(self.technique), OFF)

    def draw(self, random: Any) -> Any:
        """Both as likely."""
        return random.choice(self.keys())

    def declare(self, hp: Any, name: str) -> None:
        """As `hp.Choice`."""
        hp.Choice(name, ["on", "off"], default="on")

    def chooser(self, name: str, names: Names) -> Chooser:
        """Reads "on" or "off" (or True or False) under its name."""
        known = names.add(name, self)
        inside = chooser(self.technique, name, names.only_where(known, "on"))

        def choose(values: Any) -> Any:
            given = given_for(values, known)
            given = {True: "on", False: "off"}.get(given, given)
            if given not in self.keys():
                raise SpecError(f"Received {known} = {given!r}; expected 'on' or 'off'.")
            return inside(values) if given == "on" else OFF

        return choose
