"""The sections on layers: what was done to each and why not, and how its weights are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfcompress.page.document import Section
from tfcompress.page.markup import Column, Html, Tables, element, join, numbers
from tfcompress.page.numbers import number, share, whole
from tfcompress.page.pictures import bars, histogram

DRAWN = 40  # layers whose weights are drawn, the largest
_LEGEND = element(
    "ul",
    element("li", element("span", class_="bar before"), "upper bar: before"),
    element("li", element("span", class_="bar after"), "lower bar: after"),
    class_="legend",
    aria_hidden="true",
)


def layers(rows: Sequence[Mapping[str, Any]], tables: Tables) -> Section:
    """A row for each layer: what was done, what was not and why, bytes before and after."""
    largest = max((max(row.get("bytes_before") or 0, row["bytes"]) for row in rows), default=0)
    columns = (
        Column("layer"),
        *numbers("bytes before", "bytes after", "share"),
        Column("picture"),
        Column("what was done, or why not", wide=True),
    )
    body = [_row(row, largest) for row in rows]
    table = tables.table("Layers, in the order of the model", columns, body, _total(rows))
    known = any(row.get("bytes_before") is not None for row in rows)
    return Section("layers", "Layers", join([_LEGEND if known else None, table]))


def _row(row: Mapping[str, Any], largest: int) -> tuple[object, ...]:
    before, after = row.get("bytes_before"), row["bytes"]
    name = join([row["path"], element("span", row["type"], class_="kind")])
    return (
        name,
        whole(before),
        whole(after),
        share(after, before),
        bars(before, after, largest),
        _what(row),
    )


def _what(row: Mapping[str, Any]) -> Html:
    done = [element("span", element("code", one), class_="done") for one in row.get("done", [])]
    left = [element("span", one, class_="left") for one in row.get("skipped", [])]
    also = [element("span", one, class_="also") for one in row.get("notes", [])]
    stored = [element("span", _stored(one), class_="kind") for one in row["weights"]]
    nothing = [] if done or left else [element("span", "nothing", class_="also")]
    return join([*done, *left, *also, *nothing, *stored])


def _stored(weight: Mapping[str, Any]) -> str:
    shape = "x".join(map(str, weight["shape"]))
    zeros = f", {weight['sparsity']:.0%} zeros" if weight["sparsity"] else ""
    return f"{weight['name']} {shape} at {weight['bits']} bits{zeros}"


def _total(rows: Sequence[Mapping[str, Any]]) -> tuple[object, ...]:
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
    note = element("p", said, class_="note")
    return Section("weights", "Weights before and after", join([note, *map(_spreads, kept)]))


def _spreads(row: Mapping[str, Any]) -> Html:
    figures = [
        _figure(found, f"{name}, {when}", when, row["path"])
        for when in ("before", "after")
        for name, found in row["histograms"].get(when, {}).items()
    ]
    return join([element("h3", row["path"]), element("div", *figures, class_="spreads")])


def _figure(found: dict[str, Any], name: str, when: str, path: str) -> Html:
    ends = (element("span", number(found[end])) for end in ("low", "high"))
    zeros = f" ({found['zeros']:.0%} zeros)" if found["zeros"] else ""
    caption = element("figcaption", element("span", *ends, class_="ends"), f"{name}{zeros}")
    return element("figure", histogram(found, f"{path}, {name}", when), caption)
