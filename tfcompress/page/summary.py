"""What stands at the head of a page: the few figures that everybody asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcompress.page.layers import bytes_before
from tfcompress.page.markup import Html, element
from tfcompress.page.numbers import signed, times, whole, worded
from tfcompress.page.quality import difference_of, is_compared, metrics


def summary(report: Mapping[str, Any]) -> Html:
    """The figures of a report."""
    sizes = report["sizes"]
    zipped = f"{whole(sizes['gzip_bytes'])} with gzip" if "gzip_bytes" in sizes else ""
    found = [
        _figure("Bytes of the file", whole(sizes["bytes"]), zipped),
        _smaller(report),
        _figure("Parameters", whole(report["parameters"]), ""),
        *_multiply_adds(report["multiply_adds"]),
        *_speed(report.get("evaluation") or {}),
        *_quality(report.get("evaluation") or {}),
    ]
    return element("dl", *found, class_="figures")


def _figure(name: str, value: str, more: str) -> Html:
    small = element("span", more, class_="more") if more else None
    both = (element("dd", value, class_="value"), element("dd", small) if small else None)
    return element("div", element("dt", name), *both)


def _smaller(report: Mapping[str, Any]) -> Html | None:
    teacher = ((report.get("evaluation") or {}).get("teacher") or {}).get("bytes")
    if teacher:
        more = f"than the teacher's file, {whole(teacher)}"
        return _figure("Smaller", times(teacher, report["sizes"]["bytes"]), more)
    before = bytes_before(report["layers"])
    after = sum(row["bytes"] for row in report["layers"])
    if not before or before <= after:
        return None
    return _figure("Smaller", times(before, after), f"weights, of {whole(before)} bytes")


def _multiply_adds(found: Mapping[str, int]) -> list[Html]:
    if len(set(found.values())) == 1:
        return [_figure("Multiply-adds", whole(next(iter(found.values()))), "of a call")]
    return [_figure("Multiply-adds", whole(n), f"of {name}") for name, n in found.items()]


def _speed(found: Mapping[str, Any]) -> list[Html]:
    latency = found.get("latency")
    if not isinstance(latency, Mapping) or "speedup" not in latency:
        return []
    pair = f"{latency['teacher_median_us']:.3g} µs to {latency['median_us']:.3g} µs, side by side"
    return [_figure("Faster", times(latency["speedup"], 1.0), pair)]


def _quality(found: Mapping[str, Any]) -> list[Html]:
    if not is_compared(found):
        return []
    told = [name for name in metrics(found) if f"{name}_difference" in found]
    return [
        _figure(worded(name), f"{found['file'][name]:.4f}",
                f"{signed(difference_of(found, name))} against the teacher")
        for name in told
    ]  # fmt: skip
