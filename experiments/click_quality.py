"""How well probabilities of clicks put the clicked before the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import log_loss, roc_auc_score

FloatArray = npt.NDArray[np.float64]
_NORMAL_95 = 1.959963984540054  # the 0.975 quantile of the standard normal distribution


def quality(clicks: npt.NDArray[np.integer], probabilities: FloatArray) -> dict[str, Any]:
    """The area under the ROC curve, the mean cross-entropy in nats, and of how many events.

    Args:
      clicks: [n], 1 for a click, else 0; both occur. probabilities: float [n], in 0 … 1.

    Raises:
      ValueError: if lengths differ, one of the two classes is missing, or a value is out of range.

    >>> quality(np.array([0, 1, 1]), np.array([0.2, 0.1, 0.9]))["auc"]
    0.5
    """
    _check(clicks, probabilities)
    return {
        "auc": float(roc_auc_score(clicks, probabilities)),
        "log_loss": float(log_loss(clicks, probabilities)),
        "events": len(clicks),
    }


def comparison(
    clicks: npt.NDArray[np.integer], own: FloatArray, other: FloatArray
) -> dict[str, Any]:
    """How far one AUC is above another on the same events, and DeLong's 95 % interval of that.

    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver
    operating characteristic curves: a nonparametric approach", Biometrics 1988.

    Args:
      clicks: [n]. own, other: float [n], what two models say of the same events.

    Raises:
      ValueError: see `quality`.
    """
    _check(clicks, own)
    _check(clicks, other)
    difference, deviation = delong(clicks, own, other)
    reach = _NORMAL_95 * deviation
    return {
        "auc_difference": difference,
        "difference_95_percent_interval": [difference - reach, difference + reach],
    }


def delong(
    clicks: npt.NDArray[np.integer], own: FloatArray, other: FloatArray
) -> tuple[float, float]:
    """The difference of two AUCs on the same events, and its standard deviation.

    Args:
      clicks: [n], 1 or 0. own, other: float [n].

    Returns:
      AUC(own) - AUC(other), and the root of DeLong's estimate of its variance.
    """
    parts = [placements(clicks, scores) for scores in (own, other)]
    of_clicks, of_others = (parts[0][i] - parts[1][i] for i in (0, 1))
    variance = np.var(of_clicks, ddof=1) / len(of_clicks) + np.var(of_others, ddof=1) / len(
        of_others
    )
    return float(of_clicks.mean()), float(np.sqrt(variance))


def placements(
    clicks: npt.NDArray[np.integer], scores: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """For each event the share of the other class that is on its right side; ties count a half.

    Sun and Xu, "Fast implementation of DeLong's algorithm", IEEE Signal Processing Letters 2014.

    Args:
      clicks: [n], 1 or 0. scores: float [n].

    Returns:
      float [clicks]: of each click the share of the others below it; float [others]: of each of
      these the share of the clicks above it. The mean of either is the AUC.
    """
    positive, negative = scores[clicks == 1], scores[clicks == 0]
    below = (mid_ranks(scores)[clicks == 1] - mid_ranks(positive)) / len(negative)
    above = 1.0 - (mid_ranks(scores)[clicks == 0] - mid_ranks(negative)) / len(positive)
    return below, above


def influences(clicks: npt.NDArray[np.integer], scores: FloatArray) -> FloatArray:
    """The AUC as a mean over events, so that resampling them tells its interval.

    An event of a class that is a share `p` of all counts `AUC + (placement - AUC) / p`: its
    influence (Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982). Their mean
    is the AUC, and the variance of that mean is DeLong's.

    Args:
      clicks: [n], 1 or 0, both occur. scores: float [n].

    Returns:
      float [n].

    >>> influences(np.array([0, 1, 1]), np.array([0.2, 0.1, 0.9])).tolist()
    [0.5, -0.25, 1.25]
    """
    below, above = placements(clicks, scores)
    auc, found = below.mean(), np.empty(len(clicks))
    found[clicks == 1] = auc + (below - auc) * len(clicks) / len(below)
    found[clicks == 0] = auc + (above - auc) * len(clicks) / len(above)
    return found


def mid_ranks(values: FloatArray) -> FloatArray:
    """Places from 1 in ascending order; equal values share the mean of theirs: [n] → float [n].

    >>> mid_ranks(np.array([0.3, 0.1, 0.3])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, number, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: FloatArray = (last - (count - 1) / 2.0)[number]
    return ranks


def _check(clicks: npt.NDArray[np.integer], probabilities: FloatArray) -> None:
    if clicks.shape != probabilities.shape or clicks.ndim != 1:
        raise ValueError(
            f"Received clicks of shape {clicks.shape} and probabilities of shape "
            f"{probabilities.shape}, expected two alike with one axis."
        )
    if set(np.unique(clicks).tolist()) != {0, 1}:
        raise ValueError(f"Received clicks {np.unique(clicks)[:5]}, expected 0 and 1, both.")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("Received probabilities outside of 0 ... 1, expected none.")
