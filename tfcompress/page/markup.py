"""HTML as values: elements that escape what is put into them, and tables made of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count

_EMPTY = {"circle", "line", "path", "rect", "polygon"}


class Html(str):
    """Text that is markup already; any other text is escaped where it is put in."""


def element(name: str, *content: object, **attributes: object) -> Html:
    """An element; what is None, in it or of its attributes, is left out.

    Names of attributes have `_` for `-`, and one behind them where Python has the word.

    Example:
        >>> element("p", "a < b", element("b", 1), class_="note", hidden=None)
        '<p class="note">a &lt; b<b>1</b></p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY and not content:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(content)}</{name}>")


def join(content: Iterable[object]) -> Html:
    """What elements and texts are together."""
    return Html("".join(_written(one) for one in content if one is not None))


def _written(content: object) -> str:
    return content if isinstance(content, Html) else escape(str(content))


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its heading.
        numeric: whether its cells are numbers, which stand under each other by their last digit.
        wide: whether its cells are long texts.
    """

    name: str
    numeric: bool = False
    wide: bool = False

    @property
    def style(self) -> str | None:
        """The class of its cells."""
        return "number" if self.numeric else "wide" if self.wide else None


def numbers(*names: str) -> tuple[Column, ...]:
    """Columns of numbers."""
    return tuple(Column(name, numeric=True) for name in names)


class Tables:
    """Makes the tables of a page, each with an id of its own for the caption.

    Example:
        >>> made = Tables().table("Sizes", (Column("part"), *numbers("bytes")), [("weights", "9")])
        >>> '<th scope="row">weights</th><td class="number">9</td>' in made
        True
    """

    def __init__(self) -> None:
        self._numbers = count(1)

    def table(
        self,
        caption: str,
        columns: Sequence[Column],
        rows: Iterable[Sequence[object]],
        total: Sequence[object] | None = None,
    ) -> Html:
        """A table in a box that it scrolls in; the first cell of a row is the row's heading."""
        key = f"table-{next(self._numbers)}"
        heads = (element("th", one.name, scope="col", class_=one.style) for one in columns)
        body = join(_row(columns, row) for row in rows)
        foot = None if total is None else element("tfoot", _row(columns, total))
        inner = (
            element("caption", caption, id=key),
            element("thead", element("tr", *heads)),
            element("tbody", body),
            foot,
        )
        box = {"role": "region", "aria_labelledby": key, "tabindex": 0}
        return element("div", element("table", *inner), class_="scroll", **box)


def _row(columns: Sequence[Column], cells: Sequence[object]) -> Html:
    first, *rest = cells
    made = (
        element("td", cell, class_=column.style)
        for column, cell in zip(columns[1:], rest, strict=True)
    )
    return element("tr", element("th", first, scope="row"), *made)
