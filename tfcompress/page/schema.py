"""Reports held against `report.schema.json`, a JSON Schema that other tools read, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from tfcompress.errors import ReportError

Schema = dict[str, Any]
_END = 100  # characters of a message at either end, where it shows a long value


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
    """In what JSON data does not keep to a schema, each with its place as a JSONPath.

    Args:
        value: the data.
        schema: the schema.
        closed: whether an object may only have what it is described to have; by default it may have
            more, as later releases write it.

    Example:
        >>> schema = {"type": "object", "properties": {"bytes": {"type": "integer"}}}
        >>> list(violations({"bytes": "9"}, schema))
        ["$.bytes: '9' is not of type 'integer'"]
        >>> list(violations({"size": 9}, schema, closed=True))
        ["$: Additional properties are not allowed ('size' was unexpected)"]
    """
    validator = _closed() if closed else _open()
    for error in validator(schema).iter_errors(value):
        yield f"{error.json_path}: {_short(error.message)}"


def _open() -> Any:
    from jsonschema import Draft202012Validator  # when a report is read

    return Draft202012Validator


@cache
def _closed() -> Any:
    from jsonschema import validators

    checks = _open().VALIDATORS

    def properties(validator: Any, known: Schema, value: Any, schema: Schema) -> Iterator[Any]:
        yield from checks["properties"](validator, known, value, schema)
        if "additionalProperties" not in schema:
            yield from checks["additionalProperties"](validator, False, value, schema)

    return validators.extend(_open(), {"properties": properties})


def _short(message: str) -> str:
    if len(message) <= 2 * _END:
        return message
    return f"{message[:_END]} ... {message[-_END:]}"
