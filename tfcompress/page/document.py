"""A page: its head, its list of sections, and the sections one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from string import Template

from tfcompress.page.markup import Html, element, join


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        key: its address in the page.
        title: its heading.
        content: what is in it.
    """

    key: str
    title: str
    content: Html

    def __str__(self) -> str:
        heading = element("h2", self.title, id=f"{self.key}-title")
        labelled = {"id": self.key, "aria_labelledby": f"{self.key}-title"}
        return element("section", heading, self.content, **labelled)


def document(title: str, lead: Html, sections: Sequence[Section | None]) -> str:
    """The text of a page that needs nothing besides.

    Args:
        title: its first heading.
        lead: what stands in front of all sections.
        sections: in their order; there is none where there is nothing to say.
    """
    present = [one for one in sections if one is not None]
    links = (element("li", element("a", one.title, href=f"#{one.key}")) for one in present)
    return Template(_file("page.html")).substitute(
        title=escape(title),
        style=_file("style.css"),
        lead=lead,
        contents=join(links),
        sections=join(Html(str(one)) for one in present),
    )


@cache
def _file(name: str) -> str:
    return (resources.files("tfcompress.page") / name).read_text(encoding="utf-8")
