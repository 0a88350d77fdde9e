"""Writes docs/techniques.md: what each technique does to each kind of layer, asked of the code.

python -m docs.techniques
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tfcompress as tfc
from tests.layer_kinds import KINDS, Kind
from tfcompress.keras import keras

PAGE = Path(__file__).with_suffix(".md")
SETTINGS: dict[str, Any] = {
    "Factorize": tfc.Factorize(rank=4),
    "Code": tfc.Code(codes=2, centroids=4),
    "Share": tfc.Share(tfc.QuotientRemainder(4)),
    "Tier": tfc.Tier(wide=1),
    "Shrink": tfc.Shrink(keep=0.5),
    "Prune": tfc.Prune(sparsity=0.5),
    "Prune in blocks": tfc.Prune(sparsity=0.5, block=(2, 1)),
    "Quantize, float16": tfc.Quantize(bits=16),
    "Prune, 2 of 4": tfc.Prune(sparsity=0.5, block=tfc.NofM(2, 4)),
    "Sparsify": tfc.Sparsify(tfc.OfMean(0.7)),
    "Quantize, 8 bits": tfc.Quantize(bits=8),
    "Quantize, 4 bits": tfc.Quantize(bits=4),
    "Quantize, 3 bits": tfc.Quantize(bits=3),
    "Quantize, 2 bits": tfc.Quantize(bits=2),
    "Quantize, 8 bits, one scale": tfc.Quantize(bits=8, granularity=tfc.PerTensor()),
    "Quantize, 4 bits, blocks of 32": tfc.Quantize(bits=4, granularity=tfc.PerBlock(32)),
    "QuantizeActivations, with 8 bits": tfc.QuantizeActivations(),
    "AdaptiveBits": tfc.AdaptiveBits(tfc.ByteBudget(10**6), bits=(2, 4, 8)),
}
_HEAD = """# Techniques and layers

Made by `python -m docs.techniques` from what `plan` says of one small layer of each kind, and held
against the code by `tests/test_techniques_page.py`. Where a cell is not *yes* it is the reason that
`plan` gives for leaving the layer as it is. The layers inside MultiHeadAttention (EinsumDense),
Cross (Dense) and TimeDistributed are layers of their own: rules are for those. Recurrent layers and
Bidirectional are one layer with their cells. Depthwise, separable and recurrent layers have several
weights, which are done together or not at all.

"""


def page() -> str:
    """The page's text."""
    rows = [["layer", *SETTINGS], ["---"] * (len(SETTINGS) + 1)]
    for name, kind in KINDS.items():
        keras.backend.reset_uids()  # reasons hold the names of layers, which Keras numbers
        model = _followed(kind.build())
        rows.append([name, *(_cell(model, kind, setting) for setting in SETTINGS.values())])
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _followed(model: Any) -> Any:
    """The model with a layer behind it: units that are a model's outputs nobody could remove."""
    behind = keras.layers.Dense(1, name="behind")
    return keras.Model(model.input, behind(keras.layers.Flatten()(model.output)))


def _cell(model: Any, kind: Kind, technique: Any) -> str:
    where = kind.units or kind.where if isinstance(technique, tfc.Shrink) else kind.where
    needed = (tfc.Quantize(bits=8),) if isinstance(technique, tfc.QuantizeActivations) else ()
    rule = tfc.rule(tfc.by_type(where) & ~tfc.by_name("behind"), technique, *needed)
    rows = [row for row in tfc.plan(model, tfc.Spec([rule])).layers if _asked(row)]
    reasons = {reason.split(": ", 1)[-1] for row in rows for reason in row.skipped}
    return "; ".join(sorted(reasons)) or "yes"


def _asked(row: Any) -> bool:
    return bool(row.steps) or row.skipped != ("no rule is for it",)


if __name__ == "__main__":
    PAGE.write_text(page())
