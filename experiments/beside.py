"""Random trials beside auto: what the same seconds are worth without a choice.

Trials draw from what auto may choose from: in every layer a structure or none, and bits or none.
The model, its data, its teacher, the budget in bytes and the question asked of a file are those of
auto; what differs is how long a trial trains, which the results say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tfcompress as tfc
from experiments.models import tf
from tfcompress.auto.efforts import EFFORTS, Run
from tfcompress.sensitivity.bench import exactly
from tfcompress.sensitivity.journal import FILE as CELLS
from tfcompress.spec import Technique

Row = dict[str, Any]
_REDRAWS = 5000  # for one trial: a plan takes milliseconds
_COMPILED = 200  # steps from which on XLA wins back what it takes to compile them


@dataclass(frozen=True)
class Beside:
    """What is tried at random.

    Attributes:
      folder: where it is kept; the same call goes on there.
      trials: how many. epochs: of each; may be less than one.
      seed: of draws and trainings.
      space: what is drawn from; None: what auto may choose from.
    """

    folder: Path
    trials: int
    epochs: float
    seed: int
    space: tfc.Space | None = None


def random_trials(
    model: Any, data: tfc.AutoData, limit: int | None, how: Beside
) -> tfc.SearchResult:
    """Random specs in files of at most `limit` bytes, the best quality asked for.

    Args:
      model: what auto compressed. data: as auto had it. limit: bytes of a file, at most.
      how: how many, and how long each trains.
    """
    space = how.space or space_of(model, tfc.AutoSettings().techniques)
    settings = tfc.SearchSettings(
        how.folder / f"epochs-{how.epochs:g}",  # trials of another length are another search
        tfc.RandomDraws(),
        how.trials,
        seed=how.seed,
        early=tfc.ToTheEnd(),
        redraws=_REDRAWS,
        on_trial=lambda trial: print(f"random trial {trial.number}: {trial.ending}", flush=True),
    )
    budget, work = tfc.Budget(bytes=limit), Trials(data, how.epochs)
    return tfc.search(model, space, work, tfc.MaximizeQuality(), budget, settings)


def compared(result: tfc.AutoResult, found: tfc.SearchResult, how: Beside) -> dict[str, Any]:
    """Both sides for the results: what each had after how many seconds, and how they were made."""
    own, drawn = auto_rows(result), random_rows(found)
    return {
        "seconds": "of auto with its sensitivity; of trials without the drawing of specs",
        "trials": how.trials,
        "epochs_of_a_trial": how.epochs,
        "space": "what auto may choose from" if how.space is None else "a file",
        "rejected": found.rejected,
        "auto": ended(own),
        "random": ended(drawn),
        "random_when_auto_ended": best_at(drawn, own[-1]["seconds"]) if own else None,
        "rows": {"auto": own, "random": drawn},
    }


def lines(said: Mapping[str, Any], least: float) -> str:
    """What both sides came to, in two lines; `least` is the quality that was asked."""
    rows = said["rows"]
    named = {"auto": rows["auto"], f"{len(rows['random'])} random trials": rows["random"]}
    return "\n".join(line(name, some, least) for name, some in named.items())


def space_of(model: Any, techniques: Sequence[Technique]) -> tfc.Space:
    """Each layer with any of the techniques that do something to it, or without.

    Args:
      model: a built model.
      techniques: those of `AutoSettings`.

    Raises:
      ValueError: if none of them does anything.
    """
    found: dict[str, list[Technique]] = {}
    for technique in techniques:
        everywhere = tfc.Spec([tfc.rule(tfc.by_name("*"), technique)])
        for row in tfc.plan(model, everywhere).layers:
            if row.steps:
                found.setdefault(row.path, []).append(technique)
    if not found:
        raise ValueError(f"Received {list(techniques)}, expected one that does something.")
    rules = []
    for path, able in found.items():
        bits = [one for one in able if isinstance(one, tfc.Quantize)]
        structures = [one for one in able if one not in bits]
        parts = [_maybe(some) for some in (structures, bits) if some]
        rules.append(tfc.rule(exactly(path, list(found)), *parts))
    return tfc.Space(rules)


def _maybe(some: Sequence[Technique]) -> Any:
    """One of them, or none."""
    return tfc.tune.Optional(tfc.tune.Choice(*some) if len(some) > 1 else some[0])


class Trials(tfc.Work):
    """What a random trial does: the most that auto does for a student, for so many epochs.

    Args:
      data: as auto has it.
      epochs: of the training's batches; may be less than one.
    """

    def __init__(self, data: tfc.AutoData, epochs: float) -> None:
        self._data, self._model = data, None
        self._training = shortened(data.training, epochs)
        self._effort = [one for one in EFFORTS if one.why_not(self._training) is None][-1]

    def prepare(self, model: Any, folder: Path) -> None:
        """The model teaches, where the training names nobody else."""
        del folder
        self._model = model

    def train(self, student: Any, parts: range, seed: int) -> Iterator[float]:
        """Trains whole; nobody asks for a quality before the file is there."""
        del parts
        tf.keras.utils.set_random_seed(seed)
        with TemporaryDirectory() as folder:
            run = Run(Path(folder), lambda text: None)
            self._effort.carry_out(student, self._model, self._training, run)
        yield from ()

    def export(self, student: Any, folder: Path) -> tfc.Exported:
        """As auto exports."""
        ship = self._data.shipping
        given = (ship.signatures, ship.verify_with, ship.tolerance)
        return tfc.export(student, folder, *given, files=ship.files)

    def quality(self, file: Path) -> float:
        """As auto asks for it."""
        return self._data.quality(file)

    def calls(self) -> tuple[str, Sequence[Mapping[str, Any]]]:
        """Those that a file is verified with.

        Raises:
          ValueError: if there are none.
        """
        given = self._data.shipping.verify_with
        if not given:
            raise ValueError("Received a Shipping without verify_with, expected calls to time.")
        name = next(iter(given))
        return name, given[name]


def shortened(training: tfc.Training | None, epochs: float) -> tfc.Training | None:
    """The same training for so many of its epochs, its rate falling to zero in them."""
    if training is None or not epochs:
        return None
    steps = max(1, round(epochs * int(training.batches.cardinality())))
    batches, xla = training.batches.repeat().take(steps), training.xla and steps >= _COMPILED
    return replace(training, batches=batches, epochs=1, xla=xla)


def auto_rows(result: tfc.AutoResult) -> list[Row]:
    """What auto had after each attempt, the sensitivity before them included in the seconds."""
    first = sensitivity_seconds(Path(result.folder))
    measured = [
        (one.number, one.seconds, m and m.bytes, m and m.quality, m and not m.over(result.budget))
        for one in result.attempts
        for m in [one.measured]
    ]
    return _so_far(measured, first)


def random_rows(result: tfc.SearchResult) -> list[Row]:
    """What random trials had after each of them."""
    within = {one.number for one in result.within}
    measured = [
        (one.number, one.seconds, f and f.bytes, f and f.quality, one.number in within)
        for one in result.trials
        for f in [one.figures]
    ]
    return _so_far(measured, 0.0)


def _so_far(measured: Iterable[tuple[Any, ...]], seconds: float) -> list[Row]:
    rows: list[Row] = []
    best: float | None = None
    for number, own, size, quality, inside in measured:
        seconds += own
        if inside and (best is None or quality > best):
            best = quality
        rows.append(
            {
                "number": number,
                "seconds": round(seconds, 1),
                "bytes": size,
                "quality": quality,
                "inside": bool(inside),
                "best_so_far": best,
            }
        )
    return rows


def sensitivity_seconds(folder: Path) -> float:
    """What the sensitivity of a run of auto took; 0 where it asked for none."""
    file = folder / "sensitivity" / CELLS
    if not file.exists():
        return 0.0
    return sum(json.loads(line)["seconds"] for line in file.read_text().splitlines()[1:])


def ended(rows: Sequence[Row]) -> Row:
    """The best file inside the budget, when it was there, and when all was over."""
    inside = [row for row in rows if row["inside"]]
    best = max(inside, key=lambda row: row["quality"], default=None)
    return {
        "seconds": rows[-1]["seconds"] if rows else 0.0,
        "files_inside": len(inside),
        "best": best and {name: best[name] for name in ("number", "seconds", "bytes", "quality")},
    }


def best_at(rows: Sequence[Row], seconds: float) -> float | None:
    """The best quality inside the budget that there was by then."""
    done = [row["best_so_far"] for row in rows if row["seconds"] <= seconds]
    return done[-1] if done else None


def line(name: str, rows: Sequence[Row], least: float) -> str:
    """What a side came to, in a line."""
    found = ended(rows)
    best = found["best"]
    if best is None:
        return f"{name}: no file inside the budget in {found['seconds']:,.0f} s."
    held = "enough" if best["quality"] >= least else f"{least - best['quality']:.4f} short"
    return (
        f"{name}: {best['quality']:.4f} ({held}) in {best['bytes']:,} bytes after "
        f"{best['seconds']:,.0f} s, of {found['seconds']:,.0f} s."
    )
