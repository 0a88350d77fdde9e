"""The section on what was checked: the file against the Keras model, and which run times run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcompress.page.document import Section
from tfcompress.page.facts import facts, table_of
from tfcompress.page.numbers import number, whole
from tfcompress.page.table import Column, Table, numbers
from tfcompress.page.view import Group

_RUNS = {True: "runs it", False: "does not run it", None: "was not measured for all of it"}


def checks(report: Mapping[str, Any]) -> Section:
    """Agreement with the Keras model, edges, run times, and with which versions it was made."""
    sparse = report.get("sparse_kernels")
    parts = (
        _agreement(report),
        _edges(report),
        _runtimes(report),
        _lookups(report),
        facts(sparse, "Sparse kernels") if sparse else None,
        facts(report["versions"], "Made with"),
    )
    return Section("checks", "What was checked", Group(parts))


def _agreement(report: Mapping[str, Any]) -> Table:
    columns = (Column("output"), *numbers("deviation", "calls"))
    rows = tuple(
        (f"{one['signature']}.{one['output']}", f"{one['deviation']:.5f}", whole(one["calls"]))
        for one in report["verification"]
    )
    return Table("Outputs of the file against the Keras model's", columns, rows)


def _edges(report: Mapping[str, Any]) -> Table | None:
    found = report.get("edges")
    if not found:
        return None
    columns = (Column("call", wide=True), Column("signature"), *numbers("deviation"),
               Column("why it was not compared", wide=True))  # fmt: skip
    rows = tuple(
        (e["call"], e["signature"], number(e.get("deviation")), number(e["reason"])) for e in found
    )
    return Table("Calls at the edges of what is allowed", columns, rows)


def _runtimes(report: Mapping[str, Any]) -> Table | None:
    found = report.get("runtimes")
    if not found:
        return None
    columns = (Column("run time"), Column("whether"), Column("what stands in its way", wide=True))
    rows = tuple((name, _RUNS[one["runs"]], _why(one)) for name, one in found.items())
    return Table("Run times", columns, rows)


def _why(one: Mapping[str, Any]) -> str:
    kept = [*one.get("needs_newer", []), *one.get("not_measured", [])]
    return "; ".join(f"{row['operator']} ({row['types']})" for row in kept)


def _lookups(report: Mapping[str, Any]) -> Table | None:
    rows = [
        {"layer": row["layer"], "kind": row["kind"], "ids": row["size"],
         "inputs": ", ".join(row["inputs"]), "any other id counts as": row["default"]}
        for row in report.get("lookups") or ()
    ]  # fmt: skip
    return table_of(rows, "Lookups that the app does") if rows else None
