"""Which weights LiteRT stores and computes with, as measured.

`modes.json` is what `python -m tfcompress.export.modes` wrote: for every operator, width of the
weights, granularity, kind of activations and pattern of zeros, whether the file loads and agrees
with Keras.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

TABLE = "modes.json"
FLOAT, DYNAMIC, STATIC = "float", "dynamic int8", "static int8"
WHOLE, TENSOR, CHANNEL, BLOCK = "none", "tensor", "channel", "block"
HALF_BITS = 16


@dataclass(frozen=True)
class Mode:
    """How an operator has its weights.

    Attributes:
        operator: see `WeightRole`.
        bits: of a weight; 16 is float16, 32 float32.
        granularity: which weights share a scale: `tensor`, `channel` or `block` (of 32); `none` of
            floats.
        activations: `float` (weights are made floats as the file runs), `dynamic int8` (rounded as
            it runs) or `static int8` (ranges are known).
        zeros: in what shapes they are left out, see `Row`; "": they are stored.
    """

    operator: str
    bits: int
    granularity: str
    activations: str
    zeros: str = ""


@dataclass(frozen=True)
class Row:
    """What was found of one mode.

    Attributes:
        operator: as in `Mode`, like the next four.
        bits: of a weight.
        granularity: which weights share a scale.
        activations: how inputs are rounded.
        runs: whether the file loads and agrees with Keras.
        deviation: of its outputs, see `Agreement`; None: there are none.
        reason: why it does not run, or what else is to be known of it.
        zeros: `single weights`, `blocks of 4 inputs`, `blocks of 16 inputs`, or "".
    """

    operator: str
    bits: int
    granularity: str
    activations: str
    runs: bool
    deviation: float | None
    reason: str
    zeros: str = ""

    @property
    def mode(self) -> Mode:
        """What was tried."""
        return Mode(self.operator, self.bits, self.granularity, self.activations, self.zeros)


@cache
def measured() -> dict[Mode, Row]:
    """The table's rows by mode.

    Example:
        >>> measured()[Mode("CONV_2D", 2, "channel", "dynamic int8")].runs
        False
    """
    rows = [Row(**row) for row in _table()["rows"]]
    return {row.mode: row for row in rows}


def versions() -> dict[str, str]:
    """Of what was measured: packages and their versions."""
    return dict(_table()["versions"])


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(resources.files(__package__).joinpath(TABLE).read_text())
    return table


def is_known(operator: str) -> bool:
    """Whether anything was measured of an operator."""
    return any(mode.operator == operator for mode in measured())


def widths(operator: str, granularity: str) -> tuple[int, ...]:
    """The bits in which `Quantize` alone may store weights that share scales so; see `as_stored`.

    Example:
        >>> widths("FULLY_CONNECTED", "block"), widths("CONV_2D", "channel")
        ((4,), (4, 8))
    """
    found = (row for row in measured().values() if row.operator == operator and not row.zeros)
    runs = (row for row in found if row.runs and row.mode == as_stored(row.mode))
    return tuple(sorted(row.bits for row in runs if row.granularity == granularity))


def as_stored(mode: Mode) -> Mode:
    """A mode with the activations that a file has where nobody asked for others."""
    few = mode.bits < HALF_BITS
    return Mode(mode.operator, mode.bits, mode.granularity, DYNAMIC if few else FLOAT, mode.zeros)


def sparse_rows(bits: int) -> list[Row]:
    """What was found of kernels without their zeros."""
    return [row for row in measured().values() if row.zeros and row.bits == bits]
