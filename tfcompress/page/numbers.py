"""Numbers as a page writes them."""

from __future__ import annotations

from typing import Any

MISSING = "\N{EN DASH}"
_EXACT = 100_000


def whole(value: float | None) -> str:
    """A whole number with its thousands parted.

    Example:
        >>> whole(142736), whole(None)
        ('142,736', '\N{EN DASH}')
    """
    return MISSING if value is None else f"{value:,.0f}"


def share(part: float | None, of: float | None) -> str:
    """A part in percent.

    Example:
        >>> share(1, 8)
        '12.5 %'
    """
    return MISSING if part is None or not of else f"{100 * part / of:.1f} %"


def times(before: float | None, after: float | None) -> str:
    """How many times as large the first is.

    Example:
        >>> times(40, 4)
        '10.0\N{MULTIPLICATION SIGN}'
    """
    return MISSING if not before or not after else f"{before / after:.1f}\N{MULTIPLICATION SIGN}"


def number(value: Any) -> str:
    """Any number, or what else stands in its place, in as many digits as say something.

    Example:
        >>> number(0.19221), number(12), number(-0.0000012), number(True)
        ('0.1922', '12', '-1.2e-06', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return MISSING
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if value and abs(value) < 1e-4:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= _EXACT else f"{value:.4g}"


def signed(value: float | None) -> str:
    """A difference with its sign, which what rounds to nothing has not.

    Example:
        >>> signed(0.0012), signed(-0.5), signed(-1.4e-06)
        ('+0.0012', '-0.5000', '0.0000')
    """
    if value is None:
        return MISSING
    return f"{value:+.4f}" if round(value, 4) else "0.0000"


def microseconds(value: float | None) -> str:
    """A time; what is below what times stray by may be a little less than none."""
    return MISSING if value is None else f"{round(value, 2) + 0.0:,.2f}"


def worded(key: str) -> str:
    """A name of data as a text.

    Example:
        >>> worded("median_us"), worded("ndcg@10_difference"), worded("auc")
        ('median, µs', 'NDCG@10 difference', 'AUC')
    """
    text = key.replace("_us", ", µs") if key.endswith("_us") else key
    words = text.replace("_", " ").split(" ")
    return " ".join(_KNOWN.get(one, one) for one in words)


_KNOWN = {"auc": "AUC", "cpu": "CPU", "hr": "HR", "ndcg": "NDCG", "hr@10": "HR@10"}
_KNOWN |= {"ndcg@10": "NDCG@10", "gzip": "gzip"}
