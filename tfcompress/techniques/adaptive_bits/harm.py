"""What bits harm: how outputs are compared with those of before, or weights with their own."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.measure import LayerForm
from tfcompress.techniques.quantize import Quantize
from tfcompress.value import Value

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class OutputHarm(Value):
    """How outputs of a model are compared with those of before."""

    @abstractmethod
    def of(self, before: Array, after: Array) -> float:
        """The harm, not below 0: float `[batch, ...]` both, summed over the batch."""


@dataclass(frozen=True)
class SquaredError(OutputHarm):
    """Squared differences, averaged over an example's outputs.

    Example:
        >>> SquaredError().of(np.zeros((2, 4)), np.ones((2, 4)))
        2.0
    """

    def of(self, before: Array, after: Array) -> float:
        """Their mean for an example, summed over the batch."""
        return float(np.mean(np.square(after - before)) * len(before))


@dataclass(frozen=True)
class Divergence(OutputHarm):
    """Kullback-Leibler divergence of the softmax over the last axis, for outputs that are logits.

    Example:
        >>> round(Divergence().of(np.array([[0.0, 0.0]]), np.array([[1.0, -1.0]])), 4)
        0.4338
    """

    def of(self, before: Array, after: Array) -> float:
        """From before to after, averaged over an example's distributions."""
        first, second = _log_softmax(before), _log_softmax(after)
        each = np.sum(np.exp(first) * (first - second), axis=-1)
        return max(float(np.mean(each) * len(before)), 0.0)


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def weight_harm(form: LayerForm, technique: Quantize) -> float:
    """Squared error of a layer's weights on a grid, as a share of their own squares."""
    error = total = 0.0
    for weight in form.weights:
        value = form.value(weight.name).astype(np.float64)
        error += float(np.square(technique.rounded(value, weight) - value).sum())
        total += float(np.square(value).sum())
    return error / max(total, 1e-300)
