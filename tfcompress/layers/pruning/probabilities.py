"""Weights that survive by chance, the larger the likelier."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.value import Value

Array = np.ndarray[Any, Any]


def survival(magnitudes: Array, expected: float) -> Array:
    """Probabilities `min(1, c |w|)`, with `c` such that `expected` weights survive on average.

    Where fewer weights than that are not zero, each of them survives.

    Args:
        magnitudes: `[n]`, none negative.
        expected: from 0 to n.

    Returns:
        float64 `[n]`.

    Example:
        >>> survival(np.array([8.0, 1.0, 0.0, 3.0]), 2.0).tolist()
        [1.0, 0.25, 0.0, 0.75]
    """
    ordered = np.sort(magnitudes.astype(np.float64))[::-1]
    present = int(np.count_nonzero(ordered))
    if expected >= present:
        return (magnitudes > 0).astype(np.float64)
    # If the `i` largest are certain, the others share what is left: c = (expected - i) / rest[i].
    rest = np.cumsum(ordered[::-1])[::-1][:present]
    factors = (expected - np.arange(present)) / rest
    certain = int(np.argmax(factors * ordered[:present] <= 1.0))
    return np.minimum(1.0, factors[certain] * magnitudes.astype(np.float64))


@dataclass(frozen=True)
class ByProbability(Value):
    """A weight survives with the probability `min(1, c |w|)`.

    Achlioptas and McSherry, "Fast Computation of Low Rank Matrix Approximations" (2007); Drineas
    and Zouzias, "A Note on Element-wise Matrix Sparsification" (2011). The draw follows from the
    seed and the weights: the same model is made sparse in the same way, and two layers in two.

    Args:
        sparsity: share of zeros to expect, 0 <= sparsity < 1.
        seed: of the draw, a whole number from 0.
        rescale: divide what survives by its probability. The sparse matrix then is the dense one
            on average, and deviates from it more.

    Raises:
        SpecError: a field out of range.

    Example:
        >>> from tfcompress import Sparsify
        >>> Sparsify(ByProbability(0.8, rescale=True)).how.seed
        0
    """

    sparsity: float
    seed: int = 0
    rescale: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.sparsity < 1.0:
            raise SpecError(
                f"ByProbability received sparsity={self.sparsity}; expected 0 <= sparsity < 1."
            )
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            raise SpecError(
                f"ByProbability received seed={self.seed!r}; expected a whole number from 0."
            )
        if not isinstance(self.rescale, bool):
            raise SpecError(
                f"ByProbability received rescale={self.rescale!r}; expected True or False."
            )

    @property
    def neutral(self) -> bool:
        """Whether every weight survives."""
        return self.sparsity == 0.0

    def factors(self, weight: Array) -> Array:
        """By what each weight is multiplied: 0 where it goes, float32 in the weight's shape."""
        magnitudes = np.abs(weight).ravel()
        probabilities = survival(magnitudes, weight.size * (1.0 - self.sparsity))
        content = zlib.crc32(np.ascontiguousarray(weight).tobytes())
        drawn = np.random.default_rng([self.seed, content]).random(weight.size) < probabilities
        kept = drawn.astype(np.float32)
        if self.rescale:
            kept[drawn] = 1.0 / probabilities[drawn]
        return kept.reshape(weight.shape)
