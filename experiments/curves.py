"""How far the loss curves of two trainings part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def apart(one: Sequence[float], other: Sequence[float], window: int) -> float:
    """The largest difference of two curves' means over so many steps, as a share of the first's.

    Args:
      one, other: the loss of each step. window: how many steps a mean is over; steps behind the
        last whole one are left out.

    Raises:
      ValueError: if the curves differ in length, or are shorter than the window.

    >>> apart([2.0, 4.0, 8.0, 8.0, 1.0], [4.0, 2.0, 8.0, 10.0, 9.0], 2)
    0.125
    """
    if len(one) != len(other) or len(one) < window:
        raise ValueError(
            f"Received curves of {len(one)} and {len(other)} steps, expected the same number, at "
            f"least {window}."
        )
    whole = len(one) // window * window
    first, second = (np.reshape(losses[:whole], [-1, window]).mean(1) for losses in (one, other))
    return float(np.max(np.abs(second - first) / first))
