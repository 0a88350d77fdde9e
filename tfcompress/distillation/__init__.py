"""Distillation: what a student learns from its teachers, how much of it, and the training step.

The mathematics are plain functions; each kind of loss is a value, and its type picks the function.
A teacher is a model, several models, or their stored answers.
"""

from tfcompress.distillation.distiller import Distiller, Forward, Outputs, check_settings
from tfcompress.distillation.hidden import Hidden
from tfcompress.distillation.losses import (
    Combined,
    DistillationLoss,
    ListWise,
    Logits,
    SoftLabels,
    TeacherLabels,
)
from tfcompress.distillation.mathematics import (
    cross_entropy,
    listed_cross_entropy,
    mean_distribution,
    mean_squared_error,
    softened_divergence,
)
from tfcompress.distillation.precompute import precompute
from tfcompress.distillation.ramps import (
    CosineRamp,
    LinearRamp,
    PiecewiseConstant,
    Ramp,
    Setting,
)
from tfcompress.distillation.stored import Precomputed
from tfcompress.distillation.teachers import Teachers

__all__ = [
    "Combined",
    "CosineRamp",
    "DistillationLoss",
    "Distiller",
    "Forward",
    "Hidden",
    "LinearRamp",
    "ListWise",
    "Logits",
    "Outputs",
    "PiecewiseConstant",
    "Precomputed",
    "Ramp",
    "Setting",
    "SoftLabels",
    "TeacherLabels",
    "Teachers",
    "check_settings",
    "cross_entropy",
    "listed_cross_entropy",
    "mean_distribution",
    "mean_squared_error",
    "precompute",
    "softened_divergence",
]
