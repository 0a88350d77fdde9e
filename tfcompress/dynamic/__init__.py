"""Pruning that follows the validation metric while a model trains."""

from tfcompress.dynamic.callback import DynamicPruning
from tfcompress.dynamic.controller import Controller, Decision
from tfcompress.dynamic.policies import Best, Dense, OneByOne, Together

__all__ = ["Best", "Controller", "Decision", "Dense", "DynamicPruning", "OneByOne", "Together"]
