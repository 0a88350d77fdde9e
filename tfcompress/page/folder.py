"""Pages of folders: read, drawn, and written whole."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfcompress.errors import ReportError
from tfcompress.page.pages import report_page
from tfcompress.page.schema import check_report
from tfcompress.spec import Spec
from tfcompress.whole import write_whole

REPORT, SPEC, PAGE = "report.json", "spec.json", "report.html"
# Lines end in JSON's layout alone, never in a text: so no text is taken for a list.
_GAP = re.compile(r",\n\s+")
_NUMBERS = re.compile(r"\[\n\s+(-?\d[\d.e+-]*(?:,\n\s+-?\d[\d.e+-]*)*)\n\s+\]")


def report_json(report: Mapping[str, Any]) -> str:
    """A report as text, a list of numbers on one line.

    Example:
        >>> print(report_json({"shape": [3, 4], "deviation": 0.5}))
        {
          "shape": [3, 4],
          "deviation": 0.5
        }
    """
    return _NUMBERS.sub(lambda found: f"[{_GAP.sub(', ', found[1])}]", json.dumps(report, indent=2))


def read_report(folder: Path) -> dict[str, Any]:
    """The content of a folder's `report.json`.

    Raises:
        ReportError: there is none, it is not JSON, or it does not keep to the schema.
    """
    path = folder / REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(
            f"{path} cannot be read ({error.strerror}); expected a folder that export wrote."
        ) from error
    except json.JSONDecodeError as error:
        raise ReportError(f"{path} is not JSON ({error}); expected what export wrote.") from error
    check_report(report, str(path))
    return report


def write_page(folder: Path) -> Path:
    """Writes `report.html` into an exported folder, from `report.json` and `spec.json` alone.

    Returns:
        Its path.

    Raises:
        ReportError: see `read_report`.
        SpecError: the folder's spec is none, or of techniques that are not known.
    """
    return _write(folder, read_report(folder))


def measured_page(folder: Path, inspection: Mapping[str, Any]) -> Path:
    """The same, after costs by operator were put into `report.json`.

    Args:
        folder: of an export.
        inspection: an `Inspection` of its file, as plain data.
    """
    report = {**read_report(folder), "inspection": json.loads(json.dumps(inspection))}
    page = _write(folder, report)
    write_whole(folder / REPORT, report_json(report) + "\n")
    return page


def _write(folder: Path, report: Mapping[str, Any]) -> Path:
    spec = folder / SPEC
    asked = Spec.from_json(spec.read_text(encoding="utf-8")) if spec.exists() else None
    return write_whole(folder / PAGE, report_page(report, asked, folder.resolve().name))
