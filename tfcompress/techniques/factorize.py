"""Factorize: a matrix becomes the product of two thin ones."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.keras import keras
from tfcompress.layers import Compressed, FactorizedDense, FactorizedEmbedding
from tfcompress.measure import LayerForm, WeightForm
from tfcompress.spec import Skip, Technique
from tfcompress.value import Value

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rank(Value):
    """How a rank is chosen for a matrix."""

    @abstractmethod
    def of(self, matrix: Array) -> int:
        """The rank for this matrix."""


@dataclass(frozen=True)
class Fraction(Rank):
    """A share of the full rank, rounded up.

    Raises:
        SpecError: not in (0, 1].

    Example:
        >>> import numpy as np
        >>> Fraction(0.25).of(np.ones((16, 8)))
        2
    """

    share: float

    def __post_init__(self) -> None:
        _check_share("Fraction", self.share)

    def of(self, matrix: Array) -> int:
        """That share of the smaller side."""
        return math.ceil(self.share * min(matrix.shape))


@dataclass(frozen=True)
class KeptEnergy(Rank):
    """The smallest rank that keeps this share of the sum of squared singular values.

    Raises:
        SpecError: not in (0, 1].

    Example:
        >>> import numpy as np
        >>> KeptEnergy(0.8).of(np.diag([3.0, 1.0, 0.1]))
        1
    """

    share: float

    def __post_init__(self) -> None:
        _check_share("KeptEnergy", self.share)

    def of(self, matrix: Array) -> int:
        """The rank at which the cumulated energy reaches the share."""
        energy = np.linalg.svd(matrix.astype(np.float64), compute_uv=False) ** 2
        kept = np.cumsum(energy) / max(float(energy.sum()), 1e-300)
        # A share of 1 must not be missed for the last bits of a floating-point sum.
        return min(int(np.searchsorted(kept, self.share - 1e-12)) + 1, len(energy))


def _check_share(name: str, share: float) -> None:
    if not 0 < share <= 1:
        raise SpecError(f"{name} received {share}; expected a share in (0, 1].")


def truncated_svd(matrix: Array, rank: int) -> tuple[Array, Array]:
    """The best approximation of limited rank, as two factors of equal norm.

    Eckart and Young (1936); `left = U sqrt(S)`, `right = sqrt(S) V'`.

    Args:
        matrix: `[rows, columns]`.
        rank: at most the smaller side.

    Returns:
        float32 `left [rows, rank]` and `right [rank, columns]`.

    Example:
        >>> import numpy as np
        >>> left, right = truncated_svd(np.outer([1.0, 2.0], [3.0, 4.0, 5.0]), rank=1)
        >>> bool(np.allclose(left @ right, np.outer([1, 2], [3, 4, 5])))
        True
    """
    u, s, vt = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    root = np.sqrt(s[:rank])
    left, right = u[:, :rank] * root, root[:, None] * vt[:rank]
    return left.astype(np.float32), right.astype(np.float32)


@dataclass(frozen=True)
class Factorize(Technique):
    """Replaces a Dense or Embedding layer by one of limited rank (truncated SVD).

    Denil et al., "Predicting Parameters in Deep Learning" (2013). A layer that would not become
    smaller is skipped.

    Args:
        rank: a number, `Fraction(share)` of the full rank, or `KeptEnergy(share)`.

    Raises:
        SpecError: a rank below 1, or something that is not a rank.

    Example:
        >>> Factorize(rank=16).rank
        16
    """

    rank: int | Rank

    def __post_init__(self) -> None:
        if isinstance(self.rank, Rank):
            return
        if not isinstance(self.rank, int) or isinstance(self.rank, bool) or self.rank < 1:
            raise SpecError(
                f"Factorize received rank={self.rank!r}; expected a whole number from 1, "
                "Fraction(share) or KeptEnergy(share)."
            )

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form with two factors, or why not."""
        if isinstance(form.layer, Compressed):
            return Skip("it is compressed already; factorize the layer before that")
        kind = _KINDS.get(type(form.layer))
        if kind is None:
            return Skip(f"Factorize knows Dense and Embedding, not {form.kind}")
        lost = [name for name in _LOST if getattr(form.layer, name, None) is not None]
        if lost:
            return Skip(f"it has a {lost[0]}, which is for a whole matrix and not for factors")
        rank = self.rank_of(form.value(kind.weight))
        rows, columns = form.weights[0].shape
        if rank * (rows + columns) >= rows * columns:
            return Skip(f"rank {rank} of a {rows}x{columns} matrix would not be smaller")
        lookup = form.weights[0].lookup
        left = WeightForm("left", (rows, rank), 0 if lookup else 1, lookup)
        right = WeightForm("right", (rank, columns), None if lookup else 1)
        return replace(form, kind=kind.factorized.__name__, weights=(left, right))

    def rank_of(self, matrix: Array) -> int:
        """The rank for this matrix, at most its full one."""
        wanted = self.rank.of(matrix) if isinstance(self.rank, Rank) else self.rank
        return min(wanted, *matrix.shape)

    def apply(self, layer: Any) -> Any:
        """The factorized layer, with the factors of the layer's current matrix."""
        kind = _KINDS[type(layer)]
        matrix = np.asarray(getattr(layer, kind.weight))
        rank = self.rank_of(matrix)
        new = kind.factorized(**kind.arguments(layer), rank=rank)
        new.build(getattr(layer, "_build_input_shape", None) or (None, matrix.shape[0]))
        left, right = truncated_svd(matrix, rank)
        new.left.assign(left)
        new.right.assign(right)
        if getattr(layer, "use_bias", False):
            new.bias.assign(layer.bias)
        return new


@dataclass(frozen=True)
class _Kind:
    """How one class of layer is factorized."""

    weight: str
    factorized: type
    fields: tuple[str, ...]

    def arguments(self, layer: Any) -> dict[str, Any]:
        shared = {name: getattr(layer, name) for name in self.fields}
        common = {"name": layer.name, "trainable": layer.trainable, "dtype": layer.dtype_policy}
        return {**shared, **common}


# By the class itself: a subclass may compute something else.
_KINDS = {
    keras.layers.Dense: _Kind("kernel", FactorizedDense, ("units", "activation", "use_bias")),
    keras.layers.Embedding: _Kind(
        "embeddings", FactorizedEmbedding, ("input_dim", "output_dim", "mask_zero")
    ),
}
_LOST = (
    "kernel_regularizer", "bias_regularizer", "embeddings_regularizer", "activity_regularizer",
    "kernel_constraint", "bias_constraint", "embeddings_constraint",
)  # fmt: skip
