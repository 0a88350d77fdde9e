"""Imports only go down: the house of docs/design.md, held against the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tfcompress"

FLOORS = {
    0: {"errors", "value", "whole", "where", "spec", "tune", "recipes"},
    1: {"keras", "surgery", "measure", "streaming", "histograms"},
    2: {"layers", "schedules", "distillation", "calibration", "dynamic"},
    3: {"techniques"},
    4: {"plan", "outcomes", "applied", "apply", "export", "report", "page", "sparse"},
    5: {"sensitivity", "search", "auto"},
}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names}
KERAS_ONLY = {"tensorflow", "tf_keras", "keras", "tensorflow_recommenders"}
KERAS_ONLY |= {"tensorflow_model_optimization"}
EXPORT_ONLY = {"ai_edge_litert", "litert_quantizer", "flatbuffers"}
FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """`layers` for tfcompress/layers/mask.py, `plan` for tfcompress/plan.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path, at_run_time: bool = True) -> set[str]:
    """Full names of what a file imports, TYPE_CHECKING blocks aside."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if at_run_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write the whole name"
            found.update({f"{node.module}.{alias.name}" for alias in node.names})
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def relative(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_only_go_down(path):
    part = part_of(path)
    if part in ("__init__", "__main__"):
        return  # the front doors, which show every floor
    assert part in FLOOR_OF, f"{part} stands on no floor; add it to the table in docs/design.md"
    for name in imported(path):
        if name.split(".")[0] == "tfcompress":
            below = name.split(".")[1]
            if part in ("plan", "outcomes") and below == "report":
                continue  # both on floor 4
            assert FLOOR_OF[below] <= FLOOR_OF[part], f"{relative(path)} imports {name}"


def test_the_ground_floor_has_no_tensorflow():
    for path in FILES:
        if FLOOR_OF.get(part_of(path)) == 0:
            used = roots(path) - {"tfcompress"}
            assert used <= sys.stdlib_module_names, relative(path)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_only_keras_py_imports_tensorflow_and_its_family(path):
    if part_of(path) != "keras":
        assert not roots(path) & KERAS_ONLY


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_only_the_export_imports_the_run_time(path):
    if part_of(path) != "export":
        assert not roots(path) & EXPORT_ONLY


def test_nobody_imports_the_experiments():
    for path in FILES:
        assert not roots(path) & {"experiments", "tests", "benchmarks"}


def test_files_stay_small():
    for path in FILES:
        lines = path.read_text().count("\n")
        assert lines <= 300, f"{relative(path)} has {lines} lines; split it"


def test_the_command_line_imports_nothing_before_it_knows_the_command():
    for name in ("__init__.py", "__main__.py"):
        used = imported(ROOT / "tfcompress_cli" / name)
        outside = {one.split(".")[0] for one in used} - {"tfcompress_cli"}
        assert outside <= sys.stdlib_module_names
        assert not any(
            one.startswith("tfcompress_cli.") and one != "tfcompress_cli.main" for one in used
        )


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    env = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"} | environment
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True
    )


def test_tensorflow_imported_first_with_keras_3_is_an_error_that_says_what_to_do():
    done = run("import sys, types; sys.modules['tensorflow'] = types.ModuleType('t'); "
               "import tfcompress")  # fmt: skip
    assert "EnvironmentSetupError" in done.stderr
    assert "Import tfcompress first, or set TF_USE_LEGACY_KERAS=1" in done.stderr


def test_tensorflow_imported_first_with_keras_2_is_fine():
    done = run("import tensorflow; import tfcompress", TF_USE_LEGACY_KERAS="1")
    assert done.returncode == 0, done.stderr
