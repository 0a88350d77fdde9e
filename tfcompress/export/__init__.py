"""Export: finalize, lower, convert, quantize, compact, verify; then move the folder into place."""

from tfcompress.export.export import Exported, export
from tfcompress.export.inspection import Inspection, inspect_file
from tfcompress.export.runtime import LiteModel, compare_latency
from tfcompress.export.signature import Signature

__all__ = [
    "Exported",
    "Inspection",
    "LiteModel",
    "Signature",
    "compare_latency",
    "export",
    "inspect_file",
]
