"""QuantizeActivations: 8-bit inputs and outputs of layers, for files that compute in integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.keras import keras
from tfcompress.layers import Compressed, Integer, MovingAverage, Observer
from tfcompress.layers.compressed import raw
from tfcompress.layers.integer import INPUTS, OUTPUTS, ends_with_operator, with_ranges
from tfcompress.layers.ranges import BITS
from tfcompress.measure import FLOAT_BITS, LayerForm
from tfcompress.spec import JointTechnique, Outcome, Skip
from tfcompress.surgery import walk
from tfcompress.techniques.integers import refusal_in_integers
from tfcompress.techniques.readers import Graph

_layers = keras.layers
_KERNELS = (_layers.Dense, _layers.Conv2D, _layers.DepthwiseConv2D, _layers.EinsumDense)
# Folded into the operator before them: a file has their outputs only.
_FOLDED = (_layers.BatchNormalization, _layers.ReLU)
_NAMES = [kind.__name__ for kind in _KERNELS + _FOLDED]


@dataclass(frozen=True)
class QuantizeActivations(JointTechnique):
    """Holds inputs and outputs of a layer in 8 bits, in training and in the file.

    The file computes the layer in integers alone, between ranges that are known beforehand; where
    the weights alone are in few bits (`Quantize`), LiteRT looks for the range of each input as it
    runs, and gives floats. Ranges are asymmetric, one for a tensor; training moves them, or
    `tfcompress.observe` does. Jacob et al., "Quantization and Training of Neural Networks for
    Efficient Integer-Arithmetic-Only Inference" (2018).

    It is for Dense, Conv2D, DepthwiseConv2D and EinsumDense layers that `Quantize` is for as well.
    Where a Conv2D, a DepthwiseConv2D or a Dense is followed by BatchNormalization or ReLU alone,
    the file has one operator for all of them, and what is rounded is its output: where the next
    layer rounds its inputs that is enough, else give the last of them this technique too. Where
    neither is so the layer is skipped.

    Nothing is rounded twice: where a graph says that a layer reads what others have rounded as
    their outputs, its inputs are not rounded again. In models without a graph both are.

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

    def _seen_alone(self, form: LayerForm) -> LayerForm | Skip:
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

    @classmethod
    def plan_together(
        cls, model: Any, forms: Mapping[int, Any], asked: Mapping[int, Any]
    ) -> dict[int, Outcome]:
        """For every layer that was asked for the same form, or why it is left as it is."""
        results = {key: technique._seen_alone(forms[key]) for key, technique in asked.items()}
        taken = [
            forms[k].layer
            for k, result in results.items()
            if not isinstance(result, Skip) and asked[k].bits != FLOAT_BITS
        ]
        graph = Graph(model)
        for key, end in _without_range(graph, taken).items():
            results[key] = Skip(
                f"a file has one operator for it and {end!r} behind it, and nothing rounds what "
                f"that puts out; give {end!r} QuantizeActivations too"
            )
        places = _places(graph, [one for one in taken if not isinstance(results[id(one)], Skip)])
        for key in results:
            if places.get(key) == () and type(raw(forms[key].layer)) in _FOLDED:
                results[key] = Skip("a file has one operator for it and the layer behind it")
        return {
            key: Outcome(forms[key], result if isinstance(result, Skip) else None)
            for key, result in results.items()
        }

    @classmethod
    def apply_together(cls, model: Any, asked: Mapping[int, Any]) -> list[tuple[Any, Any]]:
        """Every layer that was asked for, with the one whose activations are on grids."""
        layers = {id(held.layer): held.layer for held in walk(model)}
        taken = [layers[k] for k, technique in asked.items() if technique.bits != FLOAT_BITS]
        return [
            (layers[key], asked[key]._rounding(layers[key], places))
            for key, places in _places(Graph(model), taken).items()
        ]

    def _rounding(self, layer: Any, places: Sequence[str]) -> Any:
        wrapper = layer if isinstance(layer, Compressed) else Compressed(layer, {})
        return with_ranges(wrapper, self.observer, places)


def _places(graph: Graph, layers: Sequence[Any]) -> dict[int, tuple[str, ...]]:
    """What is rounded of each of these layers, by their identity: where an operator's ends are."""
    ending = [layer for layer in layers if not _folds_next(graph, layer)]
    rounded = {id(raw(layer)) for layer in ending if ends_with_operator(raw(layer))}
    found = {}
    for layer in layers:
        read = graph.read_by(layer)
        already = bool(read) and all(id(one) in rounded for one in read)
        inputs = () if already or type(raw(layer)) in _FOLDED else (INPUTS,)
        found[id(layer)] = (*inputs, OUTPUTS) if layer in ending else inputs
    return found


def _without_range(graph: Graph, layers: Sequence[Any]) -> dict[int, str]:
    """Of each of these layers whose operator's outputs nothing rounds, where that operator ends."""
    found: dict[int, str] = {}
    while True:  # what is left out rounds nothing for the others
        left = [layer for layer in layers if id(layer) not in found]
        rounding = {id(raw(layer)) for layer in left}
        ends = {id(layer): _open_end(graph, layer, rounding) for layer in left}
        new = {key: end for key, end in ends.items() if end is not None}
        if not new:
            return found
        found.update(new)


def _open_end(graph: Graph, layer: Any, rounding: set[int]) -> str | None:
    """The name of the last layer of an operator whose outputs nothing rounds; None: something does.

    Args:
        graph: of the model.
        layer: the operator's first layer, or a later one.
        rounding: the layers that round, by identity.
    """
    if _folds_next(graph, layer):
        ends = [_open_end(graph, one, rounding) for one in graph.readers(layer)]
        return next((end for end in ends if end is not None), None)
    behind = [one for one in graph.readers_past(layer) if type(one) not in _FOLDED]
    rounded = any(id(one) in rounding for one in (raw(layer), *behind))
    return None if rounded else str(layer.name)


def _folds_next(graph: Graph, layer: Any) -> bool:
    """Whether all that reads the layer's outputs becomes part of its operator."""
    linear = getattr(raw(layer), "activation", None) in (None, keras.activations.linear)
    # LiteRT reshapes what an EinsumDense puts out, before anything that follows.
    foldable = linear and not isinstance(raw(layer), (_layers.EinsumDense, _layers.ReLU))
    calls = graph.readers_by_call(layer)
    return foldable and bool(calls) and all(_is_one_folded(readers) for readers in calls)


def _is_one_folded(readers: Sequence[Any]) -> bool:
    # What two layers read has to be there by itself.
    return len(readers) == 1 and type(readers[0]) in _FOLDED
