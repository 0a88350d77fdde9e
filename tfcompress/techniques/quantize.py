"""Quantize: weights of 2 to 16 bits, trained on the grid on which they are stored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tfcompress.calibration import Inputs
from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.layers import (
    AbsMax,
    FakeQuantizer,
    HalfPrecision,
    HeldQuantizer,
    LearnedQuantizer,
    MappedEmbedding,
    Scale,
    mapped,
)
from tfcompress.layers.grid import stored_bits
from tfcompress.measure import FLOAT_BITS, Axes, LayerForm, WeightForm
from tfcompress.spec import Skip, Technique
from tfcompress.techniques.rounding import Nearest, Rounding
from tfcompress.techniques.storable import refusal
from tfcompress.techniques.wrap import has_transform, with_transforms
from tfcompress.value import Value

_HALF_BITS = 16
_BITS = (2, 3, 4, 8, _HALF_BITS, FLOAT_BITS)
_BLOCKS = (32, 64, 128, 256)  # the block sizes that LiteRT's kernels know


@dataclass(frozen=True)
class Granularity(Value):
    """Which weights share a scale."""

    @abstractmethod
    def arguments(self, channel_axis: Axes) -> dict[str, Any]:
        """The quantizer's arguments for it."""


@dataclass(frozen=True)
class PerTensor(Granularity):
    """One scale for a matrix."""

    def arguments(self, channel_axis: Axes) -> dict[str, Any]:
        """No channel axis."""
        return {"channel_axis": None}


@dataclass(frozen=True)
class PerChannel(Granularity):
    """One scale for each output of a kernel, each row of a table."""

    def arguments(self, channel_axis: Axes) -> dict[str, Any]:
        """The channel axis."""
        return {"channel_axis": channel_axis}


@dataclass(frozen=True)
class PerBlock(Granularity):
    """One scale for every `size` weights of a channel.

    Raises:
        SpecError: a size that LiteRT has no kernels for.
    """

    size: int = 32

    def __post_init__(self) -> None:
        if self.size not in _BLOCKS:
            raise SpecError(f"PerBlock received size={self.size}; expected one of {_BLOCKS}.")

    def arguments(self, channel_axis: Axes) -> dict[str, Any]:
        """The channel axis and the size of a block."""
        return {"channel_axis": channel_axis, "block": self.size}


