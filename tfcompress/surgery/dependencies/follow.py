"""Everything that is known of layers, and the trace made with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcompress.surgery.dependencies.attention import ATTENTION
from tfcompress.surgery.dependencies.flows import FLOWS, RESHAPES
from tfcompress.surgery.dependencies.kinds import KINDS, Flow, Kind
from tfcompress.surgery.dependencies.operators import is_operator, operator
from tfcompress.surgery.dependencies.recurrent import RECURRENT
from tfcompress.surgery.dependencies.trace import Trace

# Keras's own layers, by the class itself: a subclass may compute something else.
EVERY_KIND: dict[type, Kind] = {**KINDS, **RECURRENT, **ATTENTION, **RESHAPES}


def trace(model: Any, kinds: Mapping[int, Kind | None]) -> Trace:
    """Follows the channels of a model.

    Args:
        model: a built model of any kind.
        kinds: by the layer's identity, how each is cut; `EVERY_KIND` has Keras's own.
    """
    return Trace(model, kinds, _flow_of).follow()


def _flow_of(layer: Any) -> Flow | None:
    return operator if is_operator(layer) else FLOWS.get(type(layer))
