"""Recall and time of everything that finds the best of a catalogue."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.catalogue import files, neighbours
from benchmarks.catalogue.vectors import Array, Catalogue, best, shared

WANTED = 0.98
_CONSOLE = Console(stderr=True)
Prepare = Callable[[int], Callable[[], Any]]


@dataclass(frozen=True)
class Row:
    """What one way of finding took.

    Attributes:
        name: what it is, with its setting.
        bytes: of its file. bytes_an_item: the same for each item.
        recall: share of the exact best that it gives, for vectors of users that no compression saw.
        recall_of_items: the same for items that ask for items like them, which no sample had.
        ms: median of a call on one thread. ms_of_float32: of the float32 file in the same rounds.
    """

    name: str
    bytes: int
    bytes_an_item: float
    recall: float
    recall_of_items: float
    ms: float = float("nan")
    ms_of_float32: float = float("nan")


@dataclass(frozen=True)
class Truth:
    """What asks, and the exact answers.

    Attributes:
        asking: float32 `[q, width]` of users. items: float32 `[q, width]`, of the catalogue.
        best: int `[q, K]` for `asking`. best_of_items: int `[q, K]` for `items`.
    """

    asking: Array
    items: Array
    best: Array
    best_of_items: Array


def truth_of(catalogue: Catalogue, seed: int) -> Truth:
    """The exact answers, in float32 over all items."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(catalogue.items))[: len(catalogue.asking)]
    items = catalogue.items[chosen]
    found = [best(catalogue.items, several, files.K) for several in (catalogue.asking, items)]
    return Truth(catalogue.asking, items, *found)


def row_of(name: str, size: int, truth: Truth, rows: int, answer: Callable[[Array], Array]) -> Row:
    """A row without its times."""
    return Row(
        name,
        size,
        round(size / rows, 2),
        round(shared(answer(truth.asking), truth.best), 4),
        round(shared(answer(truth.items), truth.best_of_items), 4),
    )


def asked_files(truth: Truth, rows: int, made: Mapping[str, Path]) -> list[tuple[Row, Prepare]]:
    """Every file with its recall, ready to be timed."""
    found = []
    for name, file in track(made.items(), "Asking files", console=_CONSOLE):
        row = row_of(
            name,
            file.stat().st_size,
            truth,
            rows,
            lambda asking, file=file: files.answers(file, asking),  # type: ignore[misc]
        )
        found.append((row, files.caller(file, truth.asking)))
    return found


def asked_indexes(
    truth: Truth, rows: int, folder: Path, indexes: Sequence[neighbours.Turned]
) -> list[tuple[Row, Prepare]]:
    """Every index at the fastest of its settings that reaches `WANTED`, or else at its last."""
    found = []
    for turned in track(indexes, "Asking faiss", console=_CONSOLE):
        file = neighbours.file_of(turned, folder)
        index = neighbours.read_index(file)
        setting = chosen_setting(index, turned, truth)
        neighbours.turn(index, setting)
        name = f"faiss {turned.factory}{', ' if setting else ''}{setting}"
        row = row_of(
            name,
            file.stat().st_size,
            truth,
            rows,
            lambda asking, index=index: neighbours.answers(index, asking, files.K),  # type: ignore[misc]
        )
        found.append((row, neighbours.caller(index, setting, truth.asking, files.K)))
    return found


def chosen_setting(index: Any, turned: neighbours.Turned, truth: Truth) -> str:
    """The fastest setting that reaches `WANTED` on the vectors that ask; else the best recall's."""
    reached: list[tuple[bool, float, str]] = []
    for setting in turned.settings:
        neighbours.turn(index, setting)
        begun = time.perf_counter()
        answers = neighbours.answers(index, truth.asking, files.K)
        taken = time.perf_counter() - begun
        recall = shared(answers, truth.best)
        enough = recall >= WANTED
        reached.append((not enough, taken if enough else -recall, setting))
    return min(reached)[2]


def timed(found: list[tuple[Row, Prepare]], rounds: int) -> list[Row]:
    """The rows with their times: all take turns with the same vector, a round for each vector."""
    taken = np.zeros((rounds, len(found)))
    for number in track(range(rounds), "Timing", console=_CONSOLE):
        for place, (_, prepare) in enumerate(found):
            call = prepare(number)
            begun = time.perf_counter()
            call()
            taken[number, place] = time.perf_counter() - begun
    medians = 1e3 * np.median(taken, axis=0)
    floats = next(m for m, (row, _) in zip(medians, found, strict=True) if row.name == files.FLOAT)
    return [
        Row(
            **{
                **vars(row),
                "ms": round(float(median), 3),
                "ms_of_float32": round(float(floats), 3),
            }
        )
        for median, (row, _) in zip(medians, found, strict=True)
    ]
