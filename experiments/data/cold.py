"""MovieLens-1M with some items held out of training wholly, as if they came out tomorrow.

The events of cold items are in no history. They are asked for instead: what did this user, whose
events with the other items are known, see of them? So do Volkovs, Yu and Poutanen, "DropoutNet:
Addressing Cold Start in Recommender Systems", NeurIPS 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experiments.data import movielens
from experiments.data.movielens import MovieLens, Split

IntArray = npt.NDArray[np.int32]

SEED = 2026
EVERY = 20  # of so many items of about the same frequency three are cold: one, and two for the test
_OF_TEST = 2


@dataclass(frozen=True)
class Asked:
    """Examples: who asks, and what should be found.

    Attributes:
      history: int32 [n, length], warm items, oldest first, padded with 0 on the left.
      target: int32 [n].
      seen: for each example the int32 ids of all items before the target, to be left out.
    """

    history: IntArray
    target: IntArray
    seen: list[IntArray]


@dataclass(frozen=True)
class ColdStart:
    """MovieLens-1M with warm and cold items.

    Attributes:
      whole: all events; warm items have the numbers 1 … `n_warm`, the most frequent first, and
        behind them are those that are cold for the validation split, then those for the test split.
      warm: the same numbers, without the events of cold items.
      n_warm: how many items are warm. n_validation: how many of the others are for validation.
      old_numbers: int [n_items + 1], which number an item had before.
    """

    whole: MovieLens
    warm: MovieLens
    n_warm: int
    n_validation: int
    old_numbers: IntArray

    def cold_items(self, split: Split) -> IntArray:
        """The numbers of a split's cold items."""
        middle = self.n_warm + self.n_validation
        first, last = (
            (self.n_warm, middle) if split == "validation" else (middle, self.whole.n_items)
        )
        return np.arange(first + 1, last + 1, dtype=np.int32)

    def asked_warm(self, split: Split, length: int) -> Asked:
        """Each user's last warm event (of the test split), or the one before it; leave-one-out."""
        return Asked(*movielens.inputs(self.warm, split, length))

    def asked_cold(self, split: Split, length: int) -> Asked:
        """Each user's last event with a cold item of this split, if a warm one came before it.

        The history is what came before it, of warm items; for validation without their test event.
        """
        cold = self.cold_items(split)
        rows, targets, seen = [], [], []
        for events, warm in zip(self.whole.histories, self.warm.histories, strict=True):
            places = np.flatnonzero((events >= cold[0]) & (events <= cold[-1]))
            before = events[: places[-1]] if len(places) else events[:0]
            known = before[before <= self.n_warm]
            known = known[: len(warm) - 1] if split == "validation" else known
            if not len(known):
                continue
            rows.append(np.pad(known[-length:], (max(0, length - len(known)), 0)))
            targets.append(events[places[-1]])
            seen.append(before)
        return Asked(np.array(rows, np.int32), np.array(targets, np.int32), seen)


def cold_start(data: MovieLens, seed: int = SEED) -> ColdStart:
    """Chooses the cold items: three of any twenty that are about as frequent.

    Args:
      data: MovieLens-1M in whatever numbering.
      seed: decides which.

    Raises:
      ValueError: if there are fewer items than it takes to choose, or if a user has fewer than
        three events with warm ones.
    """
    if data.n_items < EVERY:
        raise ValueError(f"Received {data.n_items} items, expected at least {EVERY}.")
    counts = np.bincount(np.concatenate(data.histories), minlength=data.n_items + 1)
    order = np.argsort(-counts[1:], kind="stable") + 1
    random, group = np.random.default_rng(seed), np.zeros(data.n_items, np.int32)
    for first in range(0, data.n_items - EVERY + 1, EVERY):
        one, *others = random.permutation(EVERY)[: 1 + _OF_TEST]
        group[first + one], group[first + np.array(others)] = 1, 2
    sorted_order = np.concatenate([[0], *(order[group == kind] for kind in range(3))])
    whole = movielens.renumbered(data, tuple(data.titles[item] for item in sorted_order))
    n_warm, n_validation = (int((group == kind).sum()) for kind in range(2))
    warm = MovieLens(whole.titles, [events[events <= n_warm] for events in whole.histories])
    shortest = min(map(len, warm.histories))
    if shortest <= movielens.N_HELD_OUT:
        raise ValueError(
            f"A user has {shortest} event(s) with warm items, expected at least "
            f"{movielens.N_HELD_OUT + 1}. Choose another seed."
        )
    return ColdStart(whole, warm, n_warm, n_validation, sorted_order.astype(np.int32))
