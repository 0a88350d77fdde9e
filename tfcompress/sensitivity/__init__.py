"""Sensitivity: what each technique, at each strength, harms in each layer alone."""

from tfcompress.sensitivity.probe import Probe
from tfcompress.sensitivity.result import Cell, Sensitivity, Whole
from tfcompress.sensitivity.sensitivity import STRENGTHS, sensitivity

__all__ = ["STRENGTHS", "Cell", "Probe", "Sensitivity", "Whole", "sensitivity"]
