"""Any plain data as a list of facts and tables, for what has no section of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfcompress.page.markup import Column, Html, Tables, element, join
from tfcompress.page.numbers import number, worded

_ROWS = 200  # of a table


def facts(data: Mapping[str, Any], caption: str, tables: Tables) -> Html:
    """A table of what is named, and one for each list of rows in it, folded up.

    Args:
        data: JSON data.
        caption: of the first table.
        tables: of the page.
    """
    single: list[tuple[str, str]] = []
    lists: list[Html] = []
    _sort(data, "", single, lists, tables)
    columns = (Column("what"), Column("value", wide=True))
    first = tables.table(caption, columns, single) if single else None
    return join([first, *lists])


def _sort(
    data: Mapping[str, Any],
    above: str,
    single: list[tuple[str, str]],
    lists: list[Html],
    tables: Tables,
) -> None:
    for key, value in data.items():
        name = f"{above}{worded(key)}"
        if isinstance(value, Mapping) and _is_flat(value):
            _sort(value, f"{name}: ", single, lists, tables)
        elif isinstance(value, Mapping):
            lists.append(element("details", element("summary", name), facts(value, name, tables)))
        elif _are_rows(value):
            shown = table_of(value, f"{name}, {len(value)} rows", tables)
            lists.append(element("details", element("summary", name), shown))
        elif isinstance(value, (list, tuple)):
            single.append((name, ", ".join(map(number, value))))
        else:
            single.append((name, number(value)))


def _is_flat(value: Mapping[str, Any]) -> bool:
    return not any(isinstance(one, Mapping) or _are_rows(one) for one in value.values())


def _are_rows(value: Any) -> bool:
    listed = isinstance(value, (list, tuple)) and bool(value)
    return listed and all(isinstance(row, Mapping) for row in value)


def table_of(rows: Sequence[Mapping[str, Any]], caption: str, tables: Tables) -> Html:
    """Rows that are alike as a table; of very many the first."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [Column(worded(name), _is_number([row.get(name) for row in rows])) for name in names]
    cells = ([number(row.get(name)) for name in names] for row in rows[:_ROWS])
    return tables.table(caption, columns, cells)


def _is_number(values: Sequence[Any]) -> bool:
    return all(value is None or isinstance(value, (int, float)) for value in values)
