"""A compressed recommender that is updated week by week, and stays compressed while it is.

MovieLens-1M in the order of its time: 80 % of its events are from before 3 December 2000, 12 % from
the ten weeks behind, and the last 7 % are spread over two years. Before each week's events are
learnt, every system foretells them (Dawid, "Statistical Theory: The Prequential Approach", 1984),
among all items, by its exported file alone. No system has learnt an event that is not older than
the week.

The network is that of `models.mobile`, trained without a teacher: that of `saved_models` has seen
events of all times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from experiments import ranking
from experiments.data import timed
from experiments.data.timed import Timed
from experiments.systems import foretelling
from experiments.systems.foretelling import K, figures, together
from experiments.systems.running import run_of
from experiments.systems.stream import Cases, Period, Stream
from experiments.systems.updating import Held, shipped
from experiments.systems.workshop import Made, Settings, Workshop
from experiments.training import TrainingConfig

NAME = "online"
TEACHER, NEVER, UPDATED, SCRATCH = "float32", "never", "updated", "from_scratch"
SETTINGS = Settings(
    start="2000-12-03",
    days=7,
    weeks=10,
    sizes={"length": 32, "dim": 64, "heads": 2, "feedforward": (112, 160), "dropout": 0.2},
    held=Held(sparsity=0.5, bits=4, reach=2.4, position_bits=8, position_reach=4.0),
    learning=TrainingConfig(seed=0, batch=64, epochs=6, peak_learning_rate=2e-3, warmup_steps=300),
    compressing=TrainingConfig(
        seed=0, batch=64, epochs=1, peak_learning_rate=1e-3, warmup_steps=50
    ),
    updating=TrainingConfig(seed=0, batch=64, epochs=2, peak_learning_rate=3e-4, warmup_steps=5),
    positions=2048,
    retrained=(5,),
    tested=5000,
)


@dataclass(frozen=True)
class Week:
    """A period that is over.

    Attributes:
      row: its part of the record. users: whose the events are that were foretold.
      ranks: of these events, by system.
    """

    row: dict[str, Any]
    users: Any
    ranks: Mapping[str, ranking.RankArray]


def record(
    folder: Path | None,
    seeds: Sequence[int],
    work: Path,
    stop: Callable[[], bool] = lambda: False,
    settings: Settings = SETTINGS,
) -> dict[str, Any]:
    """Trains what is not trained yet, and foretells week by week.

    Args:
      folder: MovieLens-1M, or None for what can be fetched.
      seeds: one.
      work: gets checkpoints and exported folders; what is trained there already is not trained
        again.
      stop: asked between two steps. settings: what is run.

    Returns:
      What `experiments/results/systems/online.json` holds.

    Raises:
      Stopped: when stopped; the same call goes on.
      ValueError: if there is not one seed, or `work` belongs to other settings.
    """
    if len(seeds) != 1:
        raise ValueError(f"Received seeds={list(seeds)}, expected one: weeks follow one another.")
    data = timed.load(folder)
    return recorded(data, settings, seeds[0], work / f"seed-{seeds[0]}", stop)


def recorded(
    data: Timed, settings: Settings, seed: int, work: Path, stop: Callable[[], bool]
) -> dict[str, Any]:
    """`record` of events that are at hand."""
    begun = time.monotonic()
    shop = Workshop(Stream(data), settings, seed, work, stop)
    first = shop.periods[0].first
    network, _ = shop.network(first)
    teacher = shop.exported(network, f"float-{first}")
    base = shop.compressed(first)
    weeks = list(_weeks(shop, base, teacher.model))
    return {
        "system": NAME,
        "metric": f"NDCG@{K}",
        **_sizes(shop, base, teacher),
        **_qualities(weeks, seed),
        "cost": _cost([week.row for week in weeks], base),
        "weeks": [week.row for week in weeks],
        "settings": asdict(settings),
        "seeds": [seed],
        "data": {
            "name": "MovieLens-1M",
            "synthetic": False,
            "events": len(data.times),
            "events_before": first,
            "events_in_weeks": shop.periods[-1].last - first,
        },
        **run_of(_trained_for(weeks, base), time.monotonic() - begun),
    }


def _weeks(shop: Workshop, base: Made, teacher: Path) -> Any:
    """Foretells each week, then learns it; yields a `Week` each."""
    made = base
    for number, period in enumerate(shop.periods):
        systems = {TEACHER: teacher, NEVER: base.file, UPDATED: made.file}
        row: dict[str, Any] = {"start": period.start, "events": period.last - period.first}
        if number in shop.settings.retrained:
            scratch = shop.compressed(period.first)
            systems[SCRATCH], row["retraining_seconds"] = scratch.file, scratch.seconds
        cases = _cases(shop, period)
        ranks = {
            name: foretelling.ranks_of(file, cases, shop.stream.data.n_items)
            for name, file in systems.items()
        }
        row |= {"tested": len(cases.targets), "users": len(np.unique(cases.users))}
        row["quality"] = {name: figures(found) for name, found in ranks.items()}
        if period != shop.periods[-1]:
            made, row["update"] = _learnt(shop, made, period)
        print(f"{row['start']}: {row['quality']}")
        yield Week(row, cases.users, ranks)


def _cases(shop: Workshop, period: Period) -> Cases:
    settings = shop.settings
    return shop.stream.cases(period, settings.sizes["length"], settings.tested, shop.seed)


def _learnt(shop: Workshop, made: Made, period: Period) -> tuple[Made, dict[str, Any]]:
    """The model after a week, and what the update did and cost."""
    before = shipped(made.student)  # the update trains the same model
    made = shop.updated(made, period)
    moved = made.shape.moved(before, shipped(made.student))
    return made, {"seconds": made.seconds, "bytes": made.file.stat().st_size, **moved}


def _sizes(shop: Workshop, base: Made, teacher: tfc.Exported) -> dict[str, Any]:
    """The compressed file beside the float32 one of the same network."""
    cases = _cases(shop, shop.periods[0])
    calls = [{"history": history[None]} for history in cases.histories[:16]]
    both = {"file": base.exported.model, "teacher": teacher.model}
    times = tfc.compare_latency(both, "recommend", dict.fromkeys(both, calls))
    sizes = {name: path.stat().st_size for name, path in both.items()}
    work = [one.report["multiply_adds"]["recommend"] for one in (base.exported, teacher)]
    return {
        "size_reduction": 1 - sizes["file"] / sizes["teacher"],
        "speedup": times["teacher"] / times["file"],
        "multiply_adds_reduction": 1 - work[0] / work[1],
        "bytes": sizes,
        "median_us": times,
    }


def _qualities(weeks: Sequence[Week], seed: int) -> dict[str, Any]:
    """Over the events of all weeks, and of those before which all was trained from scratch."""
    retrained = [week for week in weeks if SCRATCH in week.ranks]
    whole = {name: _against(weeks, name, seed) for name in (TEACHER, NEVER)}
    return {
        "quality_teacher": whole[TEACHER]["other"],
        "quality": whole[TEACHER][UPDATED],
        "quality_interval": whole[TEACHER]["interval"],
        "beside_never": whole[NEVER],
        "beside_from_scratch": _against(retrained, SCRATCH, seed) if retrained else None,
    }


def _against(weeks: Sequence[Week], other: str, seed: int) -> dict[str, Any]:
    """The updated system beside another one, over the events of some weeks."""
    ranks = [week.ranks for week in weeks]
    own, theirs = (together(ranks, name) for name in (UPDATED, other))
    users = np.concatenate([week.users for week in weeks])
    found = foretelling.difference(own, theirs, users, seed)
    return {UPDATED: float(own.mean()), "other": float(theirs.mean()), **found}


def _trained_for(weeks: Sequence[Week], base: Made) -> float:
    """Seconds of all trainings; those of earlier runs count, too."""
    updates = [week.row["update"]["seconds"] for week in weeks if "update" in week.row]
    again = [week.row["retraining_seconds"] for week in weeks if SCRATCH in week.ranks]
    spent = (one.items() for one in (base.seconds, *again, *updates))
    return sum(seconds for some in spent for name, seconds in some if name != "export")


def _cost(rows: Sequence[Mapping[str, Any]], base: Made) -> dict[str, float]:
    """Seconds of a week: the median update, and making all from scratch, export included."""
    updates = [sum(row["update"]["seconds"].values()) for row in rows if "update" in row]
    whole = [
        base.seconds,
        *(row["retraining_seconds"] for row in rows if SCRATCH in row["quality"]),
    ]
    scratch = float(np.median([sum(one.values()) for one in whole]))
    update = float(np.median(updates))
    return {"update_seconds": update, "from_scratch_seconds": scratch, "ratio": scratch / update}
