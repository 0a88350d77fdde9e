"""Reports held against `report.schema.json`, a JSON Schema (draft 2020-12) that other tools read.

Here is as much of JSON Schema as that file uses; a word of it that is not known is an error, so
that none is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import Any

from tfcompress.errors import ReportError

Schema = dict[str, Any]
_ABOUT = {"$schema", "title", "description", "$defs"}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}


@cache
def report_schema() -> Schema:
    """The schema of `report.json`."""
    file = resources.files("tfcompress.page") / "report.schema.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def check_report(report: Any, what: str) -> None:
    """Raises a ReportError with the first thing in which a report does not keep to the schema."""
    found = next(violations(report, report_schema()), None)
    if found is not None:
        raise ReportError(f"{what} is no report of tfcompress: {found}. Export the model anew.")


def violations(value: Any, schema: Schema, closed: bool = False) -> Iterator[str]:
    """In what JSON data does not keep to a schema, each with its place.

    Args:
        value: the data.
        schema: the schema, whose references are into itself.
        closed: whether an object may only have what it is described to have; by default it may have
            more, as later releases write it.

    Example:
        >>> schema = {"type": "object", "properties": {"bytes": {"type": "integer"}}}
        >>> list(violations({"bytes": "9"}, schema))
        ["bytes is '9', expected integer"]
        >>> list(violations({"size": 9}, schema, closed=True))
        ["the whole has 'size', expected one of ['bytes']"]
    """
    return _Check(schema, closed).at(value, schema, "")


class _Check:
    """Goes through data and schema together."""

    def __init__(self, root: Schema, closed: bool) -> None:
        self._root, self._closed = root, closed

    def at(self, value: Any, schema: Schema, place: str) -> Iterator[str]:
        words = {key: content for key, content in schema.items() if key not in _ABOUT}
        if "$ref" in words:
            yield from self.at(value, self._referred(words.pop("$ref")), place)
        if "type" in words:
            named = words.pop("type")
            names = [named] if isinstance(named, str) else named
            if not any(_TYPES[name](value) for name in names):
                yield _wrong(place, value, " or ".join(names))
                return
        if isinstance(value, dict):
            yield from self._members(value, words, place)
        for key, content in words.items():
            yield from self._rule(key, value, content, place)

    def _referred(self, reference: str) -> Schema:
        found = self._root
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        return found

    def _members(self, value: dict[str, Any], words: Schema, place: str) -> Iterator[str]:
        known = words.get("properties", {})
        other = words.get("additionalProperties", not self._closed or not known)
        for name, member in value.items():
            schema = known.get(name, other)
            if isinstance(schema, dict):
                yield from self.at(member, schema, f"{place}.{name}" if place else name)
            elif not schema:
                yield f"{place or 'the whole'} has {name!r}, expected one of {sorted(known)}"

    def _rule(self, key: str, value: Any, content: Any, place: str) -> Iterator[str]:
        if key in ("properties", "additionalProperties"):
            return
        if key == "required":
            for name in content:
                if name not in value:
                    yield f"{place or 'the whole'} has no {name!r}, expected one"
        elif key == "items":
            for number, item in enumerate(value):
                yield from self.at(item, content, f"{place}[{number}]")
        elif key == "anyOf":
            if all(next(self.at(value, one, place), None) for one in content):
                yield _wrong(place, value, " or ".join(str(one) for one in content))
        elif not _LIMITS[key](value, content):
            yield _wrong(place, value, f"{key} {content}")


_LIMITS: dict[str, Callable[[Any, Any], bool]] = {
    "enum": lambda value, allowed: value in allowed,
    "minimum": lambda value, least: value is None or value >= least,
    "maximum": lambda value, most: value is None or value <= most,
    "minItems": lambda value, least: len(value) >= least,
    "maxItems": lambda value, most: len(value) <= most,
}


def _wrong(place: str, value: Any, expected: str) -> str:
    shown = repr(value)
    short = shown if len(shown) < 60 else f"{shown[:57]}..."
    return f"{place or 'the whole'} is {short}, expected {expected}"
