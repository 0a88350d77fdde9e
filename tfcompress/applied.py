"""What `apply` did to a model, noted for its report: rows of the plan, and how weights were spread.

A compressed layer no longer knows what it was made of, nor a plain one why it was left. The notes
are kept beside the models, never in them, and go with a model; one that was loaded from disk has
none until `attach` gives it some, and its report then says less.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from tfcompress.errors import SpecError
from tfcompress.layers.spread import weight_histograms
from tfcompress.plan import LayerPlan, Plan
from tfcompress.spec import Spec
from tfcompress.value import brief, parsed
from tfcompress.whole import write_whole

Rows = dict[str, dict[str, Any]]
VERSION = 1


@dataclass(frozen=True)
class Notes:
    """What was done to a model.

    Attributes:
        asked: the rules that `apply` was given, see `Spec.in_words`.
        layers: for each layer, by path, a row: what was `done`, what was `skipped` and why, other
            `notes`, `bytes_before`, `multiply_adds_before`, and `histograms` of weights before.
    """

    asked: tuple[dict[str, Any], ...]
    layers: Rows

    def then(self, later: Notes) -> Notes:
        """These notes with those on what was done after it."""
        rows = {path: _after(self.layers.get(path), row) for path, row in later.layers.items()}
        return Notes(self.asked + later.asked, rows)


_NOTES: WeakKeyDictionary[Any, Notes] = WeakKeyDictionary()


def notes_on(spec: Spec, planned: Plan) -> Notes:
    """What a plan does to each layer, before it is done."""
    return Notes(tuple(spec.in_words()), {layer.path: _row(layer) for layer in planned.layers})


def _row(layer: LayerPlan) -> dict[str, Any]:
    return {
        "done": [brief(step) for step in layer.steps],
        "skipped": list(layer.skipped),
        "notes": list(layer.notes),
        "bytes_before": layer.before.bytes,
        "multiply_adds_before": layer.before.multiply_adds,
        "histograms": weight_histograms(layer.before.layer) if layer.steps else {},
    }


def _after(earlier: dict[str, Any] | None, row: dict[str, Any]) -> dict[str, Any]:
    if earlier is None or not earlier["done"]:
        return row
    skipped = row["skipped"] if row["done"] else earlier["skipped"]
    return {
        **earlier,
        "done": earlier["done"] + row["done"],
        "skipped": skipped,
        "notes": list(dict.fromkeys(earlier["notes"] + row["notes"])),
    }


def note(model: Any, notes: Notes, source: Any) -> Any:
    """Notes what was done to `source`, which became `model`, after what had been done to it."""
    earlier = notes_of(source)
    _NOTES[model] = notes if earlier is None else earlier.then(notes)
    return model


def notes_of(model: Any) -> Notes | None:
    """What is noted of a model; None: nothing is."""
    return _NOTES.get(model)


def hand_on(model: Any, new: Any) -> Any:
    """`new`, a copy of `model`, with what is noted of it."""
    notes = notes_of(model)
    if notes is not None:
        _NOTES[new] = notes
    return new


def write_notes(model: Any, path: Path) -> None:
    """Writes what is noted of a model beside it, for the process that will export it."""
    notes = notes_of(model) or Notes((), {})
    write_whole(path, json.dumps({"version": VERSION, **asdict(notes)}) + "\n")


def attach(model: Any, path: Path, paths: set[str]) -> Any:
    """`model`, which was loaded, with the notes in a file that `write_notes` wrote.

    Args:
        model: as it was loaded, trained since or not.
        path: the file.
        paths: the model's layers.

    Raises:
        SpecError: the file is none of these, or its layers are not the model's.
    """
    found = parsed(path.read_text(encoding="utf-8"), "notes of tfcompress apply", VERSION)
    notes = Notes(tuple(found.get("asked", ())), found.get("layers", {}))
    strange = sorted(set(notes.layers) - paths)
    if strange:
        raise SpecError(
            f"{path} is about a layer {strange[0]!r} that the model does not have; expected notes "
            f"on some of {sorted(paths)}. Name the notes that were written beside this model."
        )
    _NOTES[model] = notes
    return model
