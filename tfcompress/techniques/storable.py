"""In which bits, and on which grids, LiteRT's operators can hold their weights, as measured.

What `modes` says of weights whose activations nobody asked to be otherwise: rounded as the file
runs where weights are in few bits, floats where they are float16. CONV_2D of 2 bits loads and gives
NaN, DEPTHWISE_CONV_2D of one scale infinities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tfcompress.layers import FakeQuantizer
from tfcompress.layers.grid import stored_bits
from tfcompress.layers.kinds import LOOP
from tfcompress.measure import WeightForm
from tfcompress.techniques.modes import BLOCK, CHANNEL, HALF_BITS, TENSOR, WHOLE, is_known, widths


@dataclass(frozen=True)
class Storable:
    """What one operator can hold.

    Attributes:
        bits: widths of a weight.
        one_scale: whether one scale for all weights, in each of these widths.
        blocks: widths of a weight where blocks of a channel have scales.
        instead: what to do about it.
    """

    bits: tuple[int, ...]
    one_scale: bool = True
    blocks: tuple[int, ...] = ()
    instead: str = ""


# The table has a lone GRU, which runs in fewer bits too. Of loops in whole models, and of an LSTM,
# it says nothing: only float16 is let through until it does.
_ONLY = {LOOP: (HALF_BITS,)}
_INSTEAD = {LOOP: "; give the layer unroll=True"}


@cache
def storable(operator: str) -> Storable | None:
    """What an operator can hold; None: it was not measured.

    Example:
        >>> storable("TRANSPOSE_CONV").bits
        (8, 16)
    """
    if not is_known(operator):
        return None
    by_channel, half = widths(operator, CHANNEL), widths(operator, WHOLE)
    found = (*by_channel, *(bits for bits in half if bits == HALF_BITS))
    kept = tuple(bits for bits in found if bits in _ONLY.get(operator, found))
    return Storable(
        kept,
        set(by_channel) <= set(widths(operator, TENSOR)),
        tuple(bits for bits in widths(operator, BLOCK) if bits in kept),
        _INSTEAD.get(operator, ""),
    )


def refusal(weight: WeightForm, grid: FakeQuantizer) -> str | None:
    """Why the operator of a weight cannot hold it on this grid; None where it can.

    Of an operator that is not known the export finds out, which loads and compares the file.

    Example:
        >>> kernel = WeightForm("kernel", (3, 3, 8, 4), 2, operator="TRANSPOSE_CONV")
        >>> refusal(kernel, FakeQuantizer(4, channel_axis=2))
        'LiteRT holds the kernel of TRANSPOSE_CONV in 8 or 16 bits, not 4'
    """
    known = storable(weight.operator)
    if known is None:
        return None
    where = f"LiteRT holds the {weight.name} of {weight.operator}"
    bits = stored_bits(grid.bits)
    if bits not in known.bits:
        several = " or ".join(map(str, known.bits))
        return f"{where} in {several} bits, not {grid.bits}{known.instead}"
    if bits == HALF_BITS:
        return None
    if grid.channel_axis is None and not known.one_scale:
        return f"{where} with a scale for each channel only; choose PerChannel()"
    if grid.block and not known.blocks:
        return f"{where} without scales for blocks; choose PerChannel()"
    if grid.block and bits not in known.blocks:
        return f"{where} with scales for blocks in 4 bits only, not {bits}; choose PerChannel()"
    return None
