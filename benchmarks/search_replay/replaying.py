"""Replaying searches on the record: how many trials each needs, with which certainty."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.search_replay.players import Order, Player, Subject
from benchmarks.search_replay.table import Recorded, to_data

Array = np.ndarray[Any, Any]
Runs = dict[str, dict[str, list[float]]]
_DRAWS = 10_000
PAIRED = "random"  # what the others are compared with


def played(recorded: Recorded, order: Order, share: float) -> list[float]:
    """The shares of the best area that a search reached, until it reached this one."""
    tried: list[int] = []
    reached: list[float] = []
    for place in order:
        tried.append(place)
        reached.append(recorded.covered(tried) / recorded.best)
        if reached[-1] >= share:
            break
    return reached


def replay(
    subject: Subject,
    players: Mapping[str, Player],
    seeds: Iterable[int],
    share: float,
    runs: Runs,
    kept: Callable[[Runs], None],
) -> Runs:
    """Replays every search with every seed, those in `runs` left out.

    Args:
        subject: what is searched.
        players: searches by name.
        seeds: of each.
        share: of the best area, at which a search is over.
        runs: by search and seed, the shares after each trial.
        kept: is given all runs after each.
    """
    for seed, (name, player) in itertools.product(seeds, players.items()):
        own = runs.setdefault(name, {})
        if str(seed) not in own:
            order = player(subject, seed)
            own[str(seed)] = [round(s, 6) for s in played(subject.recorded, order, share)]
            print(f"seed {seed}, {name}: {len(own[str(seed)])} trials", flush=True)
            kept(runs)
    return runs


def best_of_random(
    recorded: Recorded, bytes_share: float, trials: int, draws: int = 5000, seed: int = 0
) -> dict[str, float]:
    """What so many random trials are worth within a budget of bytes.

    Args:
        recorded: the trials that there are.
        bytes_share: the budget, as a share of the model's bytes before.
        trials: of one search, drawn without replacement.
        draws: how many searches. seed: of them.

    Returns:
        `median`, `low` and `high`: the best quality as a share of the model's before, and what 95 %
        of the searches have, of those that have a file within the budget; `without`: the share of
        searches that have none; `seconds`: of a search.
    """
    quality = np.array([row.figures.quality for row in recorded.rows]) / recorded.before.quality
    fits = np.array([row.figures.bytes for row in recorded.rows])
    quality[fits > bytes_share * recorded.before.bytes] = -np.inf
    random = np.random.default_rng(seed)
    drawn = (random.choice(len(quality), trials, replace=False) for _ in range(draws))
    best = np.array([quality[places].max() for places in drawn])
    found = best[np.isfinite(best)]
    low, median, high = np.quantile(found, (0.025, 0.5, 0.975)) if len(found) else [np.nan] * 3
    seconds = trials * float(np.mean([row.seconds for row in recorded.rows]))
    without = 1 - len(found) / draws
    return {"median": median, "low": low, "high": high, "without": without, "seconds": seconds}


def digest(recorded: Recorded) -> str:
    """A short name of a record, by its content."""
    text = json.dumps(to_data(recorded), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def summary(
    runs: Mapping[str, Mapping[str, Sequence[float]]], seed: int = 0
) -> list[dict[str, Any]]:
    """Of each search the trials that it needed: median, and as a share of those of random search.

    Intervals hold 95 % of the medians of seeds drawn anew with replacement (Efron, 1979).
    """
    trials = {name: np.array([len(one) for one in own.values()]) for name, own in runs.items()}
    drawn = {name: _medians(one, seed + place) for place, (name, one) in enumerate(trials.items())}
    rows = []
    for name, counts in trials.items():
        row = {
            "search": name,
            "seeds": len(counts),
            "median_trials": float(np.median(counts)),
            "median_interval": _interval(drawn[name]),
            "least": int(counts.min()),
            "most": int(counts.max()),
        }
        if PAIRED in trials:
            row["share_of_random"] = float(np.median(counts) / np.median(trials[PAIRED]))
            row["share_interval"] = _interval(drawn[name] / drawn[PAIRED])
        rows.append(row)
    return rows


def _medians(counts: Array, seed: int) -> Array:
    random = np.random.default_rng(seed)
    return np.median(random.choice(counts, (_DRAWS, len(counts))), axis=1)


def _interval(values: Array) -> list[float]:
    return [round(float(one), 4) for one in np.quantile(values, (0.025, 0.975))]
