"""How weights are spread, as data: counts between the smallest and the largest of a sample."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BINS = 48
SAMPLE = 32_768


def places(size: int, seed: int = 0) -> Array | None:
    """Which of so many values are looked at, int64 `[SAMPLE]`; None: all of them.

    They are drawn at random: evenly spaced ones could all be of one column of a table.
    """
    if size <= SAMPLE:
        return None
    return np.sort(np.random.default_rng(seed).integers(0, size, SAMPLE))


def histogram(sample: Array, total: int) -> dict[str, Any] | None:
    """How a sample is spread.

    Args:
        sample: values of any shape; what is no number is left out.
        total: how many values there are, the sample among them.

    Returns:
        `low` and `high`, the ends; `counts` in `BINS` bins of equal width between them; the share
        of `zeros`; how many were `sampled`, and of how many (`total`). None: there is no number.

    Example:
        >>> found = histogram(np.array([-1.0, 0.0, 0.0, 1.0]), 4)
        >>> found["low"], found["high"], found["counts"][24], found["zeros"]
        (-1.0, 1.0, 2, 0.5)
    """
    values = np.asarray(sample, np.float64).reshape(-1)
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    counts, _ = np.histogram(values, BINS, (low, high))  # equal ends are half a unit apart
    return {
        "low": float(f"{low:.4g}"),
        "high": float(f"{high:.4g}"),
        "counts": counts.tolist(),
        "zeros": round(float(np.mean(values == 0.0)), 4),
        "sampled": int(values.size),
        "total": int(total),
    }
