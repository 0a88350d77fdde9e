"""Finds out what an older run time runs of our files, by running it; writes the table of it.

python -m tfcompress.export.runtimes.probe PYTHON, where PYTHON is an interpreter that has
tflite-runtime (`pip install tflite-runtime==2.14.0 "numpy<2"`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.export import flatbuffer
from tfcompress.export.cut import first_operators, single_operator
from tfcompress.export.runtimes import LITERT, TABLE, Mode, answer, mode_of, modes, verdict
from tfcompress.export.runtimes.corpus import files

OLDER = "tflite-runtime"
_MODULES = {LITERT: "ai_edge_litert", OLDER: "tflite_runtime"}
_TOLERANCE = 0.05
_SAMPLES = 3  # how often an operator of one mode is tried
Answers = dict[str, list[Any] | str]


@dataclass(frozen=True)
class Found:
    """What became of one file: whether the older run time runs it as LiteRT does, or why not."""

    runs: bool
    reason: str = ""
    deviation: float | None = None


def compared(pieces: dict[str, Any], python: str) -> dict[str, Found]:
    """What the older run time does with some files; none is said of those that LiteRT cannot run.

    Args:
        pieces: `ModelT`s by name.
        python: the interpreter that has the older run time.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, model in pieces.items():
            path = folder / f"{key}.tflite"
            path.write_bytes(flatbuffer.pack(model))
            graph = model.subgraphs[0]
            np.savez(path.with_suffix(".npz"), **_inputs([graph.tensors[i] for i in graph.inputs]))
        expected = _answers(folder, sys.executable, _MODULES[LITERT])
        received = _answers(folder, python, _MODULES[OLDER])
    return {
        key: _compare(value, received[key])
        for key, value in expected.items()
        if not isinstance(value, str)
    }


def _inputs(tensors: list[Any]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {str(index): _drawn(tensor, rng) for index, tensor in enumerate(tensors)}


def _drawn(tensor: Any, rng: np.random.Generator) -> Any:
    # Between 0 and 1 every function of floats is defined; ids of 0 and 1 are in every table.
    shape = [max(int(size), 1) for size in (tensor.shape if tensor.shape is not None else [])]
    kind = np.dtype(flatbuffer.type_name(tensor))
    if kind.kind == "f":
        return rng.uniform(0.1, 0.9, size=shape).astype(kind)
    whole = kind in (np.dtype(np.int8), np.dtype(np.int16))
    return rng.integers(-99 if whole else 0, 100 if whole else 2, size=shape).astype(kind)


def _answers(folder: Path, python: str, module: str) -> Answers:
    for old in [*folder.glob("*.out.npz"), *folder.glob("*.error")]:
        old.unlink()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    script = shutil.copy(answer.__file__, folder)  # beside it lie no other modules
    command = [python, script, module, str(folder)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return {path.stem: _read(path) for path in folder.glob("*.tflite")}


def _read(path: Path) -> list[Any] | str:
    error = path.with_suffix(".error")
    if error.exists():
        return " ".join(error.read_text().split())
    with np.load(path.with_suffix(".out.npz")) as found:
        return [found[name] for name in sorted(found, key=int)]


def _compare(expected: list[Any] | str, received: list[Any] | str) -> Found:
    if isinstance(received, str):
        return Found(False, _short(received))
    pairs = list(zip(expected, received, strict=True))
    if any(a.shape != b.shape for a, b in pairs):
        return Found(False, "outputs have another shape")
    far = max((_deviation(a, b) for a, b in pairs), default=0.0)
    if not far <= _TOLERANCE:
        return Found(False, "outputs differ", round(far, 4) if np.isfinite(far) else None)
    return Found(True, "", round(far, 4))


def _short(error: str) -> str:
    """The first thing that it says, without folders, and once where it repeats itself."""
    text = re.sub(r"\S*/", "", error.split("Node number")[0])
    return re.sub(r"(.{8,}?)( \1)+", r"\1", text.strip())[:100].strip(" .")


def _deviation(expected: Any, received: Any) -> float:
    """Norm of the difference as a share of the norm; for integers the share further off than 1."""
    a, b = np.asarray(expected, np.float64), np.asarray(received, np.float64)
    if np.issubdtype(expected.dtype, np.floating):
        if not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return float("inf")
        a, b = np.nan_to_num(a), np.nan_to_num(b)
        return float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(a)), 1e-12)
    return float(np.mean(np.abs(a - b) > 1)) if a.size else 0.0


def pieces_of(contents: Iterable[bytes]) -> Iterator[tuple[Mode, Any]]:
    """Single operators of files, a few of each mode and no two alike."""
    seen: dict[Mode, set[str]] = {}
    for content in contents:
        model = flatbuffer.read(content)
        for number, graph in enumerate(model.subgraphs):
            for place, operator in enumerate(graph.operators):
                mode = mode_of(model, graph, operator)
                shapes = str([_shape(graph, i) for i in [*operator.inputs, *operator.outputs]])
                known = seen.setdefault(mode, set())
                if shapes not in known and len(known) < _SAMPLES:
                    known.add(shapes)
                    yield mode, single_operator(model, number, place)


def _shape(graph: Any, tensor: int) -> list[int]:
    shape = graph.tensors[tensor].shape if tensor >= 0 else None
    return [] if shape is None else list(shape)


def rows(contents: dict[str, bytes], python: str) -> list[dict[str, Any]]:
    """A row for each mode: it runs where all that were tried do."""
    tried = list(pieces_of(contents.values()))
    found = compared({f"{i}": model for i, (_, model) in enumerate(tried)}, python)
    by_mode: dict[Mode, list[Found]] = {}
    for index, (mode, _) in enumerate(tried):
        if f"{index}" in found:
            by_mode.setdefault(mode, []).append(found[f"{index}"])
    worst = {mode: min(some, key=lambda one: one.runs) for mode, some in by_mode.items()}
    return [{**asdict(mode), **asdict(worst[mode])} for mode in sorted(worst)]


def whole_files(
    contents: dict[str, bytes], table: list[dict[str, Any]], python: str
) -> list[dict[str, Any]]:
    """For each file what its operators say of it, and whether the older run time runs it."""
    models = {name: flatbuffer.read(content) for name, content in contents.items()}
    found = compared({n: first_operators(m, 0, 10**9) for n, m in models.items()}, python)
    by_mode = {Mode(*list(row.values())[:5]): row for row in table}
    return [
        {"file": name, "derived": verdict(modes(contents[name]), by_mode)["runs"], **asdict(one)}
        for name, one in sorted(found.items())
    ]


def main(python: str) -> None:
    """Writes the table into the package."""
    asked = "from importlib.metadata import version; print(version('tflite-runtime'))"
    version = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True)
    contents = dict(files())
    found = rows(contents, python)
    table = {
        "runtime": f"{OLDER} {version.stdout.strip()}",
        "against": f"{LITERT} {metadata.version(LITERT)}",
        "rows": found,
        "files": whole_files(contents, found, python),
    }
    lines = {
        name: ",\n".join("  " + json.dumps(row) for row in table[name])
        for name in ("rows", "files")
    }
    head = "".join(f' "{name}": {json.dumps(table[name])},\n' for name in ("runtime", "against"))
    body = ",\n".join(f' "{name}": [\n{text}\n ]' for name, text in lines.items())
    Path(__file__).with_name(TABLE).write_text(f"{{\n{head}{body}\n}}\n")


if __name__ == "__main__":
    main(sys.argv[1])
