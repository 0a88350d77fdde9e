"""Labelled examples in three splits, as `classifying.Classified` takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Labelled:
    """Examples with their classes.

    Attributes:
      values: uint8 [n, height, width, channels] of images, or int16 [n, samples] of waves.
      labels: int32 [n], classes from 0.
    """

    values: npt.NDArray[np.uint8 | np.int16]
    labels: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Rows) -> Labelled:
        """Those with these numbers."""
        return Labelled(self.values[rows], self.labels[rows])


def to_arrays(parts: Mapping[str, Labelled]) -> dict[str, npt.NDArray[np.generic]]:
    """Splits by name as arrays by name, to be kept in a file."""
    return {f"{split}_{name}": getattr(one, name) for split, one in parts.items()
            for name in ("values", "labels")}  # fmt: skip


def from_arrays(
    arrays: Mapping[str, npt.NDArray[Any]], splits: Iterable[str]
) -> dict[str, Labelled]:
    """What `to_arrays` made.

    >>> made = {"test": Labelled(np.zeros((1, 4), np.int16), np.array([2], np.int32))}
    >>> from_arrays(to_arrays(made), made)["test"].labels.tolist()
    [2]
    """
    return {one: Labelled(arrays[f"{one}_values"], arrays[f"{one}_labels"]) for one in splits}


@dataclass(frozen=True)
class Splits:
    """A set of labelled examples.

    Attributes:
      name: what it is.
      train, validation, test: its splits; no example is in two of them.
      synthetic: whether it was made by a program.
      more: what else a record says of it, as JSON has it.
    """

    name: str
    train: Labelled
    validation: Labelled
    test: Labelled
    synthetic: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, name: str, parts: Mapping[str, Labelled], synthetic: bool, more: Mapping[str, Any]
    ) -> Splits:
        """A set whose splits are in `parts`, by their names."""
        train, validation, test = (parts[split] for split in ("train", "validation", "test"))
        return cls(name, train, validation, test, synthetic, more)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example: height, width and channels, or samples."""
        return tuple(self.train.values.shape[1:])

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return (
            int(max(split.labels.max() for split in (self.train, self.validation, self.test))) + 1
        )

    def described(self) -> dict[str, Any]:
        """What a record says of it."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        sizes = {name: len(split) for name, split in splits.items()}
        found = {"name": self.name, "synthetic": self.synthetic, "shape": list(self.shape)}
        return {**found, **sizes, **self.more}


def stratified(labels: npt.NDArray[np.integer], share: float, seed: int) -> tuple[Rows, Rows]:
    """Splits rows in two, with the same share of every class.

    Args:
      labels: [n].
      share: of each class, rounded to whole rows, that goes into the second part.
      seed: decides which.

    Returns:
      The numbers of the rows of both parts, int [n - m] and [m], each sorted.

    Raises:
      ValueError: if a part would be empty.

    >>> rest, taken = stratified(np.array([0, 0, 0, 0, 1, 1]), share=0.5, seed=0)
    >>> np.array([0, 0, 0, 0, 1, 1])[taken].tolist()
    [0, 0, 1]
    """
    random = np.random.default_rng(seed)
    taken = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        taken[rows[: round(share * len(rows))]] = True
    if taken.all() or not taken.any():
        raise ValueError(
            f"Received {len(labels)} labels and share={share}, which leaves a part empty; expected "
            "more images of each class."
        )
    return np.flatnonzero(~taken), np.flatnonzero(taken)
