"""Weights with one scale whose channels a converter has multiplied by numbers of their own.

It makes a BatchNormalization part of the kernel before it. On a grid with one step the product of
such a kernel does not lie any more; on grids with a step for each channel it does, with the same
levels. So that is how a file holds it, for the price of the scales.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tfcompress.export.find import Array, Stored, find_place
from tfcompress.layers import FakeQuantizer


def with_scales_as_folded(weights: list[Stored], constants: Iterable[Array]) -> list[Stored]:
    """The weights, those that are multiplied by channel on the grids of their channels.

    Args:
        weights: as they were trained.
        constants: of the converted graph.
    """
    sizes = {weight.value.size for weight in weights if _has_one_scale(weight)}
    values = [value for value in constants if value.size in sizes]
    return [_as_folded(weight, values) if _has_one_scale(weight) else weight for weight in weights]


def _has_one_scale(weight: Stored) -> bool:
    return weight.quantizer.channel_axis is None and weight.channel_axis is not None


def _as_folded(weight: Stored, values: list[Array]) -> Stored:
    by_channel = FakeQuantizer(weight.quantizer.bits, weight.channel_axis)
    wide = replace(weight, quantizer=by_channel)
    folded = any(not find_place(v, [weight]) and find_place(v, [wide]) for v in values)
    return wide if folded else weight
