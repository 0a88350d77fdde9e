"""Sensitivity: each layer, technique and strength alone, without training."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.layers import MeanSquare
from tfcompress.layers.compressed import compressible, raw
from tfcompress.plan import plan
from tfcompress.sensitivity.bench import Bench, Refused, exactly, whole_of
from tfcompress.sensitivity.journal import Journal
from tfcompress.sensitivity.probe import Probe, digest, probe_of
from tfcompress.sensitivity.result import Cell, Sensitivity
from tfcompress.spec import Rule, Spec, Technique
from tfcompress.surgery import walk
from tfcompress.surgery.walk import variables
from tfcompress.techniques import Factorize, Fraction, PerTensor, Prune, Quantize, Shrink
from tfcompress.value import to_data
from tfcompress.where import Predicate

STRENGTHS: tuple[Technique, ...] = (
    Quantize(8),
    Quantize(4),
    Quantize(2),
    Quantize(8, PerTensor()),
    Quantize(4, PerTensor(), MeanSquare()),
    Quantize(2, PerTensor(), MeanSquare()),
    Prune(0.5),
    Prune(0.75),
    Prune(0.9),
    Factorize(Fraction(0.75)),
    Factorize(Fraction(0.5)),
    Factorize(Fraction(0.25)),
    Factorize(Fraction(0.125)),
    Shrink(0.75),
    Shrink(0.5),
)


def sensitivity(
    model: Any,
    data: Probe | Iterable[Any],
    techniques: Sequence[Technique] = STRENGTHS,
    where: Predicate | None = None,
    folder: str | Path | None = None,
    show: bool = True,
) -> Sensitivity:
    """Tries each technique in each layer alone, without training, and sees what it harms and saves.

    As the layer-wise analyses that precede a mixed precision (Dong et al., "HAWQ", 2019, with
    curvatures; here the outputs themselves are compared, after Nagel et al., "A White Paper on
    Neural Network Quantization", 2021, section 3.5). Bytes and multiply-adds are those of `plan`.
    The model is not changed.

    Args:
        model: a built Keras model of any kind.
        data: batches of inputs, or a `Probe` that says how the model is called, how outputs are
            compared, and what its quality is.
        techniques: what to try, each with its strength.
        where: the layers to try; by default all with compressible weights.
        folder: where finished cells are kept; called again with it, only the others are measured.
        show: whether to show how far it is.

    Returns:
        A `Sensitivity`; it prints as tables. Where a technique leaves a layer as it is, the cell
        says why.

    Raises:
        SpecError: no batches, techniques or layers, something that is no technique, or a folder
            with cells of another model or of other data.

    Example:
        >>> import numpy as np, tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(64,), name="head")])
        >>> batch = np.random.default_rng(0).normal(size=(16, 64)).astype(np.float32)
        >>> found = tfc.sensitivity(model, [batch], [tfc.Quantize(8), tfc.Quantize(2)], show=False)
        >>> fine, coarse = found.rows()
        >>> fine["bytes_saved"], coarse["bytes_saved"], fine["harm"] < coarse["harm"]
        (1440, 1824, True)
    """
    probe, tried = probe_of(data), _checked(techniques)
    paths = _paths(model, where)
    journal = Journal(None if folder is None else Path(folder), _identity(model, probe))
    bench = Bench(model, probe)
    before = whole_of(plan(model, neutral(model), probe.calibration), bench.quality())
    asked = [(path, technique) for path in paths for technique in tried]
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not show) as shown:
        bar = shown.add_task("sensitivity", total=len(asked))
        for path, technique in asked:
            shown.update(bar, description=f"{path}: {technique!r}")
            if journal.get(path, technique) is None:
                journal.add(_cell(bench, path, technique))
            shown.advance(bar)
    found = (journal.get(path, technique) for path, technique in asked)
    return Sensitivity(before, tuple(cell for cell in found if cell is not None))


def neutral(model: Any) -> Spec:
    """A spec that leaves the model as it is: its plan says what the model costs.

    Raises:
        SpecError: the model has no layer with compressible weights.
    """
    return Spec([Rule(exactly(_paths(model, None)[0]), (Quantize(32),))])


def _cell(bench: Bench, path: str, technique: Technique) -> Cell:
    start = time.perf_counter()
    try:
        harm, whole = bench.tried(path, technique)
    except Refused as why:
        return Cell(path, technique, None, None, str(why), _since(start))
    return Cell(path, technique, harm, whole, None, _since(start))


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 4)


def _checked(techniques: Sequence[Technique]) -> tuple[Technique, ...]:
    tried = tuple(dict.fromkeys(techniques))
    wrong = [one for one in tried if not isinstance(one, Technique)]
    if wrong or not tried:
        received = repr(wrong[0]) if wrong else "no techniques"
        raise SpecError(f"sensitivity received {received}; expected some, such as Quantize(4).")
    return tried


def _paths(model: Any, where: Predicate | None) -> list[str]:
    paths = [
        held.path
        for held in walk(model)
        if raw(held.layer).built and compressible(held.layer) and (not where or where(held.info))
    ]
    if not paths:
        raise SpecError(
            f"sensitivity found no layer to try with where={where!r}; expected a built layer with "
            "compressible weights. Call the model once, or widen it."
        )
    return paths


def _identity(model: Any, probe: Probe) -> dict[str, Any]:
    return {
        "model": digest(variable.numpy() for variable in variables(model)),
        "data": digest(leaf for batch in probe.batches for leaf in tf.nest.flatten(batch)),
        "harm": to_data(probe.harm),
        "metric": probe.metric is not None,
    }
