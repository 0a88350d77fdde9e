"""Export: finalize, lift, lower, convert, quantize, compact, verify; then move the folder."""

from tfcompress.export.attachments import read_vocabularies
from tfcompress.export.compared import FileComparison, compare_files
from tfcompress.export.export import Exported, export
from tfcompress.export.inspection import Inspection, inspect_file
from tfcompress.export.runtime import LiteModel, compare_latency
from tfcompress.export.signature import Signature

__all__ = [
    "Exported",
    "FileComparison",
    "Inspection",
    "LiteModel",
    "Signature",
    "compare_files",
    "compare_latency",
    "export",
    "inspect_file",
    "read_vocabularies",
]
