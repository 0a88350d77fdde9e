"""A graph of any number of rows, from graphs of a few.

A model converted with small tables, and again with one of them a little taller, gives two graphs
that differ where the number of rows is seen: in shapes, in constants that are shapes, in fields of
operators. Each such number is a linear function of the rows, which two points determine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.export import flatbuffer

_TYPES = {
    flatbuffer.schema.TensorType.INT32: np.int32,
    flatbuffer.schema.TensorType.INT64: np.int64,
}
_MOST = 2**31 - 1


@dataclass(frozen=True)
class Other:
    """A graph with one table taller than in the first.

    Attributes:
        model: its `ModelT`.
        taller: by how many rows.
        missing: how many rows the table has beyond those of the first graph.
    """

    model: Any
    taller: int
    missing: int


def extrapolate(first: Any, others: Sequence[Other]) -> None:
    """Changes a `ModelT` to what it would be with tables of all rows.

    Weights that differ from graph to graph are to be taken out of the buffers before.

    Raises:
        ExportError: a part of the graph grows with a table in another way, or past 32 bits.
    """
    buffers = [model.buffers for model in (first, *(o.model for o in others))]
    for model in (first, *(o.model for o in others)):
        model.buffers = _readable(model)
    for name, value in vars(first).items():
        setattr(first, name, _at(name, value, [getattr(o.model, name) for o in others], others))
    values, first.buffers = first.buffers, buffers[0]
    for buffer, value in zip(first.buffers, values, strict=True):
        buffer.data = None if value is None else value.view(np.uint8)


def _readable(model: Any) -> list[Any]:
    """The content of every buffer as the numbers that its tensors say it holds."""
    kinds = {t.buffer: _TYPES.get(t.type) for graph in model.subgraphs for t in graph.tensors}
    content = []
    for place, buffer in enumerate(model.buffers):
        data = buffer.data
        if data is not None:
            data = np.ascontiguousarray(data, dtype=np.uint8)
            kind = kinds.get(place)
            data = data if kind is None else data.view(kind)
        content.append(data)
    return content


def _at(path: str, value: Any, seen: Sequence[Any], others: Sequence[Other]) -> Any:
    """A value of the first graph, as it is with all rows; `seen`: the same in the others."""
    if any(type(one) is not type(value) for one in seen):
        raise _error(path, value, seen)
    if isinstance(value, np.ndarray):
        return _array_at(path, value, seen, others)
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return _number_at(path, int(value), seen, others)
    if isinstance(value, list):
        if any(len(one) != len(value) for one in seen):
            raise _error(path, value, seen)
        return [
            _at(f"{path}[{i}]", item, [one[i] for one in seen], others)
            for i, item in enumerate(value)
        ]
    if type(value).__module__ == flatbuffer.schema.__name__:
        for name, item in vars(value).items():
            parts = [getattr(one, name) for one in seen]
            setattr(value, name, _at(f"{path}.{name}", item, parts, others))
    elif any(one != value for one in seen):
        raise _error(path, value, seen)
    return value


def _array_at(path: str, value: Any, seen: Sequence[Any], others: Sequence[Other]) -> Any:
    if any(one.shape != value.shape for one in seen):
        raise _error(path, value.shape, [one.shape for one in seen])
    differ = np.any([one != value for one in seen], axis=0) if seen else np.zeros(0, bool)
    if not differ.any():
        return value
    if value.dtype not in (np.int32, np.int64):
        raise _error(path, value[differ], [one[differ] for one in seen])
    result = value.copy()
    for place in zip(*np.nonzero(differ), strict=True):
        there = [int(one[place]) for one in seen]
        result[place] = _number_at(path, int(value[place]), there, others)
    return result


def _number_at(path: str, value: int, seen: Sequence[int], others: Sequence[Other]) -> int:
    total = Fraction(int(value))
    for other, number in zip(others, seen, strict=True):
        total += Fraction(int(number) - int(value), other.taller) * other.missing
    if total.denominator != 1:
        raise _error(path, value, seen)
    if total > _MOST and int(value) != total:
        raise ExportError(
            f"The graph counts to {int(total):,} at {path} with all rows of its tables; LiteRT "
            f"counts in 32 bits, to {_MOST:,}. Split the table, or score a part of it."
        )
    return int(total)


def _error(path: str, value: Any, seen: Sequence[Any]) -> ExportError:
    return ExportError(
        f"The graph depends on the number of rows of a mapped table in a way that cannot be "
        f"carried over to all of them: {path} is {_short(value)} with few rows and "
        f"{' or '.join(_short(one) for one in seen)} with some more. Expected the table to be "
        "looked up and scored, and no other constant that has an entry for each row (a bias of "
        "items, a mask, a range): put a bias into a column of the table."
    )


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) < 60 else f"{text[:57]}..."
