"""The commands: each takes what stands on the command line, and returns what to print."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tfcompress as tfc
from tfcompress import applied
from tfcompress.export.compared_text import comparison_text
from tfcompress.export.costs import costs_text
from tfcompress.export.export import MODEL
from tfcompress.page import measured_page, search_page, write_page
from tfcompress.search.journal import NAME as SEARCH
from tfcompress.surgery import walk
from tfcompress.whole import write_whole
from tfcompress_cli.models import load_model, notes_beside, read_spec, save_model


def plan(model: str, modules: Sequence[str], spec: str, json: bool) -> str:
    """What a spec does to each layer."""
    asked = read_spec(spec)
    found = tfc.plan(load_model(model, modules), asked)
    return _json(found.to_data()) if json else str(found)


def apply(model: str, modules: Sequence[str], spec: str, out: str, force: bool) -> str:
    """The model with the layers that a spec asks for, and notes on it."""
    asked = read_spec(spec)
    if not isinstance(asked, tfc.Spec):
        raise tfc.SpecError(
            f"{spec} leaves values open; expected a spec without. tfcompress plan shows what they "
            "come to."
        )
    student = tfc.apply(load_model(model, modules), asked)
    save_model(student, Path(out), force)
    applied.write_notes(student, notes_beside(out))
    return f"Wrote {out} and {notes_beside(out)}."


def export(
    model: str, modules: Sequence[str], folder: str, notes: str | None, tolerance: float | None
) -> str:
    """A verified file with its report."""
    loaded = load_model(model, modules)
    path = Path(notes) if notes else notes_beside(model)
    if notes or path.exists():
        applied.attach(loaded, path, {held.path for held in walk(loaded)})
    return str(tfc.export(loaded, folder, tolerance=tolerance))


def inspect(file: str, signature: str | None, repeats: int, threads: int, json: bool) -> str:
    """Where the bytes and microseconds of a file go."""
    found = tfc.inspect_file(_file(file), signature, repeats, threads)
    return _json(asdict(found)) if json else costs_text(found)


def report(folder: str, repeats: int, threads: int) -> str:
    """The page of an exported folder, or of a search."""
    place = Path(folder)
    if (place / SEARCH).exists():
        page = search_page(tfc.SearchResult.read(place).page_data(), place.resolve().name)
        return f"Wrote {write_whole(place / 'report.html', page)}."
    if repeats:
        found = tfc.inspect_file(place / MODEL, repeats=repeats, threads=threads)
        return f"Wrote {measured_page(place, asdict(found))}."
    return f"Wrote {write_page(place)}."


def compare(
    first: str, second: str, inputs: str | None, rounds: int, threads: int, json: bool
) -> str:
    """Two files side by side."""
    found = tfc.compare_files(_file(first), _file(second), inputs, rounds, threads)
    return _json(asdict(found)) if json else comparison_text(found)


def _file(path: str) -> Path:
    return Path(path) / MODEL if Path(path).is_dir() else Path(path)


def _json(data: Any) -> str:
    return json_format.dumps(data, indent=2)
