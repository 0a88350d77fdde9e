"""How far outputs are apart."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_SMALLEST = 1e-12


def deviation(received: Array, expected: Array, size: float = 0.0) -> float:
    """How far one output is from what was expected.

    Args:
        received: of any shape and type; of another shape it is infinitely far.
        expected: what it should be.
        size: a norm of such an output; the expected one's own counts where it is larger.

    Returns:
        For floats the norm of the difference over the norm of the expected output; infinite where
        one that was received is no finite number. For integers (ids) the share of entries, along
        the last axis, that are not among the expected ones.

    Example:
        >>> deviation(np.array([3.0, 5.0]), np.array([3.0, 4.0]))
        0.2
        >>> deviation(np.array([[1, 2], [3, 4]]), np.array([[2, 1], [3, 5]]))
        0.25
    """
    if received.shape != expected.shape:
        return float("inf")
    if np.issubdtype(expected.dtype, np.floating):
        if not np.isfinite(received).all():
            return float("inf")
        norm = max(float(np.linalg.norm(expected.astype(np.float64))), size, _SMALLEST)
        return float(np.linalg.norm(received.astype(np.float64) - expected)) / norm
    rows = zip(_rows(received), _rows(expected), strict=True)
    missing = sum(len(set(a.tolist()) - set(b.tolist())) for a, b in rows)
    return missing / max(expected.size, 1)


def _rows(values: Array) -> Array:
    return values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
