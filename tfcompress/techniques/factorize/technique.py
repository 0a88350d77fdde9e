"""Factorize: a matrix becomes the product of two thin ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from tfcompress.calibration import Inputs
from tfcompress.errors import SpecError
from tfcompress.layers import Compressed, MappedEmbedding
from tfcompress.measure import LayerForm
from tfcompress.spec import Skip, Technique
from tfcompress.techniques.factorize.budgets import Budget, allocate
from tfcompress.techniques.factorize.error import Error, OutputError, WeightError
from tfcompress.techniques.factorize.kinds import KINDS, Channelwise, Kind, Split
from tfcompress.techniques.factorize.ranks import Rank
from tfcompress.techniques.fitted import Fitted

Array = np.ndarray[Any, Any]
_LOST = (
    "kernel_regularizer", "bias_regularizer", "embeddings_regularizer", "activity_regularizer",
    "kernel_constraint", "bias_constraint", "embeddings_constraint",
)  # fmt: skip
_WHOLE = Skip("the budget has room for its whole matrix")


@dataclass(frozen=True, repr=False)
class Factorize(Technique):
    """Replaces a Dense, Embedding, EinsumDense or Conv2D layer by one of limited rank.

    Denil et al., "Predicting Parameters in Deep Learning" (2013). A layer that would not become
    smaller is skipped. The projections of a MultiHeadAttention are EinsumDense layers. The table of
    a `MappedEmbedding` stays in its file: it is read once, chunk by chunk, to find the factors.

    Args:
        rank: a number, `Fraction(share)` of the full rank, `KeptEnergy(share)`, or for all layers
            of the rule together `ByteBudget(bytes)` or `BudgetShare(share)`.
        conv: how a convolution becomes two, `Channelwise()` or `Spatial()`.
        error: what is made the smallest, `WeightError()` or `OutputError()`, which wants a
            calibration.

    Raises:
        SpecError: a rank below 1, something that is not a rank, split or error, or an `OutputError`
            together with `Spatial`, whose first convolution sees only columns of what is recorded.

    Example:
        >>> Factorize(rank=16).rank
        16
        >>> from tfcompress import Spatial
        >>> Factorize(rank=16, conv=Spatial())
        Factorize(rank=16, conv=Spatial())
    """

    rank: int | Rank | Budget
    conv: Split = field(default_factory=Channelwise)
    error: Error = field(default_factory=WeightError)

    def __post_init__(self) -> None:
        self._check_rank()
        if not isinstance(self.conv, Split):
            raise SpecError(
                f"Factorize received conv={self.conv!r}; expected Channelwise() or Spatial()."
            )
        if not isinstance(self.error, Error):
            raise SpecError(
                f"Factorize received error={self.error!r}; expected WeightError() or OutputError()."
            )
        if isinstance(self.error, OutputError) and not isinstance(self.conv, Channelwise):
            raise SpecError(
                f"Factorize received {self.error!r} with conv={self.conv!r}; expected "
                "Channelwise(), whose first convolution sees the inputs that are recorded."
            )

    def _check_rank(self) -> None:
        if isinstance(self.rank, (Rank, Budget)):
            return
        if not isinstance(self.rank, int) or isinstance(self.rank, bool) or self.rank < 1:
            raise SpecError(
                f"Factorize received rank={self.rank!r}; expected a whole number from 1, "
                "Fraction(share), KeptEnergy(share), ByteBudget(bytes) or BudgetShare(share)."
            )

    def __repr__(self) -> str:
        plain = Factorize(1)
        shown = [f.name for f in fields(self) if getattr(self, f.name) != getattr(plain, f.name)]
        names = ["rank", *(name for name in shown if name != "rank")]
        return f"Factorize({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def knows(self, layer: Any) -> bool:
        """Whether the layer's class is one of those above."""
        return type(layer) in KINDS or isinstance(layer, MappedEmbedding)

    def prepare(self, forms: Sequence[LayerForm]) -> list[Technique | Skip]:
        """For each layer of a rule its own rank, or why it is left."""
        refused = [self._why_not(form) for form in forms]
        open_forms = [f for f, reason in zip(forms, refused, strict=True) if reason is None]
        ranks = iter(self._ranks(open_forms))
        return [
            Skip(reason) if reason is not None else self._of_rank(next(ranks), form)
            for form, reason in zip(forms, refused, strict=True)
        ]

    def _ranks(self, forms: Sequence[LayerForm]) -> list[int | None]:
        if isinstance(self.rank, Budget):
            spectra = [self._spectrum(form) for form in forms]
            return allocate([shape for shape, _ in spectra], [s for _, s in spectra], self.rank)
        return [self._rank_of(self._matrix(form.layer), form.inputs) for form in forms]

    def _spectrum(self, form: LayerForm) -> tuple[tuple[int, int], Array]:
        matrix = self._matrix(form.layer)
        rows, columns = matrix.shape
        return (rows, columns), self.error.spectrum(matrix, form.inputs)[1]

    def _rank_of(self, matrix: Array, inputs: Inputs | None) -> int:
        wanted = self.rank
        if isinstance(wanted, Rank):
            wanted = wanted.of(matrix, lambda m: self.error.spectrum(m, inputs))
        if isinstance(wanted, Budget):
            raise SpecError(f"{wanted!r} is for the layers of a rule; expected it in a spec.")
        return min(wanted, *matrix.shape)

    def _of_rank(self, rank: int | None, form: LayerForm) -> Technique | Skip:
        if rank is None:
            return _WHOLE
        chosen = replace(self, rank=rank)
        return chosen if form.inputs is None else Fitted(chosen, form.inputs)

    def _matrix(self, layer: Any) -> Any:
        return (
            layer.table if isinstance(layer, MappedEmbedding) else self._kind(layer).matrix(layer)
        )

    def _kind(self, layer: Any) -> Kind:
        return KINDS[type(layer)](self.conv)

    def _why_not(self, form: LayerForm) -> str | None:
        layer = form.layer
        if isinstance(layer, Compressed):
            return "it is compressed already; factorize the layer before that"
        if isinstance(layer, MappedEmbedding):
            return self._why_not_mapped(layer)
        if type(layer) not in KINDS:
            *most, last = (kind.__name__ for kind in KINDS)
            return f"Factorize knows {', '.join(most)} and {last}, not {form.kind}"
        lost = [name for name in _LOST if getattr(layer, name, None) is not None]
        if lost:
            return f"it has a {lost[0]}, which is for a whole matrix and not for factors"
        return self._kind(layer).why_not(layer) or self.error.why_not(form)

    def _why_not_mapped(self, layer: MappedEmbedding) -> str | None:
        if layer.quantizer is not None or layer.right is not None:
            return "it is compressed already; factorize the layer before that"
        if isinstance(self.error, OutputError):
            return "how often the rows of a mapped table are looked up is not recorded"
        return None

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form with two factors, or why not; a budget is this layer's alone."""
        reason = self._why_not(form)
        if reason is not None:
            return Skip(reason)
        (rank,) = self._ranks([form])
        rows, columns = self._matrix(form.layer).shape
        if rank is None:
            return _WHOLE
        if rank * (rows + columns) >= rows * columns:
            return Skip(f"rank {rank} of a {rows}x{columns} matrix would not be smaller")
        if isinstance(form.layer, MappedEmbedding):
            return form.layer.of_rank(rank).form(form.path)
        kind = self._kind(form.layer)
        weights = kind.forms(form.layer, (rows, columns), rank)
        bias = getattr(form.layer, "bias", None)
        other = 0 if bias is None else int(np.prod(bias.shape))
        return replace(form, kind=kind.factorized.__name__, weights=weights, other=other)

    def apply(self, layer: Any, inputs: Inputs | None = None) -> Any:
        """The factorized layer, with the factors of the layer's current matrix."""
        matrix = self._matrix(layer)
        rank = self._rank_of(matrix, inputs)
        if isinstance(layer, MappedEmbedding):
            return layer.factorized(rank)
        kind = self._kind(layer)
        common = {"name": layer.name, "trainable": layer.trainable, "dtype": layer.dtype_policy}
        new = kind.factorized(**kind.arguments(layer), **common, rank=rank)
        new.build(getattr(layer, "_build_input_shape", None) or (None, matrix.shape[0]))
        left, right = self.error.factors(matrix, rank, inputs)
        new.left.assign(left)
        new.right.assign(kind.stored(layer, right))
        if getattr(layer, "bias", None) is not None:
            new.bias.assign(layer.bias)
        return new
