"""A page: its head, its list of sections, and the sections one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfcompress.page.view import View, written


@dataclass(frozen=True)
class Section(View):
    """A part of a page with a heading.

    Attributes:
        key: its address in the page.
        title: its heading.
        content: what is in it.
    """

    key: str
    title: str
    content: View


def document(title: str, lead: View | None, sections: Sequence[Section | None]) -> str:
    """The text of a page that needs nothing besides.

    Args:
        title: its first heading.
        lead: what stands in front of all sections.
        sections: in their order; there is none where there is nothing to say.
    """
    present = [one for one in sections if one is not None]
    return written("page", title=title, lead=lead, sections=present)
