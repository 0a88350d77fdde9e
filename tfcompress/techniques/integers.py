"""Which weights LiteRT can compute with in integers alone, as measured.

`integers.json` is what `python -m tfcompress.export.probe` wrote: for every operator, width of the
weights, granularity and kind of activations, whether the file loads and agrees with Keras.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from tfcompress.measure import FLOAT_BITS, WeightForm

TABLE = "integers.json"
STATIC = "static int8"
_Key = tuple[str, int, str, str]


@cache
def measured() -> dict[_Key, dict[str, Any]]:
    """The table's rows by operator, bits of the weights, granularity and activations."""
    text = resources.files(__package__).joinpath(TABLE).read_text()
    rows = json.loads(text)["rows"]
    return {(r["operator"], r["bits"], r["granularity"], r["activations"]): r for r in rows}


def granularity_of(weight: WeightForm) -> str:
    """`block`, `tensor` or `channel`: which weights share a scale."""
    if weight.block:
        return "block"
    return "tensor" if weight.scales == 1 and weight.channels > 1 else "channel"


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
    key = (weight.operator, weight.bits, granularity_of(weight), STATIC)
    row = measured().get(key)
    if row is not None and row["runs"]:
        return None
    why = row["reason"] if row else "it was not measured"
    return (
        f"LiteRT's {weight.operator} does not compute in integers with a {weight.name} of "
        f"{weight.bits} bits, a scale for each {key[2]} ({why})"
    )
