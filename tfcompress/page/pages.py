"""The pages there are: of an exported folder, and of a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcompress.page.asked import asked
from tfcompress.page.checks import checks
from tfcompress.page.cost import file, operators
from tfcompress.page.document import Section, document
from tfcompress.page.facts import facts
from tfcompress.page.front import front
from tfcompress.page.layers import layers, weights
from tfcompress.page.quality import quality
from tfcompress.page.summary import summary
from tfcompress.spec import Spec


def report_page(report: Mapping[str, Any], spec: Spec | None, title: str) -> str:
    """The page of an exported folder.

    Args:
        report: the content of its `report.json`.
        spec: that of its `spec.json`; None: it has none.
        title: what the page is called.

    Returns:
        HTML that needs no other file and no network.
    """
    sections = (
        asked(report, spec),
        layers(report["layers"]),
        quality(report),
        front(report.get("search")),
        file(report),
        operators(report),
        weights(report["layers"]),
        checks(report),
    )
    return document(title, summary(report), sections)


def search_page(found: Mapping[str, Any], title: str) -> str:
    """The page of a search.

    Args:
        found: `points`, see `SearchResult.page_data`; and under any other name what there is to
            say besides.
        title: what the page is called.
    """
    rest = {name: value for name, value in found.items() if name != "points"}
    told = Section("about", "How it was searched", facts(rest, "Settings and results"))
    return document(title, None, (front(found), told if rest else None))
