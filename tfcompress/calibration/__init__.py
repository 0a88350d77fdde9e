"""What layers see: recorded once on some batches, for techniques that weigh errors by it."""

from tfcompress.calibration.inputs import Counts, Inputs, SecondMoments
from tfcompress.calibration.record import Calibration, calibrate, recordable

__all__ = ["Calibration", "Counts", "Inputs", "SecondMoments", "calibrate", "recordable"]
