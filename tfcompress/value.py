"""Values: frozen dataclasses that survive JSON. Specs, rules, predicates and techniques are values.

A value becomes `{"type": <class name>, <field>: ...}`; reading it back goes through the class's own
checks, so that a file edited by hand is held to the same rules as code.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from tfcompress.errors import SpecError

_Kind = TypeVar("_Kind")
_SHOWN = 6


class Value:
    """Base class; every concrete subclass (a frozen dataclass) is known by its class name.

    One that is declared with `written=False` is for work in progress, and in no file.
    """

    _known: ClassVar[dict[str, type[Value]]] = {}

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """The value; or a `Template` of it where a field is open (see `tfcompress.tune`)."""
        if is_open(args) or is_open(tuple(kwargs.values())):
            return cls.left_open(*args, **kwargs)
        return super().__new__(cls)

    @classmethod
    def left_open(cls, *args: Any, **kwargs: Any) -> OpenValue:
        """What stands for a value of this class whose fields are not all chosen."""
        from tfcompress.tune import Template  # which is made of values itself

        return Template.of(cls, *args, **kwargs)

    @classmethod
    def chosen(cls, fields: Mapping[str, Any]) -> Any:
        """The value with these fields, which were open; or nothing of it (`tune.OFF`)."""
        return cls(**fields)

    def __init_subclass__(cls, written: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if written and not any(
            getattr(getattr(cls, n), "__isabstractmethod__", False) for n in dir(cls)
        ):
            Value._known[cls.__name__] = cls


class OpenValue:
    """Base of what stands in a spec for a value that is not chosen yet."""

    def to_data(self) -> dict[str, Any]:
        """Its plain JSON data."""
        raise NotImplementedError


def is_open(value: Any) -> bool:
    """Whether something is left open: a value, or one in a sequence."""
    if isinstance(value, (list, tuple)):
        return any(is_open(item) for item in value)
    return isinstance(value, OpenValue)


def to_data(value: Any) -> Any:
    """Plain JSON data of a value, a sequence of values, or a scalar.

    Raises:
        SpecError: something in it has no JSON form.
    """
    if isinstance(value, OpenValue):
        return value.to_data()
    if isinstance(value, Value) and dataclasses.is_dataclass(value):
        fields = {f.name: to_data(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, (list, tuple)):
        return [to_data(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise SpecError(f"Received {value!r} inside a spec; expected a value, number, text or None.")


def from_data(data: Any) -> Any:
    """The value that `to_data` made `data` of; lists become tuples.

    Raises:
        SpecError: an unknown type or field, a missing field, or a field its class refuses.
    """
    if isinstance(data, list):
        return tuple(from_data(item) for item in data)
    if not isinstance(data, dict):
        return data
    cls = _class(data)
    fields = {name: from_data(item) for name, item in data.items() if name != "type"}
    _check_fields(cls, fields)
    try:
        return cls(**fields)
    except TypeError as error:  # a text where the class compares numbers, and the like
        raise SpecError(
            f"{cls.__name__} received {fields!r}, and a field of the wrong kind is among it "
            f"({error})."
        ) from error


def _class(data: dict[str, Any]) -> type[Value]:
    name = data.get("type")
    if name not in Value._known:
        raise SpecError(
            f"Received the type {name!r} in a spec; expected one of {sorted(Value._known)}. "
            "Check its spelling, or import the module that defines it first."
        )
    return Value._known[name]


def _check_fields(cls: type[Value], fields: dict[str, Any]) -> None:
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise SpecError(
            f"Received the field {unknown[0]!r} for {cls.__name__}; expected {sorted(known)}."
        )
    for name, field in known.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in fields:
            raise SpecError(f"{cls.__name__} received no field {name!r}; expected one.")


def brief(value: Any) -> str:
    """A value as code that makes it, without what is as by default behind its first field.

    Of a long sequence it is the first items and their number.

    Example:
        >>> import tfcompress as tfc
        >>> brief(tfc.Quantize(bits=8)), brief(tfc.Quantize(bits=4, scale=tfc.Deviations(2.4)))
        ('Quantize(bits=8)', 'Quantize(bits=4, scale=Deviations(multiple=2.4))')
    """
    if isinstance(value, tuple):
        shown = [brief(item) for item in value[:_SHOWN]]
        if len(value) > _SHOWN:
            shown.append(f"... {len(value):,} in all")
        return f"({', '.join(shown)}{',' if len(value) == 1 else ''})"
    if not (isinstance(value, Value) and dataclasses.is_dataclass(value)):
        return repr(value)
    fields = dataclasses.fields(value)
    found = [(field, getattr(value, field.name)) for field in fields]
    # By their text: an array is not equal to anything as a whole.
    told = [(f.name, one) for f, one in found if f is fields[0] or repr(one) != repr(_default(f))]
    return f"{type(value).__name__}({', '.join(f'{name}={brief(one)}' for name, one in told)})"


def _default(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def parsed(text: str, what: str, version: int) -> dict[str, Any]:
    """The data of JSON text that was written with a format's version, without it.

    Args:
        text: the JSON text.
        what: it is, as an error says it.
        version: that this release writes.

    Raises:
        SpecError: not JSON, or another version.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"Received text that is not JSON ({error}); expected a {what}.") from error
    if not isinstance(data, dict):
        raise SpecError(f"Received JSON that is a {type(data).__name__}; expected an object.")
    found = data.pop("version", None)
    if found != version:
        raise SpecError(
            f"Received a {what} of version {found!r}; expected {version}. "
            "Write it anew with this release, or read it with the one that wrote it."
        )
    return data


def of_kind(found: Any, kind: type[_Kind]) -> _Kind:
    """What was read, if it is of this kind.

    Raises:
        SpecError: it is not.
    """
    if not isinstance(found, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise SpecError(f"Received a {type(found).__name__}; expected {article} {kind.__name__}.")
    return found
