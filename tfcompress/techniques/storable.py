"""In which bits, and on which grids, LiteRT's operators can hold their weights.

Measured with litert-quantizer 0.11 and ai-edge-litert 2.3, by storing a weight and running the
file. CONV_2D of 2 bits loads and gives NaN; one in groups does not load with one scale.
DEPTHWISE_CONV_2D of one scale gives infinities. litert-quantizer refuses 4 bits for it, for
TRANSPOSE_CONV and for BATCH_MATMUL with rounded activations, and blocks of 8 bits. A loop over time
that returns sequences does not run with weights in few bits, but it does in float16.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfcompress.layers import FakeQuantizer
from tfcompress.layers.grid import stored_bits
from tfcompress.layers.kinds import LOOP
from tfcompress.measure import WeightForm


@dataclass(frozen=True)
class Storable:
    """What one operator can hold.

    Attributes:
        bits: widths of a weight.
        one_scale: whether one scale for all weights.
        blocks: widths of a weight where blocks of a channel have scales.
        instead: what to do about it.
    """

    bits: tuple[int, ...]
    one_scale: bool = True
    blocks: tuple[int, ...] = ()
    instead: str = ""


_STORABLE = {
    "FULLY_CONNECTED": Storable((2, 4, 8, 16), blocks=(4,)),
    "EMBEDDING_LOOKUP": Storable((2, 4, 8, 16), blocks=(4,)),
    "CONV_2D": Storable((4, 8, 16)),
    "CONV_2D in groups": Storable((4, 8, 16), one_scale=False),
    "DEPTHWISE_CONV_2D": Storable((8, 16), one_scale=False),
    "TRANSPOSE_CONV": Storable((8, 16)),
    "BATCH_MATMUL": Storable((8,)),
    LOOP: Storable((16,), instead="; give the layer unroll=True"),
}


def refusal(weight: WeightForm, grid: FakeQuantizer) -> str | None:
    """Why the operator of a weight cannot hold it on this grid; None where it can.

    Of an operator that is not known the export finds out, which loads and compares the file.

    Example:
        >>> kernel = WeightForm("kernel", (3, 3, 8, 4), 2, operator="TRANSPOSE_CONV")
        >>> refusal(kernel, FakeQuantizer(4, channel_axis=2))
        'LiteRT holds the kernel of TRANSPOSE_CONV in 8 or 16 bits, not 4'
    """
    known = _STORABLE.get(weight.operator)
    if known is None:
        return None
    where = f"LiteRT holds the {weight.name} of {weight.operator}"
    bits = stored_bits(grid.bits)
    if bits not in known.bits:
        widths = " or ".join(map(str, known.bits))
        return f"{where} in {widths} bits, not {grid.bits}{known.instead}"
    if bits == 16:
        return None
    if grid.channel_axis is None and not known.one_scale:
        return f"{where} with a scale for each channel only; choose PerChannel()"
    if grid.block and not known.blocks:
        return f"{where} without scales for blocks; choose PerChannel()"
    if grid.block and bits not in known.blocks:
        return f"{where} with scales for blocks in 4 bits only, not {bits}; choose PerChannel()"
    return None
