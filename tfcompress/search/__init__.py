"""The search: the best mix of techniques under a budget.

KerasTuner's oracles choose, among the specs of a space that can meet the budget; a trial applies a
spec, trains for a short while, exports, and asks the file. All that is known is in one file, which
is written whole after every event.
"""

from tfcompress.search.budget import (
    Budget,
    ImproveFront,
    MaximizeQuality,
    MinimizeBytes,
    MinimizeLatency,
    Objective,
)
from tfcompress.search.choosers import (
    Bayesian,
    ExpectedImprovement,
    Hyperband,
    OracleChoice,
    RandomDraws,
)
from tfcompress.search.early import EarlyEnd, MedianRule, ToTheEnd
from tfcompress.search.examples import Examples
from tfcompress.search.front import pareto_front
from tfcompress.search.result import SearchResult
from tfcompress.search.search import search
from tfcompress.search.settings import SearchSettings
from tfcompress.search.trial import Figures, Trial
from tfcompress.search.work import Work

__all__ = [
    "Bayesian",
    "Budget",
    "EarlyEnd",
    "Examples",
    "ExpectedImprovement",
    "Figures",
    "Hyperband",
    "ImproveFront",
    "MaximizeQuality",
    "MedianRule",
    "MinimizeBytes",
    "MinimizeLatency",
    "Objective",
    "OracleChoice",
    "RandomDraws",
    "SearchResult",
    "SearchSettings",
    "ToTheEnd",
    "Trial",
    "Work",
    "pareto_front",
    "search",
]
