"""Any plain data as a list of facts and tables, for what has no section of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfcompress.page.numbers import number, worded
from tfcompress.page.table import Column, Table
from tfcompress.page.view import Details, Group

_ROWS = 200  # of a table


def facts(data: Mapping[str, Any], caption: str) -> Group:
    """A table of what is named, and one for each list of rows in it, folded up.

    Args:
        data: JSON data.
        caption: of the first table.
    """
    single: list[tuple[str, str]] = []
    lists: list[Details] = []
    _sort(data, "", single, lists)
    columns = (Column("what"), Column("value", wide=True))
    first = Table(caption, columns, tuple(single)) if single else None
    return Group((first, *lists))


def _sort(
    data: Mapping[str, Any], above: str, single: list[tuple[str, str]], lists: list[Details]
) -> None:
    for key, value in data.items():
        name = f"{above}{worded(key)}"
        if isinstance(value, Mapping) and _is_flat(value):
            _sort(value, f"{name}: ", single, lists)
        elif isinstance(value, Mapping):
            lists.append(Details(name, facts(value, name)))
        elif _are_rows(value):
            lists.append(Details(name, table_of(value, f"{name}, {len(value)} rows")))
        elif isinstance(value, (list, tuple)):
            single.append((name, ", ".join(map(number, value))))
        else:
            single.append((name, number(value)))


def _is_flat(value: Mapping[str, Any]) -> bool:
    return not any(isinstance(one, Mapping) or _are_rows(one) for one in value.values())


def _are_rows(value: Any) -> bool:
    listed = isinstance(value, (list, tuple)) and bool(value)
    return listed and all(isinstance(row, Mapping) for row in value)


def table_of(rows: Sequence[Mapping[str, Any]], caption: str) -> Table:
    """Rows that are alike as a table; of very many the first."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = (Column(worded(name), _is_number([row.get(name) for row in rows])) for name in names)
    cells = (tuple(number(row.get(name)) for name in names) for row in rows[:_ROWS])
    return Table(caption, tuple(columns), tuple(cells))


def _is_number(values: Sequence[Any]) -> bool:
    return all(value is None or isinstance(value, (int, float)) for value in values)
