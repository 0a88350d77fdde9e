"""The section on what was asked: the rules of a spec."""

from __future__ import annotations

from tfcompress.page.document import Section
from tfcompress.page.markup import Column, Tables, element, join
from tfcompress.spec import Rule, Spec
from tfcompress.value import brief
from tfcompress.where import And, ByName, BySize, ByType, Not, Or, Predicate


def asked(spec: Spec | None, tables: Tables) -> Section:
    """What a spec asks, a row for each rule."""
    if spec is None:
        text = "Nothing was asked: the file holds the model as it was trained, in float32."
        return Section("asked", "What was asked", element("p", text))
    columns = (Column("layers", wide=True), Column("techniques", wide=True))
    rows = [_row(rule) for rule in spec.rules]
    return Section("asked", "What was asked", tables.table("Rules of the spec", columns, rows))


def _row(rule: Rule) -> tuple[object, object]:
    techniques = (
        element("span", element("code", brief(one)), class_="done") for one in rule.techniques
    )
    return worded_where(rule.where), join(techniques)


def worded_where(where: Predicate) -> str:
    """Which layers a predicate chooses, in words.

    Example:
        >>> from tfcompress.where import by_name, by_type
        >>> worded_where(by_type("Dense") & ~by_name("head"))
        'of type Dense, and not (head)'
        >>> worded_where(by_name("a") | by_name("b"))
        'a; b'
    """
    match where:
        case ByName():
            return where.pattern
        case ByType():
            return f"of type {where.type_name}"
        case BySize():
            most = "" if where.maximum is None else f" to {where.maximum:,}"
            return f"of {where.minimum:,}{most or ' or more'} parameters"
        case And():
            return f"{worded_where(where.left)}, and {worded_where(where.right)}"
        case Or():
            return f"{worded_where(where.left)}; {worded_where(where.right)}"
        case Not():
            return f"not ({worded_where(where.inner)})"
    return brief(where)
