"""Reading and writing models, specs and notes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tfcompress as tfc
from tfcompress.export.export import MODEL
from tfcompress.keras import keras
from tfcompress.whole import beside


def load_model(path: str, modules: Sequence[str] = ()) -> Any:
    """A model that Keras saved, not compiled.

    Args:
        path: of a file or folder.
        modules: names of modules to import first.

    Raises:
        TfcompressError: a module, or the model, cannot be loaded.
    """
    _import(modules)
    if not Path(path).exists():
        raise tfc.TfcompressError(f"{path} is not there; expected a saved model.")
    if (Path(path) / MODEL).exists():
        raise tfc.TfcompressError(
            f"{path} is an exported folder; expected a model that Keras saved. An exported file is "
            "not trained any further; inspect, report and compare take it."
        )
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise tfc.TfcompressError(
            f"Keras could not load {path}: {error} Name the modules of your own layers and models "
            "with --import."
        ) from error


def _import(modules: Sequence[str]) -> None:
    here = os.getcwd()
    if modules and here not in sys.path:  # as `python -m` has it
        sys.path.insert(0, here)
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise tfc.TfcompressError(f"--import {name} could not be imported: {error}.") from error


def read_spec(path: str) -> tfc.Spec | tfc.Space:
    """A spec, or the space of one with open values.

    Raises:
        SpecError: it is none.
    """
    text = Path(path).read_text(encoding="utf-8")
    found = tfc.Space.from_json(text)
    return found if found.variables else tfc.Spec.from_json(text)


def notes_beside(path: str | Path) -> Path:
    """Where the notes on a saved model are."""
    return Path(f"{os.fspath(path).rstrip(os.sep)}.notes.json")


def save_model(model: Any, out: Path, force: bool) -> None:
    """Writes a model beside its place, then moves it there.

    Raises:
        TfcompressError: the format is another one, or something is there and is to stay.
    """
    if out.suffix != ".keras":
        raise tfc.TfcompressError(
            f"Received {out}; expected a .keras file: from others Keras does not bring compressed "
            "layers back."
        )
    if out.exists() and not force:
        raise tfc.TfcompressError(f"{out} is there already; choose another OUT, or pass --force.")
    with beside(out) as place:
        model.save(place)