@dataclass(frozen=True)
class Quantize(Technique):
    """Stores a layer's matrices in a few bits, and trains them on the very grid they ship on.

    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
    Only Inference" (2018); the gradient is the straight-through estimator of Bengio et al. (2013).
    Without training, the weights are those of the layer, rounded.

    Args:
        bits: 2, 3, 4 or 8; 16 for float16; 32 leaves the layer as it is. LiteRT has no kernel for
            3 bits: such weights have the levels -3 to 3, and a file holds them in 4 bits each,
            which is what `plan` and the report count.
        granularity: `PerTensor()`, `PerChannel()` or `PerBlock(size)`.
        scale: `AbsMax()`, `Deviations(multiple)`, `MeanSquare()`, `Learned()` or `Fixed(step)`.
        rounding: `Nearest()`, or `ErrorCorrecting()`, which wants a calibration.

    Raises:
        SpecError: a field out of range, 2 bits in blocks, which LiteRT cannot run, or a
            granularity, scale or rounding with float16, which has no grid.

    Example:
        >>> Quantize(bits=4, granularity=PerTensor(), scale=AbsMax()).bits
        4
        >>> from tfcompress import Fixed
        >>> Quantize(bits=8, scale=Fixed(1 / 64)).scale  # round(w * 64) / 64
        Fixed(size=0.015625)
    """

    bits: int = 8
    granularity: Granularity = field(default_factory=PerChannel)
    scale: Scale = field(default_factory=AbsMax)
    rounding: Rounding = field(default_factory=Nearest)

    def __post_init__(self) -> None:
        if self.bits not in _BITS:
            raise SpecError(f"Quantize received bits={self.bits!r}; expected one of {_BITS}.")
        if not isinstance(self.granularity, Granularity):
            raise SpecError(
                f"Quantize received granularity={self.granularity!r}; expected PerTensor(), "
                "PerChannel() or PerBlock(size)."
            )
        if not isinstance(self.scale, Scale):
            raise SpecError(
                f"Quantize received scale={self.scale!r}; expected AbsMax(), Deviations(...), "
                "MeanSquare(), Learned() or Fixed(step)."
            )
        if not isinstance(self.rounding, Rounding):
            raise SpecError(
                f"Quantize received rounding={self.rounding!r}; expected Nearest() or "
                "ErrorCorrecting()."
            )
        self._check_together()

    def _check_together(self) -> None:
        if self.bits == 2 and isinstance(self.granularity, PerBlock):
            raise SpecError(
                "Quantize received bits=2 with PerBlock; LiteRT has no such kernel. Expected "
                "PerChannel() or PerTensor(), or 4 bits in blocks."
            )
        grid = (self.granularity, self.scale, self.rounding)
        if self.bits == _HALF_BITS and grid != (PerChannel(), AbsMax(), Nearest()):
            raise SpecError(
                f"Quantize received bits=16 with {self.granularity!r}, {self.scale!r} and "
                f"{self.rounding!r}; expected none of them, for float16 has no grid."
            )

    def knows(self, layer: Any) -> bool:
        """Tables that stay in their files, which have no weights."""
        return isinstance(layer, MappedEmbedding)

    def prepare(self, forms: Sequence[LayerForm]) -> Sequence[Technique | Skip]:
        """For each layer the technique, with what the layer saw where its rounding wants it."""
        return self.rounding.prepared(self, forms)

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form with fewer bits, or why not."""
        if has_transform(form.layer, FakeQuantizer):
            return Skip("it is quantized already")
        if self.bits == FLOAT_BITS:
            return form
        if isinstance(form.layer, MappedEmbedding):
            return self._plan_mapped(form, form.layer)
        reason = self._why_not(form) or self.rounding.why_not(form)
        if reason:
            return Skip(reason)
        return form.with_weights(lambda w: self._quantizer(w.channel_axis).planned(w))

    def _plan_mapped(self, form: LayerForm, layer: MappedEmbedding) -> LayerForm | Skip:
        if layer.quantizer is not None:
            return Skip("it is quantized already")
        table = layer.weight_form()
        whole = replace(form, weights=(table,), other=form.other - table.parameters)
        quantizer = self._quantizer(0)
        reason = mapped.refusal(quantizer, self.rounding == Nearest()) or self._why_not(whole)
        return Skip(reason) if reason else whole.with_weights(quantizer.planned)

    def _why_not(self, form: LayerForm) -> str | None:
        if isinstance(self.granularity, PerBlock):
            for weight in form.weights:
                if weight.channel_axis is None:
                    continue
                width = weight.parameters // weight.channels
                if width % self.granularity.size:
                    size = self.granularity.size
                    return f"blocks of {size} do not divide a width of {width}"
        bits = stored_bits(self.bits)
        for weight in form.weights:
            reason = refusal(weight, self._quantizer(weight.channel_axis))
            if reason:
                return reason
            # Measured: LiteRT's look-up steps from row to row in bytes, and reads wrong rows else.
            if weight.lookup and weight.shape[1] * bits % 8:
                return (
                    f"LiteRT looks up rows of whole bytes, and {weight.shape[1]} weights of "
                    f"{bits} bits are none; choose a width or rank that makes them so"
                )
        return None

    def apply(self, layer: Any, inputs: Inputs | None = None) -> Any:
        """The layer on its grid."""
        if self.bits == FLOAT_BITS:
            return layer
        if isinstance(layer, MappedEmbedding):
            return layer.quantized(self._quantizer(0))
        wrapper = with_transforms(layer, lambda role: self._quantizer(role.channel_axis))
        self.rounding.carry_out(wrapper, inputs)
        return wrapper

    def rounded(self, value: Any, weight: WeightForm) -> Any:
        """A weight's value, float of its own shape, on the grid with which training would start."""
        return self._made(FakeQuantizer, weight.channel_axis)(tf.constant(value)).numpy()

    def _quantizer(self, channel_axis: Axes) -> FakeQuantizer:
        kind = LearnedQuantizer if self.scale.trained else self.rounding.quantizer
        return self._made(kind, channel_axis)

    def _made(self, kind: type[FakeQuantizer], channel_axis: Axes) -> FakeQuantizer:
        if self.bits == _HALF_BITS:
            return HalfPrecision(channel_axis)
        granularity = PerTensor() if channel_axis is None else self.granularity
        where = granularity.arguments(channel_axis)
        made = kind(self.bits, scale=self.scale, **where)
        if isinstance(made, HeldQuantizer):
            made.rounding = self.rounding
        return made
