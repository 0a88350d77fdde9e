"""Which run times a file needs: its operators, held against a table of what others run.

`table.json` is what `python -m tfcompress.export.runtimes.probe PYTHON` wrote: single operators of
exported files, each run by LiteRT and by the older run time of another interpreter.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata, resources
from typing import Any

from tfcompress.export import flatbuffer

TABLE = "table.json"
LITERT = "ai-edge-litert"
_SHARED_BY = {"": "", "tensor": ", one scale", "channel": ", a scale for each channel"}
_SHARED_BY |= {"block": ", a scale for each block"}


@dataclass(frozen=True, order=True)
class Mode:
    """All of an operator that decides which run times know it.

    Attributes:
        operator: e.g. FULLY_CONNECTED.
        version: of the operator, as the file asks for it.
        types: of its inputs and outputs, e.g. `float32, int4 -> float32`.
        scales: what in its weights shares a scale: `tensor`, `channel`, `block`, or nothing where
            no constant has scales.
        sparse: whether weights are stored without their zeros.
    """

    operator: str
    version: int
    types: str
    scales: str = ""
    sparse: bool = False

    def __str__(self) -> str:
        sparse = ", sparse" if self.sparse else ""
        named = f"{self.operator} of version {self.version}"
        return f"{named} ({self.types}{_SHARED_BY[self.scales]}{sparse})"


def mode_of(model: Any, graph: Any, operator: Any) -> Mode:
    """The mode of one operator of a `ModelT`."""
    inputs, outputs = (
        [graph.tensors[i] if i >= 0 else None for i in ends]
        for ends in (operator.inputs, operator.outputs)
    )
    named = [
        ", ".join("none" if t is None else flatbuffer.type_name(t) for t in some)
        for some in (inputs, outputs)
    ]
    held = [t for t in inputs if t is not None and _is_held(model, t)]
    return Mode(
        flatbuffer.operator_name(model, operator),
        int(model.operatorCodes[operator.opcodeIndex].version),
        " -> ".join(named),
        next((found for found in map(_scales, held) if found), ""),
        any(tensor.sparsity is not None for tensor in held),
    )


def _is_held(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _scales(tensor: Any) -> str:
    found = tensor.quantization
    if found is None or (found.scale is None and found.details is None):
        return ""
    if found.details is not None:
        return "block"
    return "tensor" if len(found.scale) == 1 else "channel"


def modes(content: bytes) -> list[Mode]:
    """The modes of all operators of a file, each once."""
    model = flatbuffer.read(content)
    found = {mode_of(model, graph, one) for graph in model.subgraphs for one in graph.operators}
    return sorted(found)


@cache
def measured() -> tuple[str, dict[Mode, dict[str, Any]]]:
    """The older run time with its version, and the table's rows by mode."""
    table = json.loads(resources.files(__package__).joinpath(TABLE).read_text())
    fields = ("operator", "version", "types", "scales", "sparse")
    rows = {Mode(*(row[name] for name in fields)): row for row in table["rows"]}
    return table["runtime"], rows


def runtimes(content: bytes) -> dict[str, dict[str, Any]]:
    """What a report says of the run times of a file that LiteRT runs.

    Returns:
        For LiteRT as it is installed `{"runs": True}`; for the older run time of the table whether
        it runs the file, which is None where no operator stands in its way and some were not
        measured; the operators that need a newer one, each with the reason; and those that were not
        measured.
    """
    older, rows = measured()
    newest = f"{LITERT} {metadata.version(LITERT)}"
    return {newest: {"runs": True}, older: verdict(modes(content), rows)}


def verdict(found: list[Mode], rows: dict[Mode, dict[str, Any]]) -> dict[str, Any]:
    """What the rows of a table say of a file with these modes; see `runtimes`."""
    newer = [one for one in found if one in rows and not rows[one]["runs"]]
    unknown = [one for one in found if one not in rows]
    return {
        "runs": False if newer else None if unknown else True,
        "needs_newer": [{**asdict(one), "reason": rows[one]["reason"]} for one in newer],
        "not_measured": [asdict(one) for one in unknown],
    }


def runtime_lines(found: dict[str, dict[str, Any]]) -> list[str]:
    """What `runtimes` found, a line each.

    Example:
        >>> runtime_lines({"old 1.0": {"runs": True, "needs_newer": [], "not_measured": []}})
        ['old 1.0: runs it']
    """
    says = {True: "runs it", False: "does not run it", None: "was not measured for all of it"}
    lines = []
    for name, one in found.items():
        lines.append(f"{name}: {says[one['runs']]}")
        for key, after in (("needs_newer", "needs a newer one"), ("not_measured", "not measured")):
            for row in one.get(key, []):
                mode = Mode(*(row[n] for n in ("operator", "version", "types", "scales", "sparse")))
                why = f": {row['reason']}" if row.get("reason") else ""
                lines.append(f"  {mode} {after}{why}")
    return lines
