"""Quantize: weights of 2, 4 or 8 bits, trained on the grid on which they are stored."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.layers import FakeQuantizer
from tfcompress.measure import FLOAT_BITS, Axes, LayerForm
from tfcompress.spec import Skip, Technique
from tfcompress.techniques.storable import refusal
from tfcompress.techniques.wrap import has_transform, with_transforms
from tfcompress.value import Value

_BITS = (2, 4, 8, FLOAT_BITS)
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
class Scale(Value):
    """Where a grid ends."""

    @property
    @abstractmethod
    def deviations(self) -> float | None:
        """In standard deviations; None: at the largest magnitude."""


@dataclass(frozen=True)
class AbsMax(Scale):
    """The grid ends at the largest magnitude."""

    @property
    def deviations(self) -> None:
        """None: at the largest magnitude."""
        return None


@dataclass(frozen=True)
class Deviations(Scale):
    """The grid ends at a multiple of the standard deviation; larger weights are clipped to it.

    Raises:
        SpecError: a multiple not above 0.
    """

    multiple: float = 3.0

    def __post_init__(self) -> None:
        if self.multiple <= 0:
            raise SpecError(f"Deviations received {self.multiple}; expected a multiple above 0.")

    @property
    def deviations(self) -> float:
        """The multiple."""
        return self.multiple


@dataclass(frozen=True)
class Quantize(Technique):
    """Stores a layer's matrices in a few bits, and trains them on the very grid they ship on.

    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
    Only Inference" (2018); the gradient is the straight-through estimator of Bengio et al. (2013).

    Args:
        bits: 2, 4 or 8; 32 leaves the layer as it is.
        granularity: `PerTensor()`, `PerChannel()` or `PerBlock(size)`.
        scale: `AbsMax()` or `Deviations(multiple)`.

    Raises:
        SpecError: a field out of range, or 2 bits in blocks, which LiteRT cannot run.

    Example:
        >>> Quantize(bits=4, granularity=PerTensor(), scale=Deviations(3.0)).bits
        4
    """

    bits: int = 8
    granularity: Granularity = field(default_factory=PerChannel)
    scale: Scale = field(default_factory=AbsMax)

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
                f"Quantize received scale={self.scale!r}; expected AbsMax() or Deviations(...)."
            )
        if self.bits == 2 and isinstance(self.granularity, PerBlock):
            raise SpecError(
                "Quantize received bits=2 with PerBlock; LiteRT has no such kernel. Expected "
                "PerChannel() or PerTensor(), or 4 bits in blocks."
            )

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form with fewer bits, or why not."""
        if has_transform(form.layer, FakeQuantizer):
            return Skip("it is quantized already")
        if isinstance(self.granularity, PerBlock):
            for weight in form.weights:
                if weight.channel_axis is None:
                    continue
                width = weight.parameters // weight.channels
                if width % self.granularity.size:
                    size = self.granularity.size
                    return Skip(f"blocks of {size} do not divide a width of {width}")
        if self.bits == FLOAT_BITS:
            return form
        for weight in form.weights:
            reason = refusal(weight, self._quantizer(weight.channel_axis))
            if reason:
                return Skip(reason)
            # Measured: LiteRT's look-up steps from row to row in bytes, and reads wrong rows else.
            if weight.lookup and weight.shape[1] * self.bits % 8:
                return Skip(
                    f"LiteRT looks up rows of whole bytes, and {weight.shape[1]} weights of "
                    f"{self.bits} bits are none; choose a width or rank that makes them so"
                )
        return form.with_weights(lambda w: self._quantizer(w.channel_axis).planned(w))

    def apply(self, layer: Any) -> Any:
        """The layer on its grid."""
        if self.bits == FLOAT_BITS:
            return layer

        return with_transforms(layer, lambda role: self._quantizer(role.channel_axis))

    def _quantizer(self, channel_axis: Axes) -> FakeQuantizer:
        granularity = PerTensor() if channel_axis is None else self.granularity
        where = granularity.arguments(channel_axis)
        return FakeQuantizer(self.bits, deviations=self.scale.deviations, **where)
