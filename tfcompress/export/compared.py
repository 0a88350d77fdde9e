"""Two files side by side: what each costs, how fast each is in one run, how far outputs agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.export import sizes
from tfcompress.export.calls import Calls, made_calls, read_calls, same_inputs
from tfcompress.export.deviation import deviation
from tfcompress.export.runtime import LiteModel, compare_latency


@dataclass(frozen=True)
class FileCost:
    """What a file costs.

    Attributes:
        file: its path.
        sizes: bytes by kind, see `report.json`.
        parameters: floating-point and quantized constants, each buffer once.
        multiply_adds: of one call, for each signature.
    """

    file: str
    sizes: dict[str, int]
    parameters: int
    multiply_adds: dict[str, int]


@dataclass(frozen=True)
class Compared:
    """A signature that both files have.

    Attributes:
        signature: its name.
        calls: on how many inputs it was called; 0: on none.
        inputs: what these were.
        latency_us: median microseconds of a call, of both files taking turns.
        deviation: for each output how far the second file's is from the first's: for floats the
            norm of the difference over the norm of the first's, for integers the share of entries
            along the last axis that are not among the first's.
    """

    signature: str
    calls: int
    inputs: str
    latency_us: tuple[float, float] | None
    deviation: dict[str, float]


@dataclass(frozen=True)
class FileComparison:
    """Two files side by side.

    Attributes:
        files: what each costs.
        signatures: those that both have.
        apart: signatures that only one has.
        threads: how many threads LiteRT had.
        rounds: how many rounds were timed.
    """

    files: tuple[FileCost, FileCost]
    signatures: tuple[Compared, ...]
    apart: tuple[str, ...]
    threads: int
    rounds: int


def compare_files(
    first: str | Path,
    second: str | Path,
    inputs: str | Path | None = None,
    rounds: int = 30,
    threads: int = 1,
) -> FileComparison:
    """Compares two TFLite files: bytes, parameters, multiply-adds, latency, and outputs.

    Args:
        first: a file, against which the second is held.
        second: another file.
        inputs: an .npz file with, for each input, an array `[calls, *shape]`; by default inputs are
            made up: floats that are standard normal, and ids that both files take.
        rounds: of timing; 0 measures no times.
        threads: how many threads LiteRT may use.

    Raises:
        ExportError: a file is none or does not run; or the inputs are not the files'.

    Example:
        >>> import tempfile, tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(4,))])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = tfc.export(model, folder + "/m").model
        ...     found = tfc.compare_files(file, file, rounds=1)
        >>> found.files[0].parameters, found.signatures[0].deviation
        (32, {'output': 0.0})
    """
    if rounds < 0:
        raise ExportError(f"rounds is {rounds}, expected at least 0.")
    paths = (Path(first), Path(second))
    costs = (cost_of(paths[0]), cost_of(paths[1]))
    models = [LiteModel(path, threads) for path in paths]
    names = [model.signatures for model in models]
    both = [name for name in names[0] if name in names[1]]
    given = None if inputs is None else Path(inputs)
    found = tuple(_compared(models, name, given, rounds, threads) for name in both)
    apart = tuple(sorted(set(names[0]) ^ set(names[1])))
    return FileComparison(costs, found, apart, threads, rounds)


def cost_of(path: Path) -> FileCost:
    """What a file costs.

    Raises:
        ExportError: there is none, or it is no TFLite file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror}); expected a file.") from error
    counts = sizes.byte_counts(content, str(path))
    return FileCost(str(path), counts, sizes.parameters(content), sizes.multiply_adds(content))


def _compared(
    models: Sequence[LiteModel], name: str, given: Path | None, rounds: int, threads: int
) -> Compared:
    alike = same_inputs(models, name)
    if given is not None:
        calls = [read_calls(given, model.inputs(name)) for model in models]
        said = given.name
    elif alike:
        made, limit = made_calls(models, name)
        calls, said = [made, made], f"made up, ids below {limit:,}"
    else:
        calls = [made_calls([model], name)[0] for model in models]
        said = "made up; the files take other inputs, so that outputs were not compared"
    latency = _latency(models, name, calls, rounds, threads) if rounds else None
    apart = _deviations(models, name, calls) if alike or given is not None else {}
    return Compared(name, len(calls[0]), said, latency, apart)


def _latency(
    models: Sequence[LiteModel], name: str, calls: Sequence[Calls], rounds: int, threads: int
) -> tuple[float, float]:
    files = {str(number): model.path for number, model in enumerate(models)}
    each = {str(number): some for number, some in enumerate(calls)}
    found = compare_latency(files, name, each, rounds, threads)
    return found["0"], found["1"]


def _deviations(models: Sequence[LiteModel], name: str, calls: Sequence[Calls]) -> dict[str, float]:
    apart: dict[str, list[float]] = {}
    for inputs in zip(*calls, strict=True):
        first, second = (m.run(name, i) for m, i in zip(models, inputs, strict=True))
        for output in (name for name in first if name in second):
            apart.setdefault(output, []).append(deviation(second[output], first[output]))
    return {output: float(np.mean(several)) for output, several in apart.items()}
