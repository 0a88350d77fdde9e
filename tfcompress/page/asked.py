"""The section on what was asked: the rules of a spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfcompress.page.document import Section
from tfcompress.page.table import Column, Table
from tfcompress.page.view import Outcome, Paragraph
from tfcompress.spec import Spec


def asked(report: Mapping[str, Any], done: Spec | None) -> Section:
    """What was asked, a row for each rule.

    Args:
        report: has the rules that `apply` was given, where they were noted.
        done: otherwise, the spec that was read off the model; None: there was nothing to read.
    """
    noted: Sequence[Mapping[str, Any]] = report.get("asked", [])
    rules = noted or ([] if done is None else done.in_words())
    if not rules:
        text = "Nothing was asked: the file holds the model as it was trained."
        return Section("asked", "What was asked", Paragraph(text))
    columns = (Column("layers", wide=True), Column("techniques", wide=True))
    rows = tuple((rule["layers"], Outcome(done=tuple(rule["techniques"]))) for rule in rules)
    caption = "Rules as they were asked" if noted else "Rules, as they are read off the model"
    return Section("asked", "What was asked", Table(caption, columns, rows))
