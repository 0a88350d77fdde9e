"""Every example in a docstring runs; everything public has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import tfcompress

MODULES = ["tfcompress"] + [
    module.name
    for module in pkgutil.walk_packages(tfcompress.__path__, "tfcompress.")
    if not module.name.endswith("__main__")
]
PUBLIC = {
    name: thing
    for name, thing in vars(tfcompress).items()
    if not name.startswith("_")
    and (inspect.isclass(thing) or inspect.isfunction(thing))
    and thing.__module__.startswith("tfcompress")
}
# Made by other functions, raised, shown where they are used, abstract, or about a file on disk.
NO_EXAMPLE = {name for name, thing in PUBLIC.items() if name.endswith("Error")} | {
    "Distiller", "Outputs", "Plan", "Rule", "AbsMax", "Deviations", "PerBlock", "PerChannel",
    "Outcomes", "PerTensor", "Exported", "FileComparison", "LiteModel", "compare_latency",
    "EarlyEnd", "Objective", "OracleChoice", "SearchResult", "Work",
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_everything_public_says_what_it_is(name):
    doc = inspect.getdoc(PUBLIC[name]) or ""
    assert doc
    assert not doc.startswith(f"{name}("), "a dataclass's own docstring says nothing"
    if name not in NO_EXAMPLE:
        assert ">>>" in doc, f"{name} has no example"
