"""Where the bytes and the microseconds of any TFLite file go, operator by operator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from tfcompress.errors import ExportError
from tfcompress.export import flatbuffer
from tfcompress.export.layout import GRAPH, METADATA, SCALES, WEIGHTS, Parts, Place, layout, totals
from tfcompress.export.runtimes import LITERT, runtimes
from tfcompress.export.timing import OperatorTime, time_operators

HOW = (
    "LiteRT's wheel counts no operator's time. The graph was cut behind each operator, the cuts "
    "took turns, and an operator's time is what its cut took more than the one before (medians; ± "
    "is half the distance between the quartiles). XNNPACK may merge neighbours, so that what it "
    "computes (x) is right in sum rather than one by one. Inputs are made up: ids of 0 and 1."
)


@dataclass(frozen=True)
class OperatorCost:
    """What one operator costs.

    Attributes:
        number: its place in its graph.
        operator: e.g. FULLY_CONNECTED.
        inputs: type and shape of each, e.g. `int4[64, 48]`.
        outputs: the same of what it makes.
        weights: bytes of constants that it is the first to use.
        scales: bytes of their scales and zero points.
        graph: bytes of the operator itself and of its tensors.
        shared: bytes of constants and scales that it uses, too, and that stand with another.
        microseconds: its time; None: not measured, or counted with the next operator.
        spread: how far this strays.
        delegated: whether XNNPACK computes it; None: not measured.
    """

    number: int
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: int
    scales: int
    graph: int
    shared: int
    microseconds: float | None = None
    spread: float | None = None
    delegated: bool | None = None


@dataclass(frozen=True)
class GraphCost:
    """What one graph costs.

    Attributes:
        signature: how it is asked for; None: it is part of another, or the file has no signatures.
        graph: its number.
        operators: its operators, in the order in which they run.
        microseconds: of a whole call; None: not measured.
        call: of a call without operators, which is part of it.
    """

    signature: str | None
    graph: int
    operators: tuple[OperatorCost, ...]
    microseconds: float | None = None
    call: float | None = None


@dataclass(frozen=True)
class Inspection:
    """What a file costs, and how that was found out.

    Attributes:
        file: its name.
        bytes: its size.
        parts: bytes of `weights`, `scales`, `graph` and `metadata`, which add up to it.
        graph_parts: bytes of the parts of `graph`.
        elsewhere: bytes of each part that no operator has; with all operators' they are the file.
        graphs: the graphs that were looked at.
        how: how times were measured; None: they were not.
        threads: how many threads LiteRT had.
        repeats: how many rounds were measured.
        runtime: LiteRT and its version.
        older: the older run time that is known, whether it runs the file, and what of it needs a
            newer one, see `runtimes`.

    Example:
        >>> import tempfile, tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(4, input_shape=(2,))])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = tfc.export(model, folder + "/m")
        ...     found = tfc.inspect_file(made.model, repeats=0)
        >>> found.parts["weights"], found.parts["scales"]
        (32, 0)
    """

    file: str
    bytes: int
    parts: Parts
    graph_parts: Parts
    elsewhere: Parts
    graphs: tuple[GraphCost, ...]
    how: str | None
    threads: int
    repeats: int
    runtime: str
    older: dict[str, dict[str, Any]]


def inspect_file(
    path: str | Path, signature: str | None = None, repeats: int = 50, threads: int = 1
) -> Inspection:
    """Where the bytes and the microseconds of a TFLite file go.

    Bytes are counted once: what several operators use is the first one's that runs. Times are those
    of `time_operators`; a file is timed in as many parts as it has operators, so that one of many
    slow operators takes a while.

    Args:
        path: any TFLite file.
        signature: the one to look at and time; None: all of them. Bytes elsewhere are still told.
        repeats: rounds of measuring; 0 measures no times, and then nothing is run.
        threads: how many threads LiteRT may use.

    Raises:
        ExportError: there is no such file, it is no TFLite file, it is cut off, it has no such
            signature, or LiteRT does not run it.

    Example:
        >>> import tempfile, tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(64, input_shape=(32,))])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = tfc.inspect_file(tfc.export(model, folder + "/m").model, repeats=2)
        >>> sum(found.parts.values()) == found.bytes
        True
        >>> [(one.operator, one.weights) for one in found.graphs[0].operators]
        [('FULLY_CONNECTED', 8192)]
    """
    content = _read(Path(path))
    bytes_ = layout(content, str(path))
    model = flatbuffer.read(content)
    names = _names(model, str(path), signature)
    sums = totals(bytes_)
    graphs = tuple(_graph(model, number, name, bytes_) for number, name in names)
    if repeats:
        graphs = tuple(_timed(one, content, repeats, threads) for one in graphs)
    return Inspection(
        file=Path(path).name,
        bytes=len(content),
        parts={name: sums[name] for name in (WEIGHTS, SCALES, "graph", METADATA)},
        graph_parts={name: sums[name] for name in GRAPH},
        elsewhere=bytes_[None],
        graphs=graphs,
        how=HOW if repeats else None,
        threads=threads,
        repeats=repeats,
        runtime=f"{LITERT} {metadata.version(LITERT)}",
        older={name: one for name, one in runtimes(content).items() if LITERT not in name},
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror}); expected a file.") from error


def _names(model: Any, what: str, wanted: str | None) -> list[tuple[int, str | None]]:
    """Graphs to look at with their signatures; those that only others run come last."""
    asked = [(int(s.subgraphIndex), s.signatureKey.decode()) for s in model.signatureDefs or []]
    if wanted is not None:
        found: list[tuple[int, str | None]] = [one for one in asked if one[1] == wanted]
        if not found:
            names = sorted(name for _, name in asked)
            raise ExportError(f"{what} has no signature {wanted!r}; expected one of {names}.")
        return found
    rest = set(range(len(model.subgraphs))) - {graph for graph, _ in asked}
    return [*asked, *((graph, None) for graph in sorted(rest))]


def _graph(model: Any, number: int, name: str | None, bytes_: dict[Place, Parts]) -> GraphCost:
    operators = model.subgraphs[number].operators
    costs = (
        _operator(model, number, place, bytes_.get((number, place), {}))
        for place in range(len(operators))
    )
    return GraphCost(name, number, tuple(costs))


def _operator(model: Any, number: int, place: int, parts: Parts) -> OperatorCost:
    graph = model.subgraphs[number]
    operator = graph.operators[place]
    inputs = [graph.tensors[i] for i in operator.inputs if i >= 0]
    weights, scales = parts.get(WEIGHTS, 0), parts.get(SCALES, 0)
    used = sum(_constant_bytes(model, graph, i) for i in {*map(int, operator.inputs)} - {-1})
    return OperatorCost(
        number=place,
        operator=flatbuffer.operator_name(model, operator),
        inputs=tuple(_described(tensor) for tensor in inputs),
        outputs=tuple(_described(graph.tensors[i]) for i in operator.outputs),
        weights=weights,
        scales=scales,
        graph=sum(parts.get(name, 0) for name in GRAPH),
        shared=max(used - weights - scales, 0),
    )


def _described(tensor: Any) -> str:
    shape = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    sizes = ["?" if size < 0 else str(size) for size in (shape if shape is not None else [])]
    return f"{flatbuffer.type_name(tensor)}[{', '.join(sizes)}]"


def _constant_bytes(model: Any, graph: Any, number: int) -> int:
    tensor = graph.tensors[number]
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data):
        return 0
    count, found = len(data), tensor.quantization
    if found is None:
        return count
    for vector in (found.scale, found.zeroPoint):
        count += 0 if vector is None else vector.nbytes
    scales = getattr(found.details, "scales", 0)
    return count + (_constant_bytes(model, graph, scales) if scales > 0 else 0)


def _timed(cost: GraphCost, content: bytes, repeats: int, threads: int) -> GraphCost:
    if cost.signature is None and cost.graph:
        return cost  # a part of another graph, which is timed with the operator that runs it
    found = time_operators(content, cost.graph, repeats, threads)
    timed = zip(cost.operators, found.operators, strict=True)
    operators = tuple(_with_time(one, taken) for one, taken in timed)
    return replace(cost, operators=operators, microseconds=found.microseconds, call=found.call)


def _with_time(cost: OperatorCost, taken: OperatorTime) -> OperatorCost:
    return replace(
        cost,
        microseconds=taken.microseconds,
        spread=taken.spread,
        delegated=taken.delegated,
    )
