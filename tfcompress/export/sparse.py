"""Sparse kernels in the file, where they win.

The converter can write kernels with their indices instead of their zeros. LiteRT multiplies with
some of them as they are (FULLY_CONNECTED, pruned in blocks of 4 or 16 inputs) and fills the others
up when it loads them (DENSIFY). Which file is better is found out by running both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfcompress.errors import ExportError
from tfcompress.export.runtime import compare_latency
from tfcompress.export.sizes import operators
from tfcompress.layers import Compressed
from tfcompress.surgery import walk
from tfcompress.techniques.modes import sparse_rows

Report = dict[str, Any]
Check = Callable[[Path], object]
Calls = Mapping[str, Sequence[Mapping[str, Any]]]
SLOWER = 1.1  # by how much a smaller file may be slower: what a measurement strays by
_CALLS, _ROUNDS = 3, 15


def has_zeros(model: Any) -> bool:
    """Whether a weight of the model is masked."""
    return any(
        _sparse(transform)
        for held in walk(model)
        if isinstance(held.layer, Compressed)
        for chain in held.layer.transforms.values()
        for transform in chain
    )


def _sparse(transform: Any) -> bool:
    return hasattr(transform, "settled")


def chosen(
    dense: bytes, write: Callable[[], bytes], check: Check, calls: Calls
) -> tuple[bytes, Report]:
    """The better one of two files of the same model, and why.

    Args:
        dense: the file with its zeros.
        write: makes the one with sparse kernels.
        check: loads, runs and compares a file; raises an ExportError.
        calls: for each signature the inputs of some calls.

    Returns:
        The file to ship, and for the report: whether it holds sparse kernels, the reason, bytes and
        median times of both.
    """
    try:
        sparse = write()
    except ExportError as error:
        return dense, _left(f"it does not convert: {error}")
    if len(sparse) >= len(dense):
        return dense, _left("its indices take more than the zeros do", dense, sparse)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.tflite" for name in ("dense", "sparse")}
        files["dense"].write_bytes(dense)
        files["sparse"].write_bytes(sparse)
        try:
            check(files["sparse"])
        except ExportError as error:
            return dense, _left(f"the sparse file is no good: {error}", dense, sparse)
        taken = {name: _time(files, name, some[:_CALLS]) for name, some in calls.items()}
    return _decided(dense, sparse, taken)


def _time(
    files: Mapping[str, Path], signature: str, calls: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    return compare_latency(files, signature, dict.fromkeys(files, calls), rounds=_ROUNDS)


def _decided(
    dense: bytes, sparse: bytes, taken: Mapping[str, Mapping[str, float]]
) -> tuple[bytes, Report]:
    total = {
        name: round(sum(one[name] for one in taken.values()), 1) for name in ("dense", "sparse")
    }
    measured = {"bytes": {"dense": len(dense), "sparse": len(sparse)}, "microseconds": total}
    if total["sparse"] > SLOWER * total["dense"]:
        return dense, {"used": False, "reason": "the sparse file is slower", **measured}
    faster = total["sparse"] * SLOWER < total["dense"]
    densified = operators(sparse).get("DENSIFY", 0)
    reason = "smaller and faster" if faster else "smaller and not slower"
    return sparse, {"used": True, "reason": reason, "filled_up": densified, **measured}


def _left(reason: str, dense: bytes = b"", sparse: bytes = b"") -> Report:
    sizes = {"bytes": {"dense": len(dense), "sparse": len(sparse)}} if sparse else {}
    return {"used": False, "reason": reason, **sizes}


STREAMED: Report = {
    "used": False,
    "reason": "the file of a table that stays in its own is not written twice to compare",
}


def in_few_bits() -> Report:
    """What a report says where weights are stored in few bits: why they hold their zeros."""
    ran = [f"{row.operator} in {row.zeros}" for row in sparse_rows(bits=8) if row.runs]
    return {
        "used": False,
        "reason": (
            "weights are stored in few bits, of which no sparse kernels are written; those of 8 "
            f"bits that LiteRT was seen to run: {', '.join(ran) or 'none'}"
        ),
    }
