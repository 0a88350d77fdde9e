"""A value some of whose fields are open."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from dataclasses import dataclass
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.tune.names import Chooser, Names, Values, chooser, label
from tfcompress.tune.parts import default_of, ends_of
from tfcompress.value import OpenValue, Value, is_open, to_data

_COMBINATIONS = 4096


@dataclass(frozen=True, repr=False)
class Template(OpenValue):
    """What a `Value` is until its open fields are chosen; `Factorize(rank=tune.Int(8, 64))` is one.

    Its defaults together, and each end of every open field in some combination with the ends of the
    others, must be what the class takes.

    Attributes:
        cls: the class.
        fields: names and values of its fields, open or not.
    """

    cls: type[Value]
    fields: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, kind: type[Value], *args: Any, **kwargs: Any) -> Template:
        """The template for a call of the class.

        Raises:
            SpecError: what the class refuses.
            TypeError: arguments that it does not have.
        """
        bound = inspect.signature(kind.__init__).bind(None, *args, **kwargs).arguments
        given = dict(itertools.islice(bound.items(), 1, None))
        fields = []
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            if field.name in given:
                fields.append((field.name, _tuples(given[field.name])))
            elif field.default_factory is not dataclasses.MISSING:
                fields.append((field.name, field.default_factory()))
            else:
                fields.append((field.name, field.default))
        return cls(kind, tuple(fields))

    def __post_init__(self) -> None:
        self.default_value()
        self.ends()

    @property
    def label(self) -> str:
        """The class's name; of a rule, what it is for."""
        where = dict(self.fields).get("where")
        return self.cls.__name__ if where is None else label(where)

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self.fields if is_open(value)]
        return f"Template({', '.join([self.cls.__name__, *shown])})"

    def default_value(self) -> Any:
        """The value with every open field at its default."""
        return self.cls.chosen({name: default_of(value) for name, value in self.fields})

    def ends(self) -> tuple[Any, ...]:
        """Values of the class with each open field at each of its ends."""
        found = []
        usual = {name: default_of(value) for name, value in self.fields}
        for name, value in self.fields:
            if is_open(value):
                for end in ends_of(value):
                    found.append(self._with(name, end, usual))
        return tuple(found)

    def _with(self, name: str, end: Any, usual: dict[str, Any]) -> Any:
        try:
            return self.cls.chosen({**usual, name: end})
        except SpecError as error:
            others = [ends_of(v) if n != name else (end,) for n, v in self.fields]
            names = [n for n, _ in self.fields]
            for values in itertools.islice(itertools.product(*others), _COMBINATIONS):
                try:
                    return self.cls.chosen(dict(zip(names, values, strict=True)))
                except SpecError:
                    continue
            raise error

    def chooser(self, name: str, names: Names) -> Chooser:
        """The function that chooses its fields by name."""
        inside = {
            field: chooser(value, name if field in _PLAIN else f"{name}/{field}", names)
            for field, value in self.fields
        }

        def choose(values: Values) -> Any:
            return self.cls.chosen({field: one(values) for field, one in inside.items()})

        return choose

    def to_data(self) -> dict[str, Any]:
        """As the class's own data, with open values in it."""
        fields = {name: to_data(value) for name, value in self.fields}
        return {"type": self.cls.__name__, **fields}


_PLAIN = ("techniques",)  # of a rule: their names stand right behind the layer's


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value
