"""Auto: choose, compress, train, export and evaluate, until the budget holds or cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tfcompress.auto.attempts import History, Measured
from tfcompress.auto.checks import (
    Start,
    check_given,
    check_kept,
    earlier_of,
    identity_of,
    promised_by,
    specs_of,
)
from tfcompress.auto.data import AutoData
from tfcompress.auto.display import Display
from tfcompress.auto.efforts import EFFORTS, Effort
from tfcompress.auto.options import Options
from tfcompress.auto.result import FILE, AutoResult
from tfcompress.auto.settings import AutoSettings
from tfcompress.auto.strategy import Known, Strategy
from tfcompress.auto.trying import Trier, folder_of
from tfcompress.auto.verdict import verdict
from tfcompress.export.contract import Contract, contract_of
from tfcompress.export.export import MODEL
from tfcompress.plan import plan
from tfcompress.search.budget import Budget
from tfcompress.sensitivity import sensitivity
from tfcompress.sensitivity.bench import whole_of
from tfcompress.sensitivity.result import Whole
from tfcompress.sensitivity.sensitivity import neutral
from tfcompress.spec import Spec
from tfcompress.whole import write_whole


def auto(
    model: Any,
    data: AutoData,
    budget: Budget,
    start: Start = None,
    keep_contract: bool = False,
    settings: AutoSettings | None = None,
) -> AutoResult:
    """Compresses a model until its file keeps to a budget, or shows that it does not get there.

    It begins with how sensitive each layer is, chooses what harms least within the budget, and
    takes the cheapest step that does: weights in fewer bits, or a smaller structure, not trained;
    then the fewer bits fine-tuned; then taught by the model as it was; then the smaller structure,
    and others, taught. What an evaluation says decides the
    next step: a file that came out too large or slow is chosen anew, a layer that harmed most is
    spared. Every file is exported, verified and evaluated as a file. (The loop is that of He et
    al., "AMC", 2018, with measured sensitivities in the place of a learned agent.) The model is
    not changed.

    Args:
        model: a trained, built Keras model of any kind.
        data: what to measure, train and ship with.
        budget: what the file has to keep to. Where it names no quality, it is `settings.keep` of
            the float file's.
        start: a spec to begin with, or the result (or its folder) of an earlier run, such as of
            this model before it learned from newer data.
        keep_contract: refuse files whose signatures, names, shapes or types are not those of the
            earlier run.
        settings: the work folder, and how to go about it.

    Returns:
        An `AutoResult`: the file, whether the budget holds, and all that was tried. It is in
        `result.json` of the work folder, too.

    Raises:
        SpecError: something that is no budget or data, a start that does not fit the model, a
            contract that the model cannot keep, or a folder of another run.
        ExportError: the model cannot be exported as it is.

    Example:
        >>> import numpy as np, tempfile, tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(64, input_shape=(64,), name="head")])
        >>> data = tfc.AutoData([np.ones((8, 64), np.float32)], quality=lambda path: 1.0)
        >>> settings = tfc.AutoSettings(tempfile.mkdtemp(), [tfc.Quantize(8)], show=False)
        >>> done = tfc.auto(model, data, tfc.Budget(bytes=8000), settings=settings)
        >>> done.met, len(done.attempts), done.file.stat().st_size <= 8000
        (True, 1, True)
    """
    how = settings or AutoSettings()
    check_given(data, budget)
    earlier = earlier_of(start)
    promised = promised_by(earlier) if keep_contract else None
    specs = specs_of(model, data, earlier)
    folder = Path(how.folder)
    history = History(folder, identity_of(model, data, budget, how, specs))
    display = Display(how.show)
    trier = Trier(model, data, budget, folder, how.seed, display)
    before = whole_of(plan(model, neutral(model), data.probed.calibration))
    baseline, contract = _begun(trier, history, before)
    if promised is not None:
        check_kept(promised, contract)
        trier.contract = promised
    budget = _with_quality(budget, baseline, how.keep)
    known = _known(trier, before, baseline, how)
    strategy = Strategy(known, budget, _efforts(display, data), specs)
    ended = baseline.keeps_to(budget) or _driven(strategy, trier, history, how.attempts)
    result = _result(strategy, history, folder, contract, ended)
    display.say(result.verdict)
    return result


def _driven(strategy: Strategy, trier: Trier, history: History, most: int) -> bool:
    """Carries the strategy's proposals out; False where it was stopped before it ended."""
    steps = strategy.steps()
    proposal = next(steps, None)
    for number in range(1, most + 1):
        if proposal is None:
            return True
        trier.display.trying(number, proposal)
        attempt = history.recorded(number, proposal)
        if attempt is None:
            whole = strategy.known.plan(proposal.spec)
            attempt = trier.run(number, proposal, whole, history.warm_for(proposal))
            history.add(attempt)
        trier.display.tried(attempt, strategy.budget)
        try:
            proposal = steps.send(attempt)
        except StopIteration:
            return True
    return False


def _result(
    strategy: Strategy, history: History, folder: Path, contract: Contract, ended: bool
) -> AutoResult:
    budget, baseline = strategy.budget, strategy.known.baseline
    found = verdict(baseline, history.attempts, budget, strategy.least, ended)
    result = AutoResult(
        str(folder),
        budget,
        found.met,
        found.text,
        found.number,
        tuple(history.attempts),
        baseline,
        contract,
        strategy.least,
        found.enough_bytes,
    )
    write_whole(folder / FILE, result.to_json() + "\n")
    return result


def _begun(trier: Trier, history: History, before: Whole) -> tuple[Measured, Contract]:
    """The float file, made unless it was."""
    file = folder_of(trier.folder, 0) / MODEL
    if history.baseline is not None and file.exists():
        return history.baseline, contract_of(file)
    history.baseline, contract = trier.baseline(before)
    history.save()
    return history.baseline, contract


def _known(trier: Trier, before: Whole, baseline: Measured, how: AutoSettings) -> Known:
    probe = replace(trier.data.probed, metric=None)  # choosing needs harms alone

    def options() -> Options:
        trier.display.say("Measuring how sensitive each layer is, to choose from it.")
        where = trier.folder / "sensitivity"
        found = sensitivity(trier.model, probe, how.techniques, folder=where, show=how.show)
        return Options(trier.model, found, probe.calibration)

    def planned(spec: Spec) -> Whole:
        return whole_of(plan(trier.model, spec, probe.calibration))

    return Known(baseline, before, options, planned)


def _efforts(display: Display, data: AutoData) -> list[Effort]:
    refused = {effort: effort.why_not(data.training) for effort in EFFORTS}
    for effort, why in refused.items():
        if why is not None:
            display.say(f"Without {effort.words}: {why}.")
    return [effort for effort, why in refused.items() if why is None]


def _with_quality(budget: Budget, baseline: Measured, keep: float) -> Budget:
    if budget.quality is not None:
        return budget
    return replace(budget, quality=baseline.quality - (1.0 - keep) * abs(baseline.quality))
