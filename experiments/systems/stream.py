"""A stream of events cut into periods: what is learnt of one, and what is asked before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from experiments.data.timed import IntArray, Timed


@dataclass(frozen=True)
class Period:
    """Events from one day to another.

    Attributes:
      start: its first day, as ISO 8601 has it.
      first, last: the places of its first event and of the one behind its last.
    """

    start: str
    first: int
    last: int


def periods(times: npt.NDArray[np.int64], start: str, days: int, n: int) -> list[Period]:
    """So many periods of equal length, one after another.

    Args:
      times: of all events, ascending, seconds since 1970.
      start: the first day, in UTC, as ISO 8601 has it. days: of each. n: how many.

    Raises:
      ValueError: if there is no event before the first, or none in one of them.

    >>> days = np.array([1, 2, 3, 5]) * 86400
    >>> [(one.start, one.first, one.last) for one in periods(days, "1970-01-03", 2, 2)]
    [('1970-01-03', 1, 3), ('1970-01-05', 3, 4)]
    """
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    starts = [begin + timedelta(days=days * number) for number in range(n + 1)]
    cuts = np.searchsorted(times, [moment.timestamp() for moment in starts]).tolist()
    if 0 in np.diff([0, *cuts]):
        raise ValueError(
            f"Received start={start!r}, days={days}, n={n}, which leaves {np.diff([0, *cuts])} "
            "events before and in the periods; expected some in each."
        )
    names = [moment.date().isoformat() for moment in starts]
    return [Period(*row) for row in zip(names[:-1], cuts[:-1], cuts[1:], strict=True)]


@dataclass(frozen=True)
class Cases:
    """Events to be foretold.

    Attributes:
      users: int32 [n], whose events they are.
      histories: int32 [n, length], the latest events before each, padded with 0 on the left.
      targets: int32 [n].
      seen: for each the items of all events of its user before it.
    """

    users: IntArray
    histories: IntArray
    targets: IntArray
    seen: list[IntArray]


class Stream:
    """Events by user, as far as they are known at a moment.

    Args:
      data: all events.
    """

    def __init__(self, data: Timed) -> None:
        self.data = data
        order = np.argsort(data.users, kind="stable")
        ends = np.cumsum(np.bincount(data.users))
        self._places: list[npt.NDArray[np.int64]] = np.split(order, ends[:-1])

    def cases(self, period: Period, length: int, most: int, seed: int) -> Cases:
        """Events of a period, drawn at random if there are more than wanted.

        What a user did before an event is known, also within the period: a history is an input, and
        no model has to be trained for it.

        Args:
          period: which. length: of the histories. most: how many. seed: decides which.
        """
        places = np.arange(period.first, period.last)
        if len(places) > most:
            places = np.sort(np.random.default_rng(seed).choice(places, most, replace=False))
        users = self.data.users[places]
        seen = [
            self.data.items[self._before(user, place)]
            for user, place in zip(users.tolist(), places.tolist(), strict=True)
        ]
        histories = np.stack([_padded(items[-length:], length) for items in seen])
        return Cases(users, histories, self.data.items[places], seen)

    def _before(self, user: int, place: int) -> npt.NDArray[np.int64]:
        known = self._places[user]
        return known[: np.searchsorted(known, place)]

    def lessons(self, first: int, last: int, length: int) -> IntArray:
        """Windows that end with events of a part of the stream; each of its events is wanted once.

        Args:
          first, last: the places of its first event and of the one behind its last.
          length: of a window.

        Returns:
          int32 [n, 2 * length]: a history, and behind it what comes after each of its events, 0
          where that is not in the part; padded with 0 on the left.
        """
        rows = []
        for user in np.unique(self.data.users[first:last]).tolist():
            known = self._before(user, last)
            n_old = int(np.searchsorted(known, first))
            items = self.data.items[known]
            for end in range(len(known), n_old, -length):
                start = max(0, end - length)
                history, wanted = items[max(0, start - 1) : end - 1], items[start:end].copy()
                wanted[: max(0, n_old - start)] = 0
                rows.append(np.concatenate([_padded(part, length) for part in (history, wanted)]))
        return np.stack(rows)


def _padded(events: IntArray, length: int) -> IntArray:
    row = np.zeros(length, np.int32)
    row[length - len(events) :] = events
    return row


def drawn(rows: IntArray, n: int, seed: Sequence[int]) -> IntArray:
    """So many of the rows, or all if there are fewer, at random: [m, width] → [n, width]."""
    chosen = np.random.default_rng(list(seed)).permutation(len(rows))[:n]
    return rows[chosen]
