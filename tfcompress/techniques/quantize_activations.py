"""QuantizeActivations: 8-bit inputs and outputs of layers, for files that compute in integers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.keras import keras
from tfcompress.layers import Compressed, Integer, MovingAverage, Observer
from tfcompress.layers.compressed import raw
from tfcompress.layers.integer import INPUTS, OUTPUTS, with_ranges
from tfcompress.layers.ranges import BITS
from tfcompress.measure import FLOAT_BITS, LayerForm
from tfcompress.spec import Skip, Technique
from tfcompress.techniques.integers import refusal_in_integers

_layers = keras.layers
_KERNELS = (_layers.Dense, _layers.Conv2D, _layers.DepthwiseConv2D, _layers.EinsumDense)
# Folded into the operator before them: a file has their outputs only.
_FOLDED = (_layers.BatchNormalization, _layers.ReLU)
_NAMES = [kind.__name__ for kind in _KERNELS + _FOLDED]


@dataclass(frozen=True)
class QuantizeActivations(Technique):
    """Holds inputs and outputs of a layer in 8 bits, in training and in the file.

    The file computes the layer in integers alone, between ranges that are known beforehand; where
    the weights alone are in few bits (`Quantize`), LiteRT looks for the range of each input as it
    runs, and gives floats. Ranges are asymmetric, one for a tensor; training moves them, or
    `tfcompress.observe` does. Jacob et al., "Quantization and Training of Neural Networks for
    Efficient Integer-Arithmetic-Only Inference" (2018).

    It is for Dense, Conv2D, DepthwiseConv2D and EinsumDense layers that `Quantize` is for as well.
    Where a Conv2D, a DepthwiseConv2D or a Dense is followed by BatchNormalization or ReLU alone,
    the file has one operator for all of them, and what is rounded is its output: where the next
    layer rounds its inputs that is enough, else give the last of them this technique too.

    Args:
        bits: 8; 32 leaves the layer as it is.
        observer: `MovingAverage()`, `MinMax()` or `Percentile(percent)`.

    Raises:
        SpecError: a field out of range.

    Example:
        >>> from tfcompress.layers import Percentile
        >>> QuantizeActivations(observer=Percentile(99.9)).bits
        8
    """

    bits: int = BITS
    observer: Observer = field(default_factory=MovingAverage)

    def __post_init__(self) -> None:
        if self.bits not in (BITS, FLOAT_BITS):
            raise SpecError(
                f"QuantizeActivations received bits={self.bits!r}; expected {BITS}, or "
                f"{FLOAT_BITS} to leave activations as they are."
            )
        if not isinstance(self.observer, Observer):
            raise SpecError(
                f"QuantizeActivations received observer={self.observer!r}; expected "
                "MovingAverage(), MinMax() or Percentile(percent)."
            )

    def knows(self, layer: Any) -> bool:
        """BatchNormalization and ReLU, whose outputs may be an operator's."""
        return type(raw(layer)) in _FOLDED

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The same form, for activations are not stored; or why not."""
        if isinstance(form.layer, Integer):
            return Skip("its activations are in 8 bits already")
        if self.bits == FLOAT_BITS:
            return form
        # A technique before this one may have made another layer of it; a subclass has a call of
        # its own.
        if form.kind not in _NAMES or type(raw(form.layer)) not in _KERNELS + _FOLDED:
            return Skip(f"activations of {form.kind} stay float; expected {', '.join(_NAMES)}")
        if getattr(raw(form.layer), "data_format", "channels_last") == "channels_first":
            return Skip("LiteRT has channels last, and moves them with operators of their own")
        for weight in form.weights:
            reason = refusal_in_integers(weight)
            if reason:
                return Skip(reason)
        return form

    def apply(self, layer: Any) -> Any:
        """The layer with its activations on grids."""
        if self.bits == FLOAT_BITS:
            return layer
        wrapper = layer if isinstance(layer, Compressed) else Compressed(layer, {})
        return with_ranges(wrapper, self.observer, _places(layer))


def _places(layer: Any) -> tuple[str, ...]:
    """What of a layer an operator of the file begins or ends with."""
    inputs = () if type(raw(layer)) in _FOLDED else (INPUTS,)
    return inputs if _folds_next(layer) else (*inputs, OUTPUTS)


def _folds_next(layer: Any) -> bool:
    """Whether all that reads the layer's outputs, as far as a graph says so, becomes part of it."""
    nodes = [*layer._outbound_nodes, *raw(layer)._outbound_nodes]
    readers = [raw(node.outbound_layer) for node in nodes]
    linear = getattr(raw(layer), "activation", None) in (None, keras.activations.linear)
    # LiteRT reshapes what an EinsumDense puts out, before anything that follows.
    foldable = linear and not isinstance(raw(layer), (_layers.EinsumDense, _layers.ReLU))
    return foldable and bool(readers) and all(type(reader) in _FOLDED for reader in readers)
