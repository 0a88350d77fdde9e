"""Errors that tfcompress raises: each says what was received, what was expected, what to do."""

from __future__ import annotations


class TfcompressError(Exception):
    """Base of every error that tfcompress raises on purpose."""

    # In a traced training step AutoGraph would replace it by an error of its own kind.
    ag_pass_through = True


class SpecError(TfcompressError, ValueError):
    """A spec, rule or technique that cannot be carried out as written."""


class CopyError(TfcompressError):
    """A model that cannot be copied faithfully; `apply(..., in_place=True)` may still serve."""


class StaleReferenceError(TfcompressError):
    """Something outside the layer tree would go on using a layer that was replaced."""


class SurgeryError(TfcompressError):
    """A layer that cannot be put where the spec wants it."""


class ExportError(TfcompressError):
    """A file that does not convert, load, run or agree; nothing was written."""


class SearchError(TfcompressError):
    """A search that found nothing, or of which nothing is there."""


class ReportError(TfcompressError):
    """A report that is not there, or is none."""


class EnvironmentSetupError(TfcompressError, ImportError):
    """TensorFlow was imported in a way in which its recommenders do not work."""
