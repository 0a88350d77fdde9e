"""What was done to each layer of a compressed model, read off the model itself, as a spec."""

from __future__ import annotations

from functools import reduce
from typing import Any

from tfcompress.layers import (
    ChosenSharedEmbedding,
    CodedEmbedding,
    Compressed,
    FactorizedConv2D,
    FactorizedDense,
    FactorizedEinsumDense,
    FactorizedEmbedding,
    FakeQuantizer,
    HalfPrecision,
    Integer,
    Kept,
    MappedEmbedding,
    Mask,
    SharedEmbedding,
    TieredEmbedding,
)
from tfcompress.layers.compressed import raw
from tfcompress.spec import Rule, Spec, Technique
from tfcompress.surgery import walk
from tfcompress.techniques import (
    Code,
    Factorize,
    PerBlock,
    PerChannel,
    PerTensor,
    Prune,
    Quantize,
    QuantizeActivations,
    Share,
    Sparsify,
    Spatial,
    Tier,
)
from tfcompress.techniques.quantize import Granularity
from tfcompress.techniques.rounding import Nearest
from tfcompress.where import by_name

_FACTORIZED = (FactorizedConv2D, FactorizedDense, FactorizedEinsumDense, FactorizedEmbedding)


def spec_of(model: Any) -> Spec | None:
    """The spec that compresses a plain model as this one is compressed; None: nothing was done."""
    rules: dict[tuple[Technique, ...], list[str]] = {}
    for held in walk(model):
        techniques = done_to(held.layer)
        if techniques:
            rules.setdefault(techniques, []).append(held.path)
    if not rules:
        return None
    return Spec(
        [
            Rule(reduce(lambda a, b: a | b, [by_name(path) for path in paths]), techniques)
            for techniques, paths in rules.items()
        ]
    )


def done_to(layer: Any) -> tuple[Technique, ...]:
    """The techniques that make a plain layer what this one is."""
    found: list[Technique] = []
    inner = raw(layer)
    if isinstance(inner, FactorizedConv2D) and inner.second_size != (1, 1):
        found.append(Factorize(inner.rank, Spatial()))
    elif isinstance(inner, _FACTORIZED):
        found.append(Factorize(inner.rank))
    if isinstance(inner, CodedEmbedding):
        start = {} if inner.start is None else {"start": inner.start}
        found.append(Code(inner.codes, inner.centroids, **start))
    if isinstance(inner, SharedEmbedding):
        found.append(_share(inner))
    if isinstance(inner, TieredEmbedding):
        found.append(Tier(fine=inner.fine / inner.input_dim, wide=inner.wide))
    if isinstance(inner, MappedEmbedding):
        found += _mapped(inner)
    if isinstance(layer, Compressed) and layer.transforms:
        for transform in next(iter(layer.transforms.values())):
            if isinstance(transform, Mask):
                found.append(_prune(transform))
            elif isinstance(transform, Kept):
                found.append(Sparsify(transform.how))
            elif isinstance(transform, FakeQuantizer):
                found.append(_quantize(transform))
    if isinstance(layer, Integer):
        found.append(QuantizeActivations(observer=layer.observer))
    return tuple(found)


def _mapped(layer: MappedEmbedding) -> list[Technique]:
    factors = [] if layer.right is None else [Factorize(len(layer.right))]
    return [*factors, *([] if layer.quantizer is None else [_quantize(layer.quantizer)])]


def _prune(mask: Mask) -> Prune:
    rest = mask.schedule, mask.importance, mask.scope.asked
    return Prune(mask.sparsity, mask.block, *rest)


def _share(layer: SharedEmbedding) -> Share:
    chosen = isinstance(layer, ChosenSharedEmbedding)
    ids = tuple(layer.kept_ids.numpy().tolist()) if chosen else ()
    return Share(layer.hashing, getattr(layer, "keep", 0), ids)


def _quantize(grid: FakeQuantizer) -> Quantize:
    if isinstance(grid, HalfPrecision):
        return Quantize(grid.bits)
    by: Granularity = PerTensor() if grid.channel_axis is None else PerChannel()
    by = PerBlock(grid.block) if grid.block else by
    rounding = getattr(grid, "rounding", None) or Nearest()
    return Quantize(grid.bits, by, grid.scale, rounding)
