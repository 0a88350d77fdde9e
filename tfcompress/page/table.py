"""Tables of a page, each in a box that it scrolls in."""

from __future__ import annotations

from dataclasses import dataclass

from tfcompress.page.view import Cell, View


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


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table(View):
    """A table; the first cell of a row is the row's heading.

    Attributes:
        caption: what it shows, which is the name of its box as well.
        columns: from left to right.
        rows: as many cells each as there are columns.
        total: a last row; None: it has none.

    Raises:
        ValueError: a row has more or fewer cells.

    Example:
        >>> made = Table("Sizes", (Column("part"), *numbers("bytes")), (("weights", "9"),))
        >>> '<th scope="row">weights</th><td class="number">9</td>' in made.__html__()
        True
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    total: Row | None = None

    def __post_init__(self) -> None:
        for row in (*self.rows, *([] if self.total is None else [self.total])):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"A row of {self.caption!r} has {len(row)} cells, expected "
                    f"{len(self.columns)}, one for each column."
                )
