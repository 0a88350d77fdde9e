"""Defaults and ends of what may hold open values."""

from __future__ import annotations

from typing import Any

from tfcompress.tune.names import OFF
from tfcompress.value import OpenValue


def default_of(value: Any) -> Any:
    """The value with every open one at its default."""
    if isinstance(value, OpenValue):
        return value.default_value()  # type: ignore[attr-defined]
    if isinstance(value, (list, tuple)):
        return tuple(default_of(item) for item in value)
    return value


def ends_of(value: Any) -> tuple[Any, ...]:
    """The value with one open one after the other at each of its ends, others at their default."""
    if isinstance(value, OpenValue):
        return tuple(value.ends())  # type: ignore[attr-defined]
    if not isinstance(value, (list, tuple)):
        return (value,)
    usual = [default_of(item) for item in value]
    found = []
    for place, item in enumerate(value):
        for end in ends_of(item):
            changed = [*usual[:place], end, *usual[place + 1 :]]
            found.append(tuple(one for one in changed if one is not OFF))
    return tuple(found) or ((),)
