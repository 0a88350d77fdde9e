"""What quality a spec is guessed to have, from the trials so far."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.optimize import nnls
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

Array = np.ndarray[Any, Any]
_RIDGE = 0.1


class Surrogate:
    """A line in what techniques harm, and a Gaussian process for what it leaves.

    The line is the process's mean: quality falls with the root of each technique's harm, the
    deviation of the outputs, at a rate of its own that is not negative (training takes back more of
    what one technique harms than of another). Rasmussen and Williams, "Gaussian Processes for
    Machine Learning" (2006), section 2.7, with the line fitted first.

    Args:
        seed: of the search for the process's lengths.

    Example:
        >>> harms = np.array([[0.0], [1.0], [4.0]])
        >>> points = np.array([[0.0], [0.5], [1.0]])
        >>> guess = Surrogate(seed=0).fit(points, harms, np.array([0.9, 0.8, 0.7]))
        >>> mean, deviation = guess.predict(np.array([[0.75]]), np.array([[2.0]]))
        >>> bool(0.7 < mean[0] < 0.8)
        True
    """

    def __init__(self, seed: int) -> None:
        kernel = ConstantKernel() * Matern(nu=2.5) + WhiteKernel(0.1, (1e-4, 1.0))
        self._process = GaussianProcessRegressor(
            kernel, normalize_y=True, n_restarts_optimizer=2, random_state=seed
        )

    def fit(self, points: Array, harms: Array, qualities: Array) -> Surrogate:
        """Learns from trials.

        Args:
            points: their values, float `[n, values]` in 0 to 1.
            harms: what their techniques harm, float `[n, techniques]`, not below 0.
            qualities: float `[n]`.
        """
        deviations = np.sqrt(harms)
        self._scale = np.maximum(deviations.max(axis=0, initial=0.0), 1e-12)
        self._rates, self._start = _falling(deviations / self._scale, qualities)
        with warnings.catch_warnings():
            # A length at its bound is what a value without influence looks like.
            warnings.simplefilter("ignore")
            self._process.fit(self._inputs(points, harms), qualities - self._line(harms))
        return self

    def predict(self, points: Array, harms: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the quality of specs: `[n, ...]` as `fit` has it."""
        left, deviation = self._process.predict(self._inputs(points, harms), return_std=True)
        return self._line(harms) + left, deviation

    def _line(self, harms: Array) -> Array:
        line: Array = self._start - np.sqrt(harms) / self._scale @ self._rates
        return line

    def _inputs(self, points: Array, harms: Array) -> Array:
        return np.hstack([points, np.sqrt(harms) / self._scale])


def _falling(columns: Array, values: Array) -> tuple[Array, float]:
    """The rates, not below 0, at which values fall with columns, and where they start.

    Least squares, with a little of a ridge: a column that was seen at one size says nothing.
    """
    mean, middle = columns.mean(axis=0), values.mean()
    size = max(float(values.std()), 1e-12)
    ridge = _RIDGE * np.eye(columns.shape[1])
    if not columns.shape[1]:
        return np.zeros(0), float(middle)
    rates, _ = nnls(
        np.vstack([mean - columns, ridge]),
        np.append((values - middle) / size, np.zeros(len(ridge))),
    )
    return rates * size, float(middle + mean @ rates * size)
