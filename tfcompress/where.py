"""Predicates that say which layers a rule is for: `by_type("Dense") & ~by_name("head")`.

A predicate looks at a `LayerInfo`, plain data about one layer, and never at TensorFlow.
"""

from __future__ import annotations

import fnmatch
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.value import Value


@dataclass(frozen=True)
class LayerInfo:
    """What a predicate may know of a layer.

    Attributes:
        path: where the layer is held, e.g. `blocks.0.query`.
        types: class names, the layer's own first, then its bases'.
        parameters: number of scalars in the layer's weights.
    """

    path: str
    types: tuple[str, ...]
    parameters: int


@dataclass(frozen=True)
class Predicate(Value):
    """A condition on layers; combine with `&`, `|`, `~`."""

    @abstractmethod
    def __call__(self, layer: LayerInfo) -> bool:
        """Whether the layer is meant."""

    def __and__(self, other: Predicate) -> Predicate:
        return And(self, _predicate(other))

    def __or__(self, other: Predicate) -> Predicate:
        return Or(self, _predicate(other))

    def __invert__(self) -> Predicate:
        return Not(self)


def _predicate(value: Any) -> Predicate:
    if not isinstance(value, Predicate):
        raise SpecError(
            f"Received {value!r} as a layer predicate; expected by_type(...), by_name(...), "
            "by_size(...) or a combination of them with &, | and ~."
        )
    return value


@dataclass(frozen=True)
class ByType(Predicate):
    """Layers of a class or of a subclass of it, named as in Python (`"Dense"`)."""

    type_name: str

    def __post_init__(self) -> None:
        if not self.type_name or not isinstance(self.type_name, str):
            raise SpecError(f"by_type received {self.type_name!r}; expected a class name.")

    def __call__(self, layer: LayerInfo) -> bool:
        """Whether the layer is of the class."""
        return self.type_name in layer.types


@dataclass(frozen=True)
class ByName(Predicate):
    """Layers whose path matches a shell pattern (`"blocks.*.query"`), or ends in that name."""

    pattern: str

    def __post_init__(self) -> None:
        if not self.pattern or not isinstance(self.pattern, str):
            raise SpecError(f"by_name received {self.pattern!r}; expected a name or shell pattern.")

    def __call__(self, layer: LayerInfo) -> bool:
        """Whether the path or its last name matches."""
        return fnmatch.fnmatchcase(layer.path, self.pattern) or (
            layer.path.rsplit(".", 1)[-1] == self.pattern
        )


@dataclass(frozen=True)
class BySize(Predicate):
    """Layers with at least `minimum` and at most `maximum` parameters."""

    minimum: int = 0
    maximum: int | None = None

    def __post_init__(self) -> None:
        if self.minimum < 0 or (self.maximum is not None and self.maximum < self.minimum):
            raise SpecError(
                f"by_size received minimum={self.minimum}, maximum={self.maximum}; expected "
                "0 <= minimum <= maximum, in parameters."
            )

    def __call__(self, layer: LayerInfo) -> bool:
        """Whether the number of parameters is between the bounds."""
        return self.minimum <= layer.parameters and (
            self.maximum is None or layer.parameters <= self.maximum
        )


@dataclass(frozen=True)
class And(Predicate):
    """Both conditions hold."""

    left: Predicate
    right: Predicate

    def __call__(self, layer: LayerInfo) -> bool:
        """Whether both conditions hold."""
        return self.left(layer) and self.right(layer)


@dataclass(frozen=True)
class Or(Predicate):
    """At least one of two conditions holds."""

    left: Predicate
    right: Predicate

    def __call__(self, layer: LayerInfo) -> bool:
        """Whether one of the conditions holds."""
        return self.left(layer) or self.right(layer)


@dataclass(frozen=True)
class Not(Predicate):
    """The condition does not hold."""

    inner: Predicate

    def __call__(self, layer: LayerInfo) -> bool:
        """Whether the condition does not hold."""
        return not self.inner(layer)


def in_words(where: Predicate) -> str:
    """Which layers a predicate chooses, in words.

    Example:
        >>> in_words(by_type("Dense") & ~by_name("head"))
        'of type Dense and not head'
        >>> in_words(by_name("a") | by_name("b"))
        'a or b'
    """
    match where:
        case ByName():
            return where.pattern
        case ByType():
            return f"of type {where.type_name}"
        case BySize():
            most = "" if where.maximum is None else f" to {where.maximum:,}"
            return f"of {where.minimum:,}{most or ' or more'} parameters"
        case And():
            return " and ".join(_in_brackets(side) for side in (where.left, where.right))
        case Or():
            return f"{in_words(where.left)} or {in_words(where.right)}"
        case Not():
            return f"not {_in_brackets(where.inner)}"
    return repr(where)


def _in_brackets(where: Predicate) -> str:
    said = in_words(where)
    return f"({said})" if isinstance(where, (And, Or)) else said


def by_type(type_name: str | type) -> Predicate:
    """Layers of this class, given as the class or its name, subclasses included.

    Example:
        >>> by_type("Dense")(LayerInfo("head", ("Dense", "Layer"), 10))
        True
    """
    return ByType(type_name.__name__ if isinstance(type_name, type) else type_name)


def by_name(pattern: str) -> Predicate:
    """Layers whose path matches a shell pattern, or whose own name is `pattern`.

    Example:
        >>> by_name("blocks.*.query")(LayerInfo("blocks.0.query", ("Dense",), 10))
        True
    """
    return ByName(pattern)


def by_size(minimum: int = 0, maximum: int | None = None) -> Predicate:
    """Layers with that many parameters.

    Example:
        >>> (by_size(minimum=100) | by_name("head"))(LayerInfo("head", ("Dense",), 10))
        True
    """
    return BySize(minimum, maximum)
