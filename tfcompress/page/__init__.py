"""Reports as pages: one self-contained HTML file, a function of a report's data and its spec."""

from tfcompress.page.folder import (
    PAGE,
    REPORT,
    measured_page,
    read_report,
    report_json,
    write_page,
)
from tfcompress.page.pages import report_page, search_page

__all__ = [
    "PAGE",
    "REPORT",
    "measured_page",
    "read_report",
    "report_json",
    "report_page",
    "search_page",
    "write_page",
]
