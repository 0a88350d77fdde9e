"""Parts of a page: frozen data, which the template of the same name writes as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


class View:
    """What `templates/NAME.html` writes, NAME being that of the class in small letters.

    A template has the part as `it`. Texts are escaped where they are put in; another part that is
    put in is written by its own template.
    """

    def __html__(self) -> str:
        return written(type(self).__name__.lower(), it=self)


def written(name: str, **values: Any) -> str:
    """What a template makes of values.

    Args:
        name: of the template, without its ending.
        values: what it has, by name; one that is missing is an error.

    Example:
        >>> written("link", it=Link("Sizes & times", "sizes"))
        '<a href="#sizes">Sizes &amp; times</a>'
    """
    return _environment().get_template(f"templates/{name}.html").render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # when a page is drawn

    return Environment(
        loader=PackageLoader("tfcompress.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


Cell = str | View


@dataclass(frozen=True)
class Group(View):
    """Parts one after the other; there is none where one is None."""

    parts: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Paragraph(View):
    """A text; a note is a smaller one."""

    text: str
    note: bool = False


@dataclass(frozen=True)
class Link(View):
    """A link to a section of the page."""

    text: str
    key: str


@dataclass(frozen=True)
class Details(View):
    """What is folded up under a title."""

    title: str
    content: View


@dataclass(frozen=True)
class Preformatted(View):
    """A text whose lines stay as they are."""

    text: str


@dataclass(frozen=True)
class Named(View):
    """A name, and what kind of thing it is."""

    name: str
    kind: str


@dataclass(frozen=True)
class Outcome(View):
    """What was done to a layer, or asked for, and what was not.

    Attributes:
        done: techniques.
        left: why others were not done.
        also: what there is to say besides.
        stored: how its weights are stored.
    """

    done: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
