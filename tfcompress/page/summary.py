"""What stands at the head of a page: the few figures that everybody asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfcompress.page.layers import bytes_before
from tfcompress.page.numbers import signed, times, whole, worded
from tfcompress.page.quality import difference_of, is_compared, metrics
from tfcompress.page.view import View


@dataclass(frozen=True)
class Figure:
    """A figure at the head.

    Attributes:
        name: of what.
        value: as it is written.
        more: what there is to say of it.
    """

    name: str
    value: str
    more: str = ""


@dataclass(frozen=True)
class Figures(View):
    """All figures at the head."""

    figures: tuple[Figure, ...]


def summary(report: Mapping[str, Any]) -> Figures:
    """The figures of a report."""
    sizes = report["sizes"]
    zipped = f"{whole(sizes['gzip_bytes'])} with gzip" if "gzip_bytes" in sizes else ""
    found = [
        Figure("Bytes of the file", whole(sizes["bytes"]), zipped),
        _smaller(report),
        Figure("Parameters", whole(report["parameters"])),
        *_multiply_adds(report["multiply_adds"]),
        *_speed(report.get("evaluation") or {}),
        *_quality(report.get("evaluation") or {}),
    ]
    return Figures(tuple(one for one in found if one is not None))


def _smaller(report: Mapping[str, Any]) -> Figure | None:
    teacher = ((report.get("evaluation") or {}).get("teacher") or {}).get("bytes")
    if teacher:
        more = f"than the teacher's file, {whole(teacher)}"
        return Figure("Smaller", times(teacher, report["sizes"]["bytes"]), more)
    before = bytes_before(report["layers"])
    after = sum(row["bytes"] for row in report["layers"])
    if not before or before <= after:
        return None
    return Figure("Smaller", times(before, after), f"weights, of {whole(before)} bytes")


def _multiply_adds(found: Mapping[str, int]) -> list[Figure]:
    if len(set(found.values())) == 1:
        return [Figure("Multiply-adds", whole(next(iter(found.values()))), "of a call")]
    return [Figure("Multiply-adds", whole(n), f"of {name}") for name, n in found.items()]


def _speed(found: Mapping[str, Any]) -> list[Figure]:
    latency = found.get("latency")
    if not isinstance(latency, Mapping) or "speedup" not in latency:
        return []
    pair = f"{latency['teacher_median_us']:.3g} µs to {latency['median_us']:.3g} µs, side by side"
    return [Figure("Faster", times(latency["speedup"], 1.0), pair)]


def _quality(found: Mapping[str, Any]) -> list[Figure]:
    if not is_compared(found):
        return []
    told = [name for name in metrics(found) if f"{name}_difference" in found]
    return [
        Figure(worded(name), f"{found['file'][name]:.4f}",
                f"{signed(difference_of(found, name))} against the teacher")
        for name in told
    ]  # fmt: skip
