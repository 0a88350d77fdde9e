"""Ready specs, as plain data: a place to start from, and to change."""

from __future__ import annotations

from typing import Any

from tfcompress.spec import Spec
from tfcompress.value import from_data


def mobile() -> Spec:
    """The recipe of a recommender on a phone: every table and every kernel in 4 bits.

    One scale for each matrix, which ends at three standard deviations: nothing is spent on scales,
    and the few clipped weights are learned around. Train it for some epochs with the teacher; on a
    trained model without further training it loses quality.

    Example:
        >>> import tfcompress as tfc
        >>> [type(rule.techniques[0]).__name__ for rule in tfc.recipes.mobile().rules]
        ['Quantize', 'Quantize']
    """
    return _spec(_rule("Embedding", _FOUR_BITS), _rule("Dense", _FOUR_BITS))


def int8() -> Spec:
    """Every table and kernel in 8 bits, a scale for each row or channel: safe without training.

    Example:
        >>> import tfcompress as tfc
        >>> tfc.recipes.int8().rules[1].techniques[0].bits
        8
    """
    return _spec(_rule("Embedding", _EIGHT_BITS), _rule("Dense", _EIGHT_BITS))


_FOUR_BITS = {
    "type": "Quantize",
    "bits": 4,
    "granularity": {"type": "PerTensor"},
    "scale": {"type": "Deviations", "multiple": 3.0},
}
_EIGHT_BITS = {"type": "Quantize", "bits": 8}


def _rule(layer: str, *techniques: dict[str, Any]) -> dict[str, Any]:
    where = {"type": "ByType", "type_name": layer}
    return {"type": "Rule", "where": where, "techniques": list(techniques)}


def _spec(*rules: dict[str, Any]) -> Spec:
    spec: Spec = from_data({"type": "Spec", "rules": list(rules)})
    return spec
