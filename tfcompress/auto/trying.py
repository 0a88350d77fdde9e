"""Carrying an attempt out: compress, train, export, and measure the file."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfcompress.apply import apply
from tfcompress.auto.attempts import Attempt, Measured, Proposal
from tfcompress.auto.data import AutoData
from tfcompress.auto.display import Display
from tfcompress.auto.efforts import Run
from tfcompress.errors import ExportError, TfcompressError
from tfcompress.export import Exported, compare_latency, export
from tfcompress.export.contract import Contract, contract_of
from tfcompress.export.signature import default_signatures
from tfcompress.export.verify import example_inputs
from tfcompress.keras import keras
from tfcompress.search.budget import Budget
from tfcompress.search.weights import keep_weights, take_weights
from tfcompress.sensitivity.result import Whole


@dataclass
class Trier:
    """Makes the files of attempts.

    Args:
        model: what is compressed.
        data: what to measure, train and ship with.
        budget: a latency is measured where it has one.
        folder: each attempt's folder is below it.
        seed: of the trainings.
        display: where it says how far it is.
    """

    model: Any
    data: AutoData
    budget: Budget
    folder: Path
    seed: int
    display: Display
    contract: Contract | None = None  # that files have to keep to

    def baseline(self, before: Whole) -> tuple[Measured, Contract]:
        """The float file, measured, and what apps rely on in it."""
        with self.display.working("exporting the model as it is"):
            made = self._export(self.model, self.folder / "baseline")
            return self._measured(made, before), contract_of(made.model)

    def run(
        self, number: int, proposal: Proposal, whole: Whole, warm: int | None = None
    ) -> Attempt:
        """Carries a proposal out; what fails is an attempt with an error.

        Args:
            number: of the attempt.
            proposal: what is tried.
            whole: what it costs by plan.
            warm: the attempt at the same spec whose trained weights a training begins with, if
                they are still there.
        """
        start = time.perf_counter()
        keras.utils.set_random_seed(self.seed + number)
        kept = warm is not None and self._weights(warm).exists()
        blank = Attempt(number, proposal, None, None, 0.0, warm if kept else None)
        try:
            with self.display.working(f"attempt {number}"):
                measured = self._tried(blank, whole)
        except TfcompressError as error:
            failed = f"{type(error).__name__}: {error}"
            return replace(blank, error=failed, seconds=_since(start))
        return replace(blank, measured=measured, seconds=_since(start))

    def _tried(self, attempt: Attempt, whole: Whole) -> Measured:
        student = self._trained(attempt)
        self.display.note("exporting")
        made = self._export(student, folder_of(self.folder, attempt.number))
        if self.contract is not None:
            broken = self.contract.broken_by(contract_of(made.model))
            if broken:
                raise ExportError(f"The file breaks the contract that it has to keep: {broken}.")
        self.display.note("evaluating the file")
        return self._measured(made, whole)

    def _trained(self, attempt: Attempt) -> Any:
        effort, spec = attempt.proposal.effort, attempt.proposal.spec
        student = apply(self.model, spec, calibration=self.data.probed.calibration)
        if attempt.warm_from is not None:
            take_weights(student, self._weights(attempt.warm_from))
        weights = self._weights(attempt.number)
        run = Run(weights.parent, self.display.note)
        effort.carry_out(student, self.model, self.data.training, run)
        if effort.trains:
            keep_weights(student, weights)
        return student

    def _weights(self, number: int) -> Path:
        return self.folder / "training" / f"{number:02d}" / "weights.npz"

    def _export(self, model: Any, folder: Path) -> Exported:
        ship = self.data.shipping
        return export(
            model, folder, ship.signatures, ship.verify_with, ship.tolerance, files=ship.files
        )

    def _measured(self, made: Exported, whole: Whole) -> Measured:
        return Measured(
            made.model.stat().st_size,
            self._latency(made.model) if self.budget.latency_us is not None else None,
            whole.parameters,
            whole.multiply_adds,
            float(self.data.quality(made.model)),
        )

    def _latency(self, file: Path) -> float:
        ship = self.data.shipping
        signatures = ship.signatures or default_signatures(self.model)
        name = next(iter(signatures))
        given = ship.verify_with or example_inputs(self.model, signatures)
        calls = ship.timed_with or given[name]
        return compare_latency({"file": file}, name, {"file": calls})["file"]


def folder_of(folder: Path, number: int) -> Path:
    """Where the file of an attempt is; of number 0, the float one."""
    return folder / "attempts" / f"{number:02d}" if number else folder / "baseline"


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 2)
