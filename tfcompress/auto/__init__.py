"""Auto: the loop of choosing, compressing, training and evaluating, until a budget holds."""

from tfcompress.auto.attempts import Attempt, Measured
from tfcompress.auto.auto import auto
from tfcompress.auto.data import AutoData, Shipping, Teaching, Training
from tfcompress.auto.efforts import AsIs, Effort, FineTune, Taught
from tfcompress.auto.result import AutoResult
from tfcompress.auto.settings import AutoSettings

__all__ = [
    "AsIs",
    "Attempt",
    "AutoData",
    "AutoResult",
    "AutoSettings",
    "Effort",
    "FineTune",
    "Measured",
    "Shipping",
    "Taught",
    "Teaching",
    "Training",
    "auto",
]
