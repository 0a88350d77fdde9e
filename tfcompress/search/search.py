"""The verb: a model, a space and a budget become a front of verified files."""

from __future__ import annotations

import json
from typing import Any

from tfcompress.errors import SearchError, SpecError
from tfcompress.search.budget import Budget, Objective
from tfcompress.search.journal import fingerprint
from tfcompress.search.known import Known
from tfcompress.search.result import SearchResult
from tfcompress.search.settings import SearchSettings
from tfcompress.search.work import Work
from tfcompress.spec import Spec
from tfcompress.tune import Space
from tfcompress.value import to_data


def search(
    model: Any,
    space: Space,
    data: Work,
    objective: Objective,
    budget: Budget,
    settings: SearchSettings,
) -> SearchResult:
    """Tries specs of a space on a trained model, and keeps what is worth it.

    A trial applies a spec to the model, trains for a short while with the model as its teacher,
    exports, and asks the file for its bytes, its time and its quality on validation data. The
    oracle chooses by one objective; budgets are hard. What a plan knows is known before: no trial
    is spent on a spec that cannot meet the budget.

    Killed at any moment and called again with the same arguments, it goes on, and no trial that
    ended is run again; `trials` and `hours` may be more then. Where KerasTuner's environment names
    a chief (`KERASTUNER_TUNER_ID`, `KERASTUNER_ORACLE_IP`, `KERASTUNER_ORACLE_PORT`), this process
    is that chief or one of its workers; a worker that is lost loses its trial, which is run again
    elsewhere. A worker may be started before the chief; one that finds none for
    `settings.patience` seconds, such as after the search has ended, gives up.

    Args:
        model: a trained model; it is not changed.
        space: specs with open values.
        data: what is done with a student: `Examples(...)`, or a `Work` of your own.
        objective: `MaximizeQuality()`, `MinimizeBytes()`, `MinimizeLatency()` or `ImproveFront()`.
        budget: the limits; `Budget()` has none.
        settings: where, how many trials, and who chooses.

    Returns:
        Every trial, the front, and the best: `result.best.apply(model)`. In `settings.directory`
        are `search.json` with all of it, `best.json` with the best spec, and a folder for each
        trial's file. A worker gets the trials that it
        carried out itself.

    Raises:
        SpecError: no spec of the space can meet the budget; the directory is of another search.
        SearchError: KerasTuner is not installed; or a worker finds no chief.

    Example:
        >>> import tempfile, numpy as np, tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(3, input_shape=(64,), name="head")])
        >>> x = np.random.default_rng(0).normal(size=(32, 64)).astype("float32")
        >>> y = model.predict(x, verbose=0).argmax(-1)
        >>> data = tfc.Examples((x, y), (x, y),
        ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ...     lambda y, outputs: float((outputs.argmax(-1) == y).mean()))
        >>> bits = tfc.tune.Choice(8, 4)
        >>> space = tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Quantize(bits))])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     settings = tfc.SearchSettings(folder, tfc.RandomDraws(), trials=2)
        ...     result = tfc.search(
        ...         model, space, data, tfc.MinimizeBytes(), tfc.Budget(quality=0.5), settings)
        >>> result.best.values
        {'head/Quantize/bits': 4}
    """
    _check(space, data, objective, budget, settings)
    running = _running()
    identity = {
        "space": json.loads(space.to_json()),
        "objective": to_data(objective),
        "budget": to_data(budget),
        "oracle": to_data(settings.oracle),
        "early": to_data(settings.early),
        "seed": settings.seed,
        "model": fingerprint(model),
    }
    known = Known(model, space, budget)
    result: SearchResult = running.run(
        running.Searching(known, data, settings, objective, identity)
    )
    return result


def _running() -> Any:
    """The module that needs KerasTuner."""
    try:
        from tfcompress.search import running
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("keras_tuner", "grpc"):
            raise
        raise SearchError(
            f"A search needs {error.name}, which is not installed. Install tfcompress[search]."
        ) from error
    return running


def _check(space: Any, data: Any, objective: Any, budget: Any, settings: Any) -> None:
    if isinstance(space, Spec):
        raise SpecError(
            "search received a spec without open values; expected at least one, such as "
            "Quantize(bits=tune.Choice(4, 8))."
        )
    wanted = {Space: space, Work: data, Objective: objective, Budget: budget}
    for kind, given in {**wanted, SearchSettings: settings}.items():
        if not isinstance(given, kind):
            raise SpecError(f"search received {given!r}; expected a {kind.__name__}.")
    if not space.variables:
        raise SpecError("search received a space without open values; expected at least one.")
