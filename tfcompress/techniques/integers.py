"""Which weights LiteRT can compute with in integers alone, as measured (`modes`)."""

from __future__ import annotations

from tfcompress.measure import FLOAT_BITS, WeightForm
from tfcompress.techniques.modes import BLOCK, CHANNEL, STATIC, TENSOR, Mode, measured


def granularity_of(weight: WeightForm) -> str:
    """`block`, `tensor` or `channel`: which weights share a scale."""
    if weight.block:
        return BLOCK
    return TENSOR if weight.scales == 1 and weight.channels > 1 else CHANNEL


def refusal_in_integers(weight: WeightForm) -> str | None:
    """Why the operator of a weight cannot compute in integers alone; None where it can.

    Example:
        >>> refusal_in_integers(WeightForm("kernel", (8, 4), 1, operator="FULLY_CONNECTED"))
        'its kernel is in float32; integers need weights in few bits: add Quantize(bits=8)'
        >>> kernel = WeightForm("kernel", (8, 4), 1, bits=8, scales=4, operator="FULLY_CONNECTED")
        >>> refusal_in_integers(kernel) is None
        True
    """
    if weight.bits == FLOAT_BITS:
        few = "integers need weights in few bits: add Quantize(bits=8)"
        return f"its {weight.name} is in float32; {few}"
    granularity = granularity_of(weight)
    row = measured().get(Mode(weight.operator, weight.bits, granularity, STATIC))
    if row is not None and row.runs:
        return None
    why = row.reason if row else "it was not measured"
    return (
        f"LiteRT's {weight.operator} does not compute in integers with a {weight.name} of "
        f"{weight.bits} bits, a scale for each {granularity} ({why})"
    )
