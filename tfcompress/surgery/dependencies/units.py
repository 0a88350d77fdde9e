"""Names of units: which channels are one and the same, and which must stay."""

from __future__ import annotations

from typing import Any

import numpy as np

Labels = np.ndarray[Any, Any]  # int64 [channels]: the unit of each channel of an axis


class Units:
    """Disjoint sets of channels (Tarjan's union-find), each with a reason where it must stay.

    Example:
        >>> units = Units()
        >>> first, second = units.fresh(3), units.fresh(3)
        >>> units.unite(first, second)
        >>> bool((units.roots(first) == units.roots(second)).all())
        True
        >>> units.pin(second[:1], "it is an output")
        >>> units.reason(first[0]), units.reason(first[1])
        ('it is an output', None)
    """

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._reason: dict[int, str] = {}
        self._roots: Labels | None = None  # of all names, until the next change

    @property
    def count(self) -> int:
        """How many names were given."""
        return len(self._parent)

    def fresh(self, count: int, reason: str | None = None) -> Labels:
        """Names of new units, int64 `[count]`; with a reason they must stay."""
        start, self._roots = self.count, None
        self._parent.extend(range(start, start + count))
        labels = np.arange(start, start + count)
        if reason is not None:
            self.pin(labels, reason)
        return labels

    def unite(self, first: Labels, second: Labels) -> None:
        """Channel by channel, both are one unit; of two reasons to stay, the older remains."""
        for a, b in zip(first, second, strict=True):
            low, high = sorted((self._root(int(a)), self._root(int(b))))
            if low == high:
                continue
            self._parent[high], self._roots = low, None
            reason = self._reason.pop(high, None)
            if reason is not None:
                self._reason.setdefault(low, reason)

    def pin(self, labels: Labels, reason: str) -> None:
        """These units must stay; the first reason given for a unit is the one that is kept."""
        for label in labels:
            self._reason.setdefault(self._root(int(label)), reason)

    def reason(self, label: int) -> str | None:
        """Why the unit must stay, or None."""
        return self._reason.get(self._root(int(label)))

    def roots(self, labels: Labels) -> Labels:
        """One name for each unit, whatever its channels were called: int64 `[channels]`."""
        if self._roots is None:
            self._roots = np.array([self._root(label) for label in range(self.count)], np.int64)
        return self._roots[labels]

    def _root(self, label: int) -> int:
        root = label
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[label] != root:
            self._parent[label], label = root, self._parent[label]
        return root
