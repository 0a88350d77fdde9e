"""The specs that are recorded, and the techniques whose harm is measured beforehand."""

from __future__ import annotations

from typing import Any

import tfcompress as tfc

tune: Any = tfc.tune  # an open value stands where a plain one is asked for

# One scale for a table: a row of 16 weights in few bits is as small as a scale of its own.
TABLE_BITS = tuple(tfc.Quantize(bits, tfc.PerTensor(), tfc.MeanSquare()) for bits in (2, 4, 8))
TECHNIQUES = (
    *TABLE_BITS,
    *(tfc.Quantize(bits) for bits in (2, 4, 8)),
    *(tfc.Factorize(tfc.Fraction(share)) for share in (0.0625, 0.25, 0.5, 0.75)),
    *(tfc.Prune(sparsity) for sparsity in (0.3, 0.6, 0.95)),
)


def space() -> tfc.Space:
    """Rank and bits of the three large tables and of the crosses, sparsity and bits of the rest.

    A rank at which nothing is saved leaves a matrix whole: the plan says so, and no switch is
    needed. Ranks of tables are multiples of 4, so that rows of 2 bits are whole bytes. Tables of a
    few rows and the head are in 8 bits in every spec.
    """
    found: Any = tfc.Spec(
        [
            *(_table(name) for name in ("user", "item", "zip")),
            tfc.rule(
                tfc.by_name("crosses.*._dense"),
                tfc.Factorize(tune.Int(4, 64, step=4)),
                tfc.Quantize(tune.Choice(2, 4, 8)),
            ),
            *(_deep(name) for name in ("deep.0", "deep.1")),
            tfc.rule(
                tfc.by_name("tables.gender") | tfc.by_name("tables.age")
                | tfc.by_name("tables.occupation") | tfc.by_name("tables.year")
                | tfc.by_name("tables.genres") | tfc.by_name("head"),
                tfc.Quantize(8),
            ),
        ]
    )  # fmt: skip
    return found


def _table(name: str) -> tfc.Rule:
    bits = tfc.Quantize(tune.Choice(2, 4, 8), tfc.PerTensor(), tfc.MeanSquare())
    return tfc.rule(tfc.by_name(f"tables.{name}"), tfc.Factorize(tune.Int(4, 16, step=4)), bits)


def _deep(name: str) -> tfc.Rule:
    bits = tfc.Quantize(tune.Choice(2, 4, 8))
    return tfc.rule(tfc.by_name(name), tfc.Prune(tune.Float(0.0, 0.95)), bits)
