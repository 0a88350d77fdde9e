"""Where the time of a TFLite file goes, operator by operator.

LiteRT's wheel for Python counts no operator's time. So the graph is cut behind each of its
operators, all cuts take turns, and what a cut takes more than the one before is its last
operator's. XNNPACK computes many operators in one go and may merge neighbours (an addition with
the activation behind it): in a cut it merges what is there, and an operator may come out a little
dearer or cheaper than in the whole. All differences add up to what the whole takes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from tfcompress.errors import ExportError
from tfcompress.export import flatbuffer
from tfcompress.export.cut import first_operators

Array = np.ndarray[Any, Any]
_CALLS = 3  # in a turn, behind one that is not counted
_WARM_UP = 2
_DELEGATE = "DELEGATE"


@dataclass(frozen=True)
class OperatorTime:
    """How long one operator takes.

    Attributes:
        microseconds: the difference of two medians; a little below 0 where it takes less than they
            stray by. None: the graph cut behind it does not load, and its time is with the next.
        spread: half the distance between the quartiles of this difference from round to round.
        delegated: whether XNNPACK computes it, in the whole graph.
    """

    microseconds: float | None
    spread: float | None
    delegated: bool


@dataclass(frozen=True)
class GraphTime:
    """How long a graph takes.

    Attributes:
        microseconds: the whole, the median of all rounds.
        call: a call of a graph without operators, which is part of it.
        operators: each operator; with `call` they add up to the whole.
    """

    microseconds: float
    call: float
    operators: tuple[OperatorTime, ...]


def time_operators(content: bytes, graph: int, repeats: int = 50, threads: int = 1) -> GraphTime:
    """Times every operator of a graph.

    Inputs are made up: small ids (0 and 1), standard normal floats; open sizes are 1. Each round
    runs every cut once unmeasured and three times measured, the fastest of which counts.

    Args:
        content: the file's bytes.
        graph: the number of its graph.
        repeats: how many rounds are counted, after two that are not.
        threads: how many threads LiteRT may use.

    Raises:
        ExportError: `repeats` or `threads` are below 1, or LiteRT does not load or run the file.

    Example:
        >>> time_operators(b"", 0, repeats=0)
        Traceback (most recent call last):
        tfcompress.errors.ExportError: repeats is 0, expected at least 1.
    """
    for name, value in (("repeats", repeats), ("threads", threads)):
        if value < 1:
            raise ExportError(f"{name} is {value}, expected at least 1.")
    model = flatbuffer.read(content)
    operators = model.subgraphs[graph].operators
    with _cuts(model, graph, threads) as cuts:
        delegated = _delegated(cuts[len(operators)], operators)
        rounds = _rounds(cuts, repeats)
    medians = {count: float(np.median(taken)) for count, taken in rounds.items()}
    times, before = [], 0
    for count in range(1, len(operators) + 1):
        took = spread = None
        if count in rounds:
            took = medians[count] - medians[before]
            spread = _spread(rounds[count] - rounds[before])
            before = count
        times.append(OperatorTime(took, spread, count - 1 in delegated))
    return GraphTime(medians[len(operators)], medians[0], tuple(times))


@contextmanager
def _cuts(model: Any, graph: int, threads: int) -> Iterator[dict[int, Any]]:
    """Interpreters of the graph's first operators by how many; without those that do not load."""
    count = len(model.subgraphs[graph].operators)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for operators in range(count + 1):
            path = Path(folder) / f"{operators}.tflite"
            path.write_bytes(flatbuffer.pack(first_operators(model, graph, operators)))
            try:
                found[operators] = _ready(path, threads)
            except (ValueError, RuntimeError) as error:
                if operators in (0, count):
                    raise ExportError(
                        f"LiteRT does not run the file: {error}. Expected one whose operators and "
                        "weight formats this LiteRT knows, and that takes ids of 0 and 1."
                    ) from error
        yield found


def _ready(path: Path, threads: int) -> Any:
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for one in interpreter.get_input_details():
        interpreter.set_tensor(one["index"], made_up(one["shape"], one["dtype"], rng))
    interpreter.invoke()
    return interpreter


def made_up(shape: Any, dtype: Any, rng: np.random.Generator, below: int = 2) -> Array:
    """Something to call a file with: standard normal floats, else whole numbers from 0 on.

    Args:
        shape: of the input.
        dtype: NumPy's name of its type; text is `np.bytes_`.
        rng: what draws.
        below: whole numbers are below it, and below what their type holds.
    """
    kind = np.dtype(dtype)
    if kind.kind in "SUO":
        return np.full(tuple(shape), b"0", dtype=object)
    if kind.kind == "f":
        return rng.normal(size=tuple(shape)).astype(kind)
    most = 2 if kind.kind == "b" else min(below, np.iinfo(kind).max)
    return rng.integers(0, most, size=tuple(shape)).astype(kind)


def _rounds(cuts: dict[int, Any], repeats: int) -> dict[int, Array]:
    """Microseconds of each cut in each round `[repeats]`."""
    taken: dict[int, list[float]] = {count: [] for count in cuts}
    for number in range(repeats + _WARM_UP):
        for count, interpreter in cuts.items():
            interpreter.invoke()
            one = min(_timed(interpreter) for _ in range(_CALLS))
            if number >= _WARM_UP:
                taken[count].append(one)
    return {count: np.array(times) * 1e6 for count, times in taken.items()}


def _timed(interpreter: Any) -> float:
    start = time.perf_counter()
    interpreter.invoke()
    return time.perf_counter() - start


def _spread(values: Array) -> float:
    low, high = np.percentile(values, (25, 75))
    return float(high - low) / 2


def _delegated(interpreter: Any, operators: list[Any]) -> set[int]:
    """Operators that XNNPACK took over: what lies between the ends of what it runs."""
    makers = {int(i): place for place, one in enumerate(operators) for i in one.outputs}
    found: set[int] = set()
    for node in interpreter._get_ops_details():
        if node["op_name"] != _DELEGATE:
            continue
        ends = {int(i) for i in node["inputs"]}
        todo = [int(i) for i in node["outputs"]]
        while todo:
            tensor = todo.pop()
            place = makers.get(tensor)
            if place is None or tensor in ends or place in found:
                continue
            found.add(place)
            todo += [int(i) for i in operators[place].inputs]
    return found
