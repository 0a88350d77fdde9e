"""What `auto` is given, before anything is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfcompress.auto.data import AutoData
from tfcompress.auto.result import AutoResult
from tfcompress.auto.settings import AutoSettings
from tfcompress.errors import SpecError
from tfcompress.export.contract import Contract
from tfcompress.keras import tf
from tfcompress.plan import plan
from tfcompress.search.budget import Budget
from tfcompress.sensitivity.probe import digest
from tfcompress.spec import Spec
from tfcompress.surgery.walk import variables
from tfcompress.value import to_data

Start = AutoResult | Spec | str | Path | None


def check_given(data: AutoData, budget: Budget) -> None:
    """Refuses what is no data, and what is no budget or limits nothing.

    Raises:
        SpecError: one of them is that.
    """
    if not isinstance(data, AutoData):
        raise SpecError(
            f"auto received data={data!r}; expected AutoData(probe, quality, training, shipping)."
        )
    if not isinstance(budget, Budget) or budget == Budget():
        raise SpecError(f"auto received budget={budget!r}; expected a limit, as Budget(bytes=...).")


def earlier_of(start: Start) -> AutoResult | Spec | None:
    """What a run begins with, read from a folder where it is one.

    Raises:
        SpecError: it is none, or the folder has no result.
    """
    if isinstance(start, str | Path):
        return AutoResult.load(start)
    if start is None or isinstance(start, AutoResult | Spec):
        return start
    raise SpecError(
        f"auto received start={start!r}; expected a Spec, an AutoResult, or the work folder of one."
    )


def specs_of(model: Any, data: AutoData, earlier: AutoResult | Spec | None) -> list[Spec]:
    """What to begin with, once it is known to fit."""
    spec = earlier.spec if isinstance(earlier, AutoResult) else earlier
    if spec is None:
        return []
    plan(model, spec, data.probed.calibration)
    return [spec]


def promised_by(earlier: AutoResult | Spec | None) -> Contract:
    """The contract that files have to keep to."""
    if not isinstance(earlier, AutoResult):
        raise SpecError(
            f"auto received keep_contract=True and start={earlier!r}; expected the result of an "
            "earlier run, or its folder: it has the contract to keep."
        )
    return earlier.contract


def check_kept(promised: Contract, contract: Contract) -> None:
    """Refuses a model whose files would break a contract.

    Raises:
        SpecError: it says which inputs and outputs differ.
    """
    broken = promised.broken_by(contract)
    if broken:
        raise SpecError(
            f"The model cannot keep the contract of the earlier run: {'; '.join(broken)}. Expected "
            "the same signatures, names, shapes and types; pass signatures in Shipping, or leave "
            "keep_contract out."
        )


def identity_of(
    model: Any, data: AutoData, budget: Budget, how: AutoSettings, specs: Sequence[Spec]
) -> dict[str, Any]:
    """What the attempts in a folder depend on, as JSON has it."""
    batches = (leaf for batch in data.probed.batches for leaf in tf.nest.flatten(batch))
    return {
        "model": digest(variable.numpy() for variable in variables(model)),
        "data": digest(batches),
        "budget": to_data(budget),
        "techniques": to_data(list(how.techniques)),
        "keep": how.keep,
        "seed": how.seed,
        "start": to_data(list(specs)),
    }
