"""Inputs on which two files can be compared: given as arrays, or made up so that both take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.export import flatbuffer
from tfcompress.export.runtime import LiteModel
from tfcompress.export.timing import made_up

Array = np.ndarray[Any, Any]
Calls = list[dict[str, Array]]
CALLS = 8
_LOOKUPS = ("EMBEDDING_LOOKUP", "GATHER")
_FEW = 2  # ids that every table has


def same_inputs(models: Sequence[LiteModel], signature: str) -> bool:
    """Whether a signature takes the same names, shapes and types in all files."""

    def inputs(model: LiteModel) -> dict[str, tuple[list[int], Any]]:
        names = model.inputs(signature)
        return {
            name: (model.input_shape(signature, name), model.input_type(signature, name))
            for name in names
        }

    first, *others = map(inputs, models)
    return all(other == first for other in others)


def made_calls(models: Sequence[LiteModel], signature: str, seed: int = 0) -> tuple[Calls, int]:
    """Calls that all files run, and the number below which their ids are.

    Floats are standard normal, numbers are drawn below the most rows that tables have; where a file
    refuses that, below the next fewer.

    Args:
        models: files, whose signature takes the same.
        signature: what to call.
        seed: of what is drawn.

    Raises:
        ExportError: there is nothing that all of them run.
    """
    limits = sorted({_FEW}.union(*(row_counts(model.path) for model in models)), reverse=True)
    error: ExportError | None = None
    for limit in limits:
        calls = _drawn(models[0], signature, limit, np.random.default_rng(seed))
        try:
            for model in models:
                _try(model.path, signature, calls)
        except ExportError as refused:
            error = refused
        else:
            return calls, limit
    raise ExportError(
        f"No made-up inputs are taken by all files ({error}). Give some: arrays of the inputs' "
        "names in an .npz file, the calls along the first axis."
    )


def _try(path: Path, signature: str, calls: Calls) -> None:
    # An interpreter that refused a call is not asked again.
    model = LiteModel(path)
    for call in calls:
        model.run(signature, call)


def _drawn(model: LiteModel, signature: str, limit: int, rng: np.random.Generator) -> Calls:
    inputs = {
        name: (model.input_shape(signature, name), model.input_type(signature, name))
        for name in model.inputs(signature)
    }
    return [
        {name: made_up(shape, kind, rng, limit) for name, (shape, kind) in inputs.items()}
        for _ in range(CALLS)
    ]


def row_counts(path: Path) -> set[int]:
    """How many rows the tables of a file have that it looks rows up in."""
    model = flatbuffer.read(path.read_bytes())
    found = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            if flatbuffer.operator_name(model, operator) in _LOOKUPS:
                shapes = (graph.tensors[i].shape for i in operator.inputs)
                found |= {int(s[0]) for s in shapes if s is not None and len(s) > 1}
    return {count for count in found if count >= _FEW}


def read_calls(path: Path, names: Sequence[str]) -> Calls:
    """Calls from an .npz file: for each input `[calls, *shape]`.

    Args:
        path: the file.
        names: of the inputs.

    Raises:
        ExportError: it is no such file, lacks an input, or has unequal numbers of calls.
    """
    try:
        with np.load(path) as file:
            arrays: Mapping[str, Array] = {name: file[name] for name in names if name in file}
    except (OSError, ValueError) as error:
        raise ExportError(f"{path} cannot be read ({error}); expected an .npz file.") from error
    missing = sorted(set(names) - set(arrays))
    counts = {len(value) if value.ndim else 0 for value in arrays.values()}
    if missing or len(counts) != 1 or 0 in counts:
        shapes = {name: value.shape for name, value in arrays.items()}
        raise ExportError(
            f"{path} has {shapes}; expected an array for each of {sorted(names)}, with equally "
            "many calls along the first axis."
        )
    return [{name: value[i] for name, value in arrays.items()} for i in range(counts.pop())]
