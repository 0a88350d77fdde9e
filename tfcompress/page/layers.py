"""The sections on layers: what was done to each and why not, and how its weights are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfcompress.page.document import Section
from tfcompress.page.numbers import share, whole
from tfcompress.page.pictures import Bars, BarsLegend, Histogram
from tfcompress.page.table import Column, Row, Table, numbers
from tfcompress.page.view import Group, Named, Outcome, Paragraph, View

DRAWN = 40  # layers whose weights are drawn, the largest


@dataclass(frozen=True)
class Spreads(View):
    """How the weights of a layer are spread."""

    path: str
    pictures: tuple[Histogram, ...]


def layers(rows: Sequence[Mapping[str, Any]]) -> Section:
    """A row for each layer: what was done, what was not and why, bytes before and after."""
    largest = max((max(row.get("bytes_before") or 0, row["bytes"]) for row in rows), default=0)
    columns = (
        Column("layer"),
        *numbers("bytes before", "bytes after", "share"),
        Column("picture"),
        Column("what was done, or why not", wide=True),
    )
    body = tuple(_row(row, largest) for row in rows)
    table = Table("Layers, in the order of the model", columns, body, _total(rows))
    known = any(row.get("bytes_before") is not None for row in rows)
    return Section("layers", "Layers", Group((BarsLegend() if known else None, table)))


def _row(row: Mapping[str, Any], largest: int) -> Row:
    before, after = row.get("bytes_before"), row["bytes"]
    return (
        Named(row["path"], row["type"]),
        whole(before),
        whole(after),
        share(after, before),
        Bars(before, after, largest),
        _what(row),
    )


def _what(row: Mapping[str, Any]) -> Outcome:
    done, left = row.get("done", []), row.get("skipped", [])
    also = [*row.get("notes", []), *([] if done or left else ["nothing"])]
    stored = map(_stored, row["weights"])
    return Outcome(tuple(done), tuple(left), tuple(also), tuple(stored))


def _stored(weight: Mapping[str, Any]) -> str:
    shape = "x".join(map(str, weight["shape"]))
    zeros = f", {weight['sparsity']:.0%} zeros" if weight["sparsity"] else ""
    return f"{weight['name']} {shape} at {weight['bits']} bits{zeros}"


def _total(rows: Sequence[Mapping[str, Any]]) -> Row:
    before = bytes_before(rows)
    after = sum(row["bytes"] for row in rows)
    return "all", whole(before), whole(after), share(after, before), "", ""


def bytes_before(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """Of all layers together; None where a report does not say it of each."""
    found = [row.get("bytes_before") for row in rows]
    return None if not found or None in found else sum(one for one in found if one is not None)


def weights(rows: Sequence[Mapping[str, Any]]) -> Section | None:
    """How the weights of the largest layers are spread, before and after."""
    drawn = [row for row in rows if (row.get("histograms") or {}).get("after")]
    if not drawn:
        return None
    chosen = sorted(drawn, key=lambda row: -(row.get("bytes_before") or row["bytes"]))[:DRAWN]
    kept = [row for row in drawn if row in chosen]
    said = "How often weights have which size; each picture spans the range that is under it."
    if len(kept) < len(drawn):
        said += f" Shown are the {DRAWN} largest of {len(drawn)} layers."
    parts = (Paragraph(said, note=True), *map(_spreads, kept))
    return Section("weights", "Weights before and after", Group(parts))


def _spreads(row: Mapping[str, Any]) -> Spreads:
    pictures = (
        Histogram(found, row["path"], f"{name}, {when}", when)
        for when in ("before", "after")
        for name, found in row["histograms"].get(when, {}).items()
    )
    return Spreads(row["path"], tuple(pictures))
