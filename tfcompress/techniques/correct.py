"""Rounding a matrix onto a grid so that its products suffer least, without any training."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_AT_ONCE = 128  # columns whose errors are handed on together: one product instead of many thin ones


def corrected_rounding(
    weights: Array, moment: Array, steps: Array | float, top: int, damping: float = 0.01
) -> Array:
    """Rounds column by column; what a column's rounding does wrong, those after it make good.

    Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
    Transformers" (2023), section 3.3. Each column is rounded to the nearest level, and then the
    columns that are still open change so that the squared error `|x (weights - rounded)'|` over
    all inputs `x` is the smallest. Columns of the largest inputs come first, while most are open.
    Weights that are 0 stay 0, as pruned ones must, and nothing is left to them to make good.

    Args:
        weights: `[rows, columns]`; rows are multiplied with inputs of width `columns`.
        moment: `[columns, columns]`, the mean of `outer(x, x)` over the inputs.
        steps: of the grid, for each weight or broadcast to them.
        top: the largest level, e.g. 7 for 4 bits.
        damping: what is added to the diagonal of the moment, as a share of its mean; it keeps
            directions that no input took from changing without a bound.

    Returns:
        float32 `[rows, columns]`: multiples of the steps, from `-top` to `top` of them.

    Example:
        >>> x = np.array([[1.0, 1.0], [2.0, 2.1]])
        >>> corrected_rounding(np.array([[0.4, 0.4]]), x.T @ x / 2, steps=1.0, top=7).tolist()
        [[1.0, 0.0]]
    """
    steps = np.broadcast_to(steps, weights.shape).astype(np.float64)
    rounded = np.zeros(weights.shape, np.float32)
    patterns, group = np.unique(weights != 0.0, axis=0, return_inverse=True)
    for number, kept in enumerate(patterns):  # one where nothing is pruned
        if kept.any():
            place = np.ix_(group.reshape(-1) == number, kept)
            among = moment[np.ix_(kept, kept)].astype(np.float64)
            rounded[place] = _corrected(weights[place], among, steps[place], top, damping)
    return rounded


def _corrected(weights: Array, moment: Array, steps: Array, top: int, damping: float) -> Array:
    order = np.argsort(-np.diag(moment), kind="stable")
    factor = _factor(moment[np.ix_(order, order)], damping)
    left, steps = weights[:, order].astype(np.float64), steps[:, order]
    rounded = np.zeros_like(left)
    for start in range(0, left.shape[1], _AT_ONCE):
        block = slice(start, min(start + _AT_ONCE, left.shape[1]))
        wrong = np.zeros_like(left[:, block])
        for column in range(block.start, block.stop):
            level = np.clip(np.round(left[:, column] / steps[:, column]), -top, top)
            rounded[:, column] = level * steps[:, column]
            error = (left[:, column] - rounded[:, column]) / factor[column, column]
            left[:, column : block.stop] -= np.outer(error, factor[column, column : block.stop])
            wrong[:, column - start] = error
        left[:, block.stop :] -= wrong @ factor[block, block.stop :]
    found: Array = rounded[:, np.argsort(order)]
    return found


def _factor(moment: Array, damping: float) -> Array:
    """Upper triangular; row `j` says how an error of column `j` is best made good behind it."""
    mean = np.trace(moment) / len(moment)
    damped = moment + (damping * mean if mean > 0 else 1.0) * np.eye(len(moment))
    factor: Array = np.linalg.cholesky(np.linalg.inv(damped)).T
    return factor
